"""Ask a judge about every prediction of a run, and keep its verdicts.

A judge is two pure functions of a file on the shelf `judges/`: what to ask about a row, and what to make of the
replies (`items.Judge`). Some ask in two rounds (first what events a caption tells, then which of them hold), so a judge
is a little conversation: `asks(row, said)` gives the next questions until there are none, then `verdict` is called.

A verdict knows which prediction it is about ("of") and who judged with which words ("by"), and is made anew when one of
these has changed. A judge that reads whole rows by itself, as `judges.nli` does, is a `Decider`: nobody is asked.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

from longshot.asking import Answer, Desk, Question
from longshot.contracts import Progress
from longshot.evaluating.runs import Run, digest_of
from longshot.items import Ask, Benchmark, Judge, Row, Verdict
from longshot.journal import Journal, Result, State
from longshot.timeline import Source


class Decider(Protocol):
    """A judge that asks nobody."""

    @property
    def name(self) -> str:
        """Who this is, with all that its verdicts depend on."""
        ...

    def decide(self, rows: Sequence[Row]) -> Iterator[Verdict]:
        """One verdict for each row, in any order; every row's prediction is done."""
        ...


def judge(
    benchmark: Benchmark,
    run: Run,
    judging: Judge,
    desk: Desk,
    *,
    name: str = "",
    progress: Progress | None = None,
) -> Iterator[Verdict]:
    """A verdict for every prediction that is done and has none of this judge yet, as they are finished.

    name: of the judge, when there are several: their verdicts lie side by side. Raises ModelError for a judge that
    cannot be asked (a wrong key), Busy when another process judges this run.
    """
    by = f"{judging.name}, {_named(desk.model.source)}"
    yield from _keep(
        benchmark, run, by, name, lambda rows: _conversations(rows, judging, desk, run, name or "judge"), progress
    )


def decide(
    benchmark: Benchmark, run: Run, decider: Decider, *, name: str = "", progress: Progress | None = None
) -> Iterator[Verdict]:
    """As `judge`, by a judge that asks nobody."""
    yield from _keep(benchmark, run, decider.name, name, decider.decide, progress)


def _named(source: Source) -> str:
    """A model with all that decides its replies: "name@revision {"temperature": 0.7}"."""
    settings = json.dumps(dict(source.settings), sort_keys=True, default=str)
    return f"{source.model}{f'@{source.revision}' if source.revision else ''} {settings}"


def _keep(
    benchmark: Benchmark,
    run: Run,
    by: str,
    name: str,
    verdicts: Callable[[Sequence[Row]], Iterator[Verdict]],
    progress: Progress | None,
) -> Iterator[Verdict]:
    """Write every verdict that is still to be made; on the disk when it is given out."""
    with Journal(run.verdicts_of(name)) as journal:
        rows = [row for row in run.rows(benchmark) if row.prediction and row.prediction.state is State.DONE]
        left = [row for row in rows if not _stands(journal.result(row.item.id), row, by)]
        told = len(rows) - len(left)
        if progress:
            progress(told, len(rows))
        abouts = {row.item.id: {"of": digest_of(row.prediction), "by": by} for row in left}
        for verdict in verdicts(left):
            marked = replace(verdict, value={**abouts[verdict.id], **(verdict.value or {})})
            journal.record(marked.id, Result(marked.state, marked.value, marked.reason))
            told += 1
            if progress:
                progress(told, len(rows))
            yield marked


def _stands(result: Result | None, row: Row, by: str) -> bool:
    """Whether a verdict is about this very prediction, by this judge, and final."""
    if result is None or result.state is State.FAILED or not isinstance(result.value, dict):
        return False
    return result.value.get("of") == digest_of(row.prediction) and result.value.get("by") == by


@dataclass
class _Talk:
    row: Row
    said: dict[str, Any] = field(default_factory=dict)
    waiting: int = 0
    ended: Verdict | None = None


def _conversations(rows: Sequence[Row], judging: Judge, desk: Desk, run: Run, name: str) -> Iterator[Verdict]:
    """Round by round: every row's next questions together, so that the judge's slots are full."""
    talks = {row.item.id: _Talk(row) for row in rows}
    while talks:
        asked: dict[str, tuple[_Talk, Ask]] = {}
        for id, talk in list(talks.items()):
            asks = judging.asks(talk.row, talk.said)
            if not asks:
                yield _ended(talk, judging)
                del talks[id]
                continue
            talk.waiting = len(asks)
            asked |= {f"{id}\n{ask.name}": (talk, ask) for ask in asks}
        questions = (Question(key, ask.text, system=ask.system, read=ask.read) for key, (_, ask) in asked.items())
        for answer in desk.ask(questions, journal=run.answers_path(of=name)):
            talk, ask = asked[answer.id]
            talk.waiting -= 1
            _take(talk, ask, answer)
            if not talk.waiting and talk.ended is not None:
                yield talk.ended
                del talks[talk.row.item.id]


def _take(talk: _Talk, ask: Ask, answer: Answer) -> None:
    if answer.state is State.DONE:
        talk.said[ask.name] = answer.value
    elif talk.ended is None:
        talk.ended = Verdict(talk.row.item.id, answer.state, None, f"{ask.name}: {answer.reason}")


def _ended(talk: _Talk, judging: Judge) -> Verdict:
    return Verdict(talk.row.item.id, State.DONE, dict(judging.verdict(talk.row, talk.said)))
