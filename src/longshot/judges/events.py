"""AutoDQ: which events a caption tells, and which of them are true (3 questions).

After the procedure of DREAM-1K (Wang et al., Tarsier, arXiv:2407.00634), in our own words: the judge lists the events
of the predicted caption, says of each gold event whether the caption entails it, and of each predicted event whether
the reference caption does. Gold events come with the annotation; without them a fourth question lists them.
"""

from __future__ import annotations

from pathlib import Path

from longshot.judges._facts import FactJudge


def load(*, prompts: Path | None = None) -> FactJudge:
    """The judge. prompts: a folder with extract-events.txt ($text) or entail.txt ($text, $statements)."""
    return FactJudge("events", ("events",), prompts)
