"""A chat model's own words for each scene, from its frames, speech and on-screen text; needs --model."""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from longshot.asking import Answer, Desk, Question
from longshot.contracts import ChatModel, Description, Glance, Scene
from longshot.errors import UsageError
from longshot.journal import State
from longshot.models import open_chat_model
from longshot.prompts import load_prompt
from longshot.sampling import Sampler
from longshot.timeline import Caption, Source, Span, clock

HEIGHT = 480  # pixels: about what the chat models of today take in, and a quarter of the work of full HD
WORDS = 120
_UNKNOWN_CONTEXT = 8192


def load(
    *,
    model: str | ChatModel | Desk = "",
    prompt: str = "clip",
    frames: int = -1,
    height: int = HEIGHT,
    answers: str | os.PathLike[str] | None = None,
) -> Chat:
    """The describer. model: a name that `longshot.models` opens, an open model, or a desk that several share.

    prompt: a name of `longshot.prompts` or a file; its places are $start, $end, $context and $words. frames: how many a
    scene; -1 takes one a second, 8 at least and 32 at most; 0 shows none. height: of the frames in pixels. answers: a
    journal file, so that nothing is asked twice.
    """
    if not model:
        raise UsageError("the describer chat puts scenes to a model: say which, with --model NAME")
    if frames < -1 or height < 1:
        raise UsageError(f"frames is a number from 0 up (or -1 to choose), height from 1 up, got {frames} and {height}")
    desk = model if isinstance(model, Desk) else Desk(open_chat_model(model) if isinstance(model, str) else model)
    return Chat(desk, prompt=prompt, frames=frames, height=height, answers=Path(answers) if answers else None)


class Chat:
    """Puts scenes to a chat model; one object serves one video."""

    def __init__(self, desk: Desk, *, prompt: str, frames: int, height: int, answers: Path | None) -> None:
        self.desk = desk
        self.height = height
        self.answers = answers
        self._prompt = load_prompt(prompt)
        self._frames = frames

    @property
    def source(self) -> Source:
        """The model, with its settings and the prompt."""
        model = self.desk.model.source
        settings: dict[str, Any] = {
            **model.settings,
            "prompt": self._prompt.name,
            "prompt_digest": self._prompt.digest,
            "frames": "1 a second, 8 to 32" if self._frames < 0 else self._frames,
            "height": self.height,
        }
        return Source("describe", model.model, model.revision, settings, model.note)

    def see(self, glance: Glance) -> None:
        """It looks at frames chosen for each scene instead."""

    def sample(self, span: Span) -> list[float]:
        """The seconds of a scene that it wants to see."""
        return sample(span, self._frames)

    def describe(self, scenes: Sequence[Scene]) -> list[Description]:
        """One description for each scene, in order; one that got no answer is empty and says why in its details."""
        questions = [
            Question(str(place), self._text(scene), look=scene.look, frames=None if scene.look else scene.frames)
            for place, scene in enumerate(scenes)
        ]
        told = {answer.id: answer for answer in self.desk.ask(questions, journal=self.answers)}
        return [_description(told[question.id]) for question in questions]

    def _text(self, scene: Scene) -> str:
        room = (self.desk.model.context or _UNKNOWN_CONTEXT) // 2
        context = "\n\n".join(
            part
            for part in (
                self._listed("What is said meanwhile:", scene.speech, scene.span, room // 2),
                self._listed("What stands on screen:", scene.screen_text, scene.span, room // 2),
            )
            if part
        )
        values = {
            "start": clock(scene.span.start),
            "end": clock(scene.span.end),
            "context": f"\n{context}\n" if context else "",
            "words": str(WORDS),
        }
        return self._prompt.fill(**values)

    def _listed(self, head: str, captions: Sequence[Caption], span: Span, room: int) -> str:
        """Captions as a list that fits `room` tokens: all of them, or an even choice that says so."""
        lines = [f"- {clock(max(c.span.start, span.start))} {' '.join(c.text.split())}" for c in captions if c.text]
        if not lines:
            return ""
        kept = lines
        while len(kept) > 1 and self.desk.model.count_tokens("\n".join(kept)) > room:
            step = len(lines) / max(1, math.floor(len(kept) * 0.7))
            kept = [lines[int(i * step)] for i in range(max(1, math.floor(len(kept) * 0.7)))]
        some = f" ({len(kept)} of {len(lines)} lines, evenly chosen)" if len(kept) < len(lines) else ""
        return "\n".join([head.removesuffix(":") + some + ":", *kept])


def sample(span: Span, frames: int) -> list[float]:
    """The middles of equal parts of a span: `frames` of them, or one a second, 8 to 32, when it is -1.

    A span of 4 s gets 8, one of 20 s 20, one of an hour 32.
    """
    count = min(max(math.ceil(span.length), 8), 32) if frames < 0 else frames
    return Sampler("middle", count=count).times(span) if count else []


def _description(answer: Answer) -> Description:
    details: dict[str, Any] = {}
    if answer.state is not State.DONE:
        details |= {"state": answer.state.value, "reason": answer.reason}
    if answer.note:
        details["note"] = answer.note
    return Description(answer.text if answer.state is State.DONE else "", details)
