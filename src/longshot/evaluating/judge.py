"""Ask a judge about every prediction of a run, and keep its verdicts.

A judge is two pure functions of a file on the shelf `judges/`: what to ask about a row, and what to make of the
replies (`items.Judge`). Some ask in two rounds (first what events a caption tells, then which of them hold), so a judge
is a little conversation: `asks(row, said)` gives the next questions until there are none, then `verdict` is called.

A verdict knows which prediction it is about, and is made anew when that has changed.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from longshot.asking import Answer, Desk, Question
from longshot.contracts import Progress
from longshot.evaluating.runs import Run, digest_of
from longshot.items import Ask, Benchmark, Judge, Row, Verdict
from longshot.journal import Journal, Result, State


def judge(
    benchmark: Benchmark,
    run: Run,
    judging: Judge,
    desk: Desk,
    *,
    name: str = "",
    progress: Progress | None = None,
) -> Iterator[Verdict]:
    """A verdict for every prediction that is done and has none yet, as they are finished.

    name: of the judge, when there are several: their verdicts lie side by side. Raises ModelError for a judge that
    cannot be asked (a wrong key), Busy when another process judges this run.
    """
    path = run.verdicts_path.with_name(f"verdicts.{name}.jsonl") if name else run.verdicts_path
    with Journal(path) as journal:
        rows = [row for row in run.rows(benchmark) if row.prediction and row.prediction.state is State.DONE]
        left = [row for row in rows if not _stands(journal.result(row.item.id), row)]
        told = len(rows) - len(left)
        if progress:
            progress(told, len(rows))
        for verdict in _conversations(left, judging, desk, run, name or "judge"):
            journal.record(verdict.id, Result(verdict.state, verdict.value, verdict.reason))
            told += 1
            if progress:
                progress(told, len(rows))
            yield verdict


def _stands(result: Result | None, row: Row) -> bool:
    """Whether a verdict is about this very prediction, and final."""
    if result is None or result.state is State.FAILED:
        return False
    return bool(result.value) and result.value.get("of") == digest_of(row.prediction)


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
        value = {"of": digest_of(talk.row.prediction)}
        talk.ended = Verdict(talk.row.item.id, answer.state, value, f"{ask.name}: {answer.reason}")


def _ended(talk: _Talk, judging: Judge) -> Verdict:
    value = {"of": digest_of(talk.row.prediction), **judging.verdict(talk.row, talk.said)}
    return Verdict(talk.row.item.id, State.DONE, value)
