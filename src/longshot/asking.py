"""Ask a model many things: batches full, decoding ahead, every answer joined by id and kept.

    questions = (Question(clip.id, "What happens?", look=Look(path, times)) for clip in clips)
    for answer in ask(model, questions, read=read_json, journal="answers.jsonl"):
        answer.id, answer.state, answer.value             # in the order in which they are finished

    with Desk(model) as desk:                             # several threads, one model: batches are filled together
        desk.ask(questions, read=..., journal=...)

What comes back is always one answer for each question, in one of four states: done, failed (no reply came; a later
run asks again), refused, unreadable (the file, or the reply after it was asked for once more).

The journal holds what the model said, not what was read from it: one line for each exchange, under a key made of
everything that decides a reply (pixels by content, text, system, history, model, revision, settings). A line is on the
disk before its answer is given out and before its slot asks again, so a kill loses at most the calls under way; a
better `read` needs no new call.
"""

from __future__ import annotations

import hashlib
import json
import os
import time
from collections import OrderedDict, deque
from collections.abc import Callable, Iterable, Iterator, Sized
from dataclasses import dataclass, field
from pathlib import Path
from threading import Condition, Lock, Thread, current_thread
from typing import Any

import numpy as np

from longshot.contracts import ChatModel, Exchange, Finish, Frames, Progress, Prompt, Reply
from longshot.errors import FormatError, MediaError, ModelError, UsageError
from longshot.journal import Journal, Result, State
from longshot.looks import AHEAD_BYTES, Eye, Look, decoders

PATIENCE = 0.25  # seconds that a batch waits for a source of questions that is slow to give the next
_PATIENT_TURNS = 64  # how often a question about one file may be passed over for those about a file that is open
_REMEMBERED = 4096  # replies that a run without a journal knows again
_REFUSAL_CHARS = 400  # a longer reply is no mere refusal
_APOLOGIES = ("i'm sorry", "i am sorry", "sorry", "i apologize", "i apologise", "my apologies", "unfortunately")
_DECLINING = (
    *("i can't", "i cannot", "i can not", "i won't", "i will not", "i'm unable to", "i am unable to"),
    *("i'm not able to", "i am not able to", "i must decline", "i have to decline", "i decline", "i'm not comfortable"),
)
_HELPING = (
    *("assist", "help", "comply", "fulfill", "fulfil", "answer", "respond", "provide", "discuss", "describe"),
    *("identify", "do that", "continue", "engage", "generate", "create", "produce", "process", "share", "support"),
    *("analyze", "analyse", "caption", "participate"),
)
# What a reply that goes on to say something has in it: "I can't identify people. The clip shows a man in red."
_TELLING = (
    " but ",
    "however",
    "although",
    " shows ",
    " show ",
    " depict",
    " appear",
    " there is ",
    " there are ",
    " see ",
)


class Unreadable(ValueError):
    """What a `read` raises for a reply that is not in the form it wants; `reason` is one line for the model to read."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


Read = Callable[[str], Any]


@dataclass(frozen=True, slots=True)
class Question:
    """One thing to ask.

    id: the caller's, different for each; its answer carries it. text: the request. look: pictures that are decoded when
    their turn comes, or frames: pictures that are here. system, history: as in `Prompt`. read: what to make of the
    reply, instead of the reader of the whole run.
    """

    id: str
    text: str
    look: Look | None = None
    frames: Frames | None = None
    system: str = ""
    history: tuple[Exchange, ...] = ()
    read: Read | None = None

    def __post_init__(self) -> None:
        if self.look is not None and self.frames is not None:
            raise UsageError(f"question {self.id!r} has a look and frames; give one of them")


@dataclass(frozen=True, slots=True)
class Answer:
    """What came of one question.

    value: what `read` made of the reply (the text where there is no `read`), None unless done. text: the reply as it
    came, "" when there was none. reason: one line, unless done. tokens_in, tokens_out, cost: of all exchanges it took.
    note: what a user should know of it ("12 of 32 frames used"). again: nothing was asked for it, because the journal
    or another question of the same content had the reply.
    """

    id: str
    state: State
    value: Any = None
    text: str = ""
    reason: str = ""
    tokens_in: int = 0
    tokens_out: int = 0
    cost: float = 0.0
    note: str = ""
    again: bool = False


@dataclass(frozen=True, slots=True)
class Usage:
    """What was asked of a model so far: prompts, tokens, and cost in the currency of its prices."""

    asked: int = 0
    tokens_in: int = 0
    tokens_out: int = 0
    cost: float = 0.0


def ask(
    model: ChatModel | Desk,
    questions: Iterable[Question],
    *,
    read: Read | None = None,
    journal: Journal | str | os.PathLike[str] | None = None,
    progress: Progress | None = None,
) -> Iterator[Answer]:
    """Ask a model all questions; answers come as they are finished. See `Desk.ask`."""
    if isinstance(model, Desk):
        yield from model.ask(questions, read=read, journal=journal, progress=progress)
        return
    with Desk(model) as desk:
        yield from desk.ask(questions, read=read, journal=journal, progress=progress)


def is_refusal(text: str) -> bool:
    """Whether a reply says no more than that the model will not do it, in English.

    Cautious: only a short reply that begins by declining to help, so that "I cannot see who holds the cup, but …" and
    "Sorry, says the man at the counter." are answers.
    """
    said = " ".join(text.replace("\u2019", "'").casefold().split()).lstrip("\"'* ")
    if not said or len(said) > _REFUSAL_CHARS:
        return False
    apology = next((word for word in _APOLOGIES if said.startswith(word)), "")
    rest = (
        said[len(apology) :]
        .lstrip(" ,.;:!-\u2013\u2014")
        .removeprefix("but ")
        .removeprefix("as an ai language model, ")
    )
    rest = rest.removeprefix("as an ai, ").removeprefix("as an ai assistant, ")
    declining = next((word for word in _DECLINING if rest.startswith(word)), "")
    if not declining:
        return False
    if "decline" in declining:
        return True
    after = rest[len(declining) :].lstrip(" ,").removeprefix("be able to ")
    return after.startswith(_HELPING) and not any(word in after for word in _TELLING)


class Desk:
    """One model and the threads around it, for any number of threads that ask.

    Threads exist only while somebody asks. bytes: decoded pixels that may wait for their turn; what the model has in
    hand comes on top.
    """

    def __init__(self, model: ChatModel, *, bytes: int = AHEAD_BYTES) -> None:
        self.model = model
        self._bytes = bytes
        self._changed = Condition()
        self._usage = Usage()
        self._closed = False
        self._crew: _Crew | None = None
        self._runs: list[_Run] = []
        self._todo: deque[_Wish] = deque()
        self._preparing = 0
        self._flights: dict[tuple[int, str], _Job] = {}  # from the first wish for a key to its reply
        self._ready: deque[_Job] = deque()
        self._gathered: list[_Job] = []
        self._gathering = False
        self._serving: set[_Job] = set()
        self._used = 0  # bytes of pixels that are being decoded or ready
        self._inline = 0  # bytes of pixels that came with their questions and were not asked yet
        self._recent: OrderedDict[str, Reply] = OrderedDict()
        self._ledgers: dict[Path, _Ledger] = {}

    def __enter__(self) -> Desk:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def usage(self) -> Usage:
        """What was asked so far; replies from a journal cost nothing and are not in it."""
        with self._changed:
            return self._usage

    def close(self) -> None:
        """Ask no more: runs of other threads end with a UsageError, after what is under way was recorded."""
        with self._changed:
            self._closed = True
            crew, self._crew = self._crew, None
            self._stop(UsageError("the desk was closed while it was asked"))
            if crew:
                crew.ended = True
            self._changed.notify_all()
            self._changed.wait_for(lambda: not self._serving)
        if crew:
            crew.join()

    def ask(
        self,
        questions: Iterable[Question],
        *,
        read: Read | None = None,
        journal: Journal | str | os.PathLike[str] | None = None,
        progress: Progress | None = None,
    ) -> Iterator[Answer]:
        """One answer for each question, as they are finished, joined by id.

        Questions are taken a bounded number ahead, in the caller's thread, so a million of them need no more memory
        than a hundred; they must not wait for answers of the same run. A reply that `read` cannot use is shown to the
        model once more, with what is wrong with it. A reply that only declines (`is_refusal`) counts as refused:
        without a `read` always, with one when it cannot be read.

        Ended early, it waits for the calls under way, because their replies are paid for, and records them.

        Args:
            questions: what to ask; ids must differ from each other.
            read: makes a value of a reply, or raises Unreadable. One thread at a time calls it.
            journal: where replies are kept, and found again. Several runs of a desk may share one path.
            progress: called with answers given and questions known.

        Raises ModelError when the model cannot be asked at all, and what else `generate` or `read` let through: after
        what was under way is recorded and given out.
        """
        run = self._enter(read, journal)
        known = len(questions) if isinstance(questions, Sized) else 0
        given = 0
        try:
            source = iter(questions)
            while True:
                while self._may_take(run):
                    question = next(source, None)
                    if question is None:
                        self._end_of(run)
                    else:
                        self._put(run, question)
                answer = self._next(run)
                if answer is not None:
                    given += 1
                    if progress:
                        progress(given, max(known, run.taken))
                    yield answer
                elif self._done(run):
                    return
        finally:
            self._leave(run)

    # The caller's side ----------------------------------------------------------------------------------------

    def _enter(self, read: Read | None, journal: Journal | str | os.PathLike[str] | None) -> _Run:
        slots, batch, made = max(1, self.model.slots), max(1, self.model.batch), _model_key(self.model)
        with self._changed:
            if self._closed:
                raise UsageError("the desk is closed: ask inside its `with`")
            run = _Run(read, self._ledger(journal), made, window=3 * slots * batch + 16)
            if self._crew is None:
                self._crew = _Crew(slots, batch)
                for _ in range(decoders()):
                    self._crew.start(self._prepare_all, "longshot-look")
            self._runs.append(run)
            return run

    def _ledger(self, journal: Journal | str | os.PathLike[str] | None) -> _Ledger:
        if isinstance(journal, Journal):
            shared = next((run.ledger for run in self._runs if run.ledger.journal is journal), None)
            ledger = shared or _Ledger(journal)
        elif journal is not None:
            path = Path(journal).resolve()
            ledger = self._ledgers.get(path) or _Ledger(Journal(path), path)
            self._ledgers[path] = ledger
        else:
            ledger = _Ledger(None)
        ledger.users += 1
        return ledger

    def _may_take(self, run: _Run) -> bool:
        with self._changed:
            return self._room_for(run)

    def _room_for(self, run: _Run) -> bool:
        if run.exhausted or run.error or self._inline >= self._bytes:
            return False
        # Answers that nobody fetches stop the taking too, or a slow caller would gather them all.
        return len(run.open) < run.window and len(run.open) + len(run.answers) < 2 * run.window

    def _end_of(self, run: _Run) -> None:
        with self._changed:
            run.exhausted = True
            self._changed.notify_all()

    def _put(self, run: _Run, question: Question) -> None:
        with self._changed:
            if question.id in run.open:
                raise UsageError(f"two questions have the id {question.id!r}; an answer is joined by it")
            run.open.add(question.id)
            run.taken += 1
            wish = _Wish(run, question)
            self._inline += wish.inline
            self._todo.append(wish)
            self._changed.notify_all()

    def _next(self, run: _Run) -> Answer | None:
        """The next answer; None when there is none, because all are given or more questions may be taken."""
        with self._changed:
            self._changed.wait_for(lambda: run.answers or self._over(run) or self._room_for(run))
            if run.answers:
                return run.answers.popleft()
            if run.error and self._over(run):
                raise run.error
            return None

    def _over(self, run: _Run) -> bool:
        return not self._serves(run) if run.error else self._done(run)

    def _done(self, run: _Run) -> bool:
        return run.exhausted and not run.open and not run.answers

    def _serves(self, run: _Run) -> bool:
        return any(wish.run is run for job in self._serving for wish in job.wishes)

    def _leave(self, run: _Run) -> None:
        crew = None
        try:
            with self._changed:
                run.left = True
                self._abandon(run)
                self._changed.wait_for(lambda: not self._serves(run))
        finally:
            with self._changed:
                self._runs.remove(run)
                if not self._runs:
                    crew, self._crew = self._crew, None
                    if crew:
                        crew.ended = True
                run.ledger.users -= 1
                if run.ledger.path is not None and not run.ledger.users:
                    del self._ledgers[run.ledger.path]
                    run.ledger.close()
                self._changed.notify_all()
        if crew:
            crew.join()

    def _abandon(self, run: _Run) -> None:
        """Forget what a run still wanted, except what the model has in hand."""
        for wish in self._todo:
            if wish.run is run:
                self._inline -= wish.inline
        self._todo = deque(wish for wish in self._todo if wish.run is not run)
        for place, job in list(self._flights.items()):
            if job in self._serving:
                continue
            job.wishes = [wish for wish in job.wishes if wish.run is not run]
            if not job.wishes:
                del self._flights[place]
        for job in [job for job in self._ready if not job.wishes]:
            self._ready.remove(job)
            self._release(job)
        self._gathered = [job for job in self._gathered if job.wishes]
        self._changed.notify_all()

    def _release(self, job: _Job) -> None:
        self._used -= job.size
        self._inline -= job.inline
        job.size = job.inline = 0

    def _land(self, job: _Job) -> None:
        if self._flights.get(job.place) is job:
            del self._flights[job.place]

    def _stop(self, error: BaseException) -> None:
        """End every run with an error, once the calls under way are back."""
        for run in self._runs:
            run.error = run.error or error
            self._abandon(run)

    # Threads that prepare -------------------------------------------------------------------------------------

    def _prepare_all(self, crew: _Crew) -> None:
        with Eye() as eye:
            while self._prepare_next(crew, eye):
                pass

    def _prepare_next(self, crew: _Crew, eye: Eye) -> bool:
        with self._changed:
            self._changed.wait_for(lambda: crew.ended or self._todo)
            if crew.ended:
                return False
            wish = self._pick(eye)
            self._preparing += 1
        try:
            self._prepare(crew, wish, eye)
        except BaseException as error:  # handed to the threads that ask, which raise it
            self._fail(error)
        finally:
            with self._changed:
                self._preparing -= 1
                self._changed.notify_all()
        return True

    def _pick(self, eye: Eye) -> _Wish:
        """The next wish, out of turn where it is about the file that this thread has open."""
        first = self._todo[0]
        if first.passed < _PATIENT_TURNS:
            for place, wish in enumerate(self._todo):
                look = wish.question.look
                if look is None or wish.shown is not None or look.place == eye.place:
                    del self._todo[place]
                    first.passed += 1
                    return wish
        return self._todo.popleft()

    def _prepare(self, crew: _Crew, wish: _Wish, eye: Eye) -> None:
        question = wish.question
        inline = wish.inline
        try:
            key = _key(wish)
        except MediaError as error:
            self._answer(wish, Answer(question.id, State.UNREADABLE, reason=_line(str(error))))
            return
        stored = None
        with self._changed:
            place = (id(wish.run.ledger) if wish.run.ledger.journal else 0, key)
            flight = self._flights.get(place)
            stored = None if flight else self._stored(wish.run, key)
            if wish.run.left or wish.run.error or flight or stored:
                self._inline -= inline
                self._changed.notify_all()
            if wish.run.left or wish.run.error:
                return
            if flight:
                flight.wishes.append(wish)
                return
            if stored is None:
                job = _Job(place, wish.run.ledger, [wish], inline=inline)
                self._flights[place] = job
        if stored is not None:
            self._take(wish, stored)
            return
        self._make(crew, job, wish, eye)

    def _stored(self, run: _Run, key: str) -> Reply | None:
        """The reply that is known already; one that failed is asked for again."""
        if run.ledger.journal is not None:
            return run.ledger.reply(key)
        if key in self._recent:
            self._recent.move_to_end(key)
        return self._recent.get(key)

    def _make(self, crew: _Crew, job: _Job, wish: _Wish, eye: Eye) -> None:
        try:
            shown = self._shown(job, wish, eye)
        except MediaError as error:
            reason = _line(str(error))
            with self._changed:
                self._land(job)
                self._release(job)
                waiting, job.wishes = job.wishes, []
            for one in waiting:
                self._answer(one, Answer(one.question.id, State.UNREADABLE, reason=reason))
            return
        except BaseException:
            with self._changed:
                self._release(job)
            raise
        job.prompt = _prompt(wish, shown)
        with self._changed:
            if not job.wishes:
                self._release(job)
                return
            self._ready.append(job)
            self._man(crew)
            self._changed.notify_all()

    def _shown(self, job: _Job, wish: _Wish, eye: Eye) -> Frames | None:
        if wish.shown is not None or wish.question.look is None:
            return wish.shown or wish.question.frames
        size = eye.size(wish.question.look)
        with self._changed:
            self._changed.wait_for(lambda: not job.wishes or not self._used or self._used + size <= self._bytes)
            if not job.wishes:
                return None
            job.size = size
            self._used += size
        return eye.frames(wish.question.look)

    def _man(self, crew: _Crew) -> None:
        """One more thread for the model when there is work and none waits for it."""
        if self._ready and not crew.idle and crew.slots > 0 and not crew.ended:
            crew.slots -= 1
            crew.idle += 1
            crew.start(self._serve_all, "longshot-ask")

    # Threads that ask the model -------------------------------------------------------------------------------

    def _serve_all(self, crew: _Crew) -> None:
        while self._serve_next(crew):
            pass

    def _serve_next(self, crew: _Crew) -> bool:
        batch = self._gather(crew)
        if not batch:
            return not crew.ended
        try:
            self._serve(batch)
        except BaseException as error:  # handed to the threads that ask, which raise it
            self._fail(error)
        finally:
            with self._changed:
                self._serving.difference_update(batch)
                for job in batch:
                    self._land(job)
                crew.idle += 1
                self._changed.notify_all()
        return True

    def _gather(self, crew: _Crew) -> list[_Job]:
        """A batch: a full one, or what there is when no more is coming; an empty one when nobody wants it any more.

        One thread gathers at a time, so that there is at most one batch that is not full.
        """
        with self._changed:
            self._changed.wait_for(lambda: crew.ended or (self._ready and not self._gathering))
            if crew.ended:
                return []
            self._gathering = True
            patient_until = time.monotonic() + PATIENCE
            while not crew.ended:
                while self._ready and len(self._gathered) < crew.batch:
                    job = self._ready.popleft()
                    self._release(job)
                    self._gathered.append(job)
                self._changed.notify_all()
                if len(self._gathered) >= crew.batch:
                    break
                if self._todo or self._preparing:
                    self._changed.wait()
                elif any(not (run.exhausted or run.error) for run in self._runs):
                    if not self._changed.wait(max(0.0, patient_until - time.monotonic())):
                        break
                else:
                    break
            batch, self._gathered, self._gathering = self._gathered, [], False
            self._serving.update(batch)
            crew.idle -= bool(batch)
            self._man(crew)
            self._changed.notify_all()
            return batch

    def _serve(self, batch: list[_Job]) -> None:
        replies = self.model.generate([job.prompt for job in batch if job.prompt is not None])
        if len(replies) != len(batch):
            raise ModelError(self.model.source.model, f"gave {len(replies)} replies to {len(batch)} prompts")
        self._count(replies)
        for ledger in {id(job.ledger): job.ledger for job in batch}.values():
            ledger.record({job.key: reply for job, reply in zip(batch, replies, strict=True) if job.ledger is ledger})
        for job, reply in zip(batch, replies, strict=True):
            with self._changed:
                if job.ledger.journal is None and reply.finish is not Finish.FAILED:
                    self._recent[job.key] = reply
                    if len(self._recent) > _REMEMBERED:
                        self._recent.popitem(last=False)
                self._land(job)
                wishes = list(job.wishes)
                wishes[0].asked = True
            shown = job.prompt.frames if job.prompt else None
            for wish in wishes:
                self._take(wish, reply, shown=shown)

    def _count(self, replies: Iterable[Reply]) -> None:
        with self._changed:
            for reply in replies:
                so_far = self._usage
                self._usage = Usage(
                    so_far.asked + 1,
                    so_far.tokens_in + reply.tokens_in,
                    so_far.tokens_out + reply.tokens_out,
                    so_far.cost + reply.cost,
                )

    # From replies to answers ----------------------------------------------------------------------------------

    def _take(self, wish: _Wish, reply: Reply, *, shown: Frames | None = None) -> None:
        """What a reply means for one question: its answer, or that it is asked once more."""
        run, text = wish.run, reply.text
        if run.left:
            return
        if reply.finish in (Finish.FAILED, Finish.REFUSED):
            self._settle(wish, State(reply.finish.value), reply, reason=reply.reason)
            return
        read = wish.question.read or run.read
        try:
            with run.reading:
                value = (read or _words)(text)
        except Unreadable as error:
            if is_refusal(text):
                self._settle(wish, State.REFUSED, reply, reason=_declined(text))
            elif wish.first is None:
                self._once_more(wish, reply, error.reason, shown)
            else:
                self._settle(wish, State.UNREADABLE, reply, reason=error.reason)
        except Exception as error:  # a bug of the reader ends the run that gave it, and no other
            with self._changed:
                run.error = run.error or error
                self._abandon(run)
        else:
            if read is None and is_refusal(text):
                self._settle(wish, State.REFUSED, reply, reason=_declined(text))
            else:
                self._settle(wish, State.DONE, reply, value=value)

    def _once_more(self, wish: _Wish, reply: Reply, complaint: str, shown: Frames | None) -> None:
        again = _Wish(wish.run, wish.question, reply, complaint, shown or wish.question.frames, asked=wish.asked)
        with self._changed:
            if not (wish.run.left or wish.run.error):
                self._todo.appendleft(again)
                self._changed.notify_all()

    def _settle(self, wish: _Wish, state: State, reply: Reply, *, value: Any = None, reason: str = "") -> None:
        replies = [reply] if wish.first is None else [wish.first, reply]
        notes = [one.note for one in replies]
        if reply.finish is Finish.LENGTH:
            notes.append("the reply was cut at the limit on new tokens")
        answer = Answer(
            wish.question.id,
            state,
            value,
            reply.text,
            _line(reason),
            sum(one.tokens_in for one in replies),
            sum(one.tokens_out for one in replies),
            sum(one.cost for one in replies),
            "; ".join(dict.fromkeys(note for note in notes if note)),
            again=not wish.asked,
        )
        self._answer(wish, answer)

    def _answer(self, wish: _Wish, answer: Answer) -> None:
        with self._changed:
            if not wish.run.left:
                wish.run.open.discard(answer.id)
                wish.run.answers.append(answer)
                self._changed.notify_all()

    def _fail(self, error: BaseException) -> None:
        with self._changed:
            self._stop(error)


class _Ledger:
    """A journal as several threads write it: what they bring while the disk is busy goes to it in one write."""

    def __init__(self, journal: Journal | None, path: Path | None = None) -> None:
        self.journal = journal
        self.path = path  # of a journal that was opened here
        self.users = 0
        self._queue: list[_Ticket] = []
        self._queueing, self._writing = Lock(), Lock()

    def reply(self, key: str) -> Reply | None:
        """What was answered before; None for nothing, or for a call that failed."""
        result = self.journal.result(key) if self.journal else None
        if result is None or result.state is State.FAILED:
            return None
        return _reply(result, f"{self.journal.path if self.journal else ''}, id {key}")

    def record(self, replies: dict[str, Reply]) -> None:
        """Put replies on the disk; returns when they are there. Raises as `Journal.record`."""
        if self.journal is None:
            return
        ticket = _Ticket({key: _result(reply) for key, reply in replies.items()})
        with self._queueing:
            self._queue.append(ticket)
        with self._writing:
            if not ticket.taken:
                with self._queueing:
                    together, self._queue = self._queue, []
                self._write(self.journal, together)
        if ticket.error is not None:
            raise ticket.error

    def close(self) -> None:
        """Close the journal, once nobody writes."""
        with self._writing:
            if self.journal is not None:
                self.journal.close()

    def _write(self, journal: Journal, together: list[_Ticket]) -> None:
        results: dict[str, Result] = {}
        for ticket in together:
            ticket.taken = True
            results.update(ticket.results)
        try:
            journal.record_all(results)
        except Exception as error:  # everyone whose lines were in this write has to know
            for ticket in together:
                ticket.error = error


@dataclass(slots=True)
class _Ticket:
    """What one thread wants written."""

    results: dict[str, Result]
    taken: bool = False
    error: Exception | None = None


@dataclass(eq=False, slots=True)
class _Run:
    """One call of `Desk.ask`. open: ids that were taken and are not answered; window: how many there may be."""

    read: Read | None
    ledger: _Ledger
    model: bytes
    window: int
    open: set[str] = field(default_factory=set)
    answers: deque[Answer] = field(default_factory=deque)
    taken: int = 0
    exhausted: bool = False
    left: bool = False
    error: BaseException | None = None
    reading: Lock = field(default_factory=Lock)


@dataclass(eq=False, slots=True)
class _Wish:
    """One question on its way. first, complaint: the reply that could not be read, and why; shown: its pictures.

    asked: a call was made for it. passed: how often another was prepared before it out of turn.
    """

    run: _Run
    question: Question
    first: Reply | None = None
    complaint: str = ""
    shown: Frames | None = None
    asked: bool = False
    passed: int = 0

    @property
    def inline(self) -> int:
        """Bytes of pixels that came with the question and are counted as waiting."""
        frames = self.question.frames
        return frames.pixels.nbytes if frames is not None and self.first is None else 0


@dataclass(eq=False, slots=True)
class _Job:
    """One prompt to the model, for all questions of the same content. size, inline: bytes that it counts for."""

    place: tuple[int, str]
    ledger: _Ledger
    wishes: list[_Wish]
    inline: int = 0
    size: int = 0
    prompt: Prompt | None = None

    @property
    def key(self) -> str:
        """Its name in the journal."""
        return self.place[1]


class _Crew:
    """The threads of a desk between the first that asks and the last. slots: threads for the model not yet started."""

    def __init__(self, slots: int, batch: int) -> None:
        self.slots, self.batch = slots, batch
        self.idle = 0
        self.ended = False
        self._threads: list[Thread] = []

    def start(self, work: Callable[[_Crew], None], name: str) -> None:
        """One more thread. A daemon, so that a second Ctrl-C need not wait for a model that hangs."""
        thread = Thread(target=work, args=(self,), name=name, daemon=True)
        self._threads.append(thread)
        thread.start()

    def join(self) -> None:
        """Wait for the end of all threads."""
        for thread in self._threads:
            if thread is not current_thread():  # the garbage collector may close a generator anywhere
                thread.join()


def _words(text: str) -> str:
    """The reader of a run without one."""
    if not text.strip():
        raise Unreadable("the reply was empty")
    return text


def _prompt(wish: _Wish, shown: Frames | None) -> Prompt:
    question = wish.question
    if wish.first is None:
        return Prompt(question.text, shown, question.system, question.history)
    text = (
        f"I could not use that reply: {_line(wish.complaint)}. Please answer the same request once more, "
        "in the form it asks for, and add nothing to it."
    )
    told = Exchange(question.text, wish.first.text or "(nothing)")
    return Prompt(text, shown, question.system, (*question.history, told))


def _key(wish: _Wish) -> str:
    """Everything that decides a reply, in 32 hex digits. Raises MediaError for a look at a file that is not there."""
    question = wish.question
    digest = hashlib.blake2b(wish.run.model, digest_size=16)

    def add(*parts: str) -> None:
        for part in parts:
            data = part.encode("utf-8", "surrogatepass")
            digest.update(len(data).to_bytes(8, "little") + data)

    add(question.system, str(len(question.history)))
    for turn in question.history:
        add(turn.asked, turn.answered)
    add(question.text)
    if question.look is not None:
        add("look", question.look.key)
    elif question.frames is not None:
        pixels, times = question.frames.pixels, question.frames.times
        add("frames", str(pixels.shape))
        digest.update(np.ascontiguousarray(pixels).data)
        digest.update(np.ascontiguousarray(times, dtype=np.float64).data)
    if wish.first is not None:  # not the complaint: a reader that words it differently finds the same reply
        add("once more", wish.first.text)
    return digest.hexdigest()


def _model_key(model: ChatModel) -> bytes:
    made = model.source
    return json.dumps([1, made.model, made.revision, dict(made.settings)], sort_keys=True, default=str).encode()


def _result(reply: Reply) -> Result:
    value: dict[str, Any] = {"text": reply.text, "finish": reply.finish.value}
    for name in ("tokens_in", "tokens_out", "cost", "note"):
        if getattr(reply, name):
            value[name] = getattr(reply, name)
    said = reply.finish in (Finish.STOP, Finish.LENGTH)
    return Result(State.DONE if said else State(reply.finish.value), value, _line(reply.reason))


def _reply(result: Result, place: str) -> Reply:
    try:
        value = dict(result.value)
        return Reply(
            str(value["text"]),
            Finish(value["finish"]),
            result.reason,
            int(value.get("tokens_in", 0)),
            int(value.get("tokens_out", 0)),
            float(value.get("cost", 0.0)),
            str(value.get("note", "")),
        )
    except (TypeError, ValueError, KeyError) as error:
        raise FormatError(f"{place}: is no reply of a model; is this another kind of journal?") from error


def _declined(text: str) -> str:
    said = _line(text)
    return f"it says: {said if len(said) <= 120 else said[:119] + '…'}"


def _line(text: str) -> str:
    return " ".join(text.split())
