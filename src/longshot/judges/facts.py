"""CapST: which events and objects a caption tells, and which of them are true (6 to 8 questions).

After the procedure of CaReBench (Xu et al., arXiv:2501.00513), in our own words: events, which the paper calls actions,
and static facts about objects are judged side by side, each as in AutoDQ. Where the annotation has no lists of them,
the gold ones are taken out of the reference caption first.
"""

from __future__ import annotations

from pathlib import Path

from longshot.judges._facts import FactJudge


def load(*, prompts: Path | None = None) -> FactJudge:
    """The judge. prompts: a folder with extract-events.txt or extract-objects.txt ($text), or entail.txt."""
    return FactJudge("facts", ("events", "objects"), prompts)
