"""What each processor of transformers wants: how frames, their times and their sizes go in.

A `Dialect` is chosen by the processor's class, because that is what reads the frames. `ProcessorPreparer` then makes
tensors of a prompt with the checkpoint's own chat template.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from longshot.chat_models._engine import Misfit, Prepared, Settings
from longshot.contracts import Frames, Prompt

# Frame times go in as whole numbers of this part of a second.
_TICKS = 1_000_000
_TRIES = 4


class Plan(NamedTuple):
    """What is done with a prompt's frames.

    kept: the places of the frames that are shown. pixels: most pixels of each. tokens: what they take then. least:
    pixels below which a frame is enlarged, 0 for the family's own.
    """

    kept: tuple[int, ...]
    pixels: int
    tokens: int
    least: int = 0


class Sent(NamedTuple):
    """How frames go to a processor.

    pieces: the parts of the first turn before its text, as a chat template takes them. options: for the processor's
    call. rewrite: what becomes of the template's text before the processor sees it.
    """

    pieces: Sequence[Mapping[str, Any]]
    options: Mapping[str, Any]
    rewrite: Callable[[str], str] = str


class Dialect:
    """Frames for one kind of processor: this one for those that take a video as it is, at a size of their own.

    mixes: whether prompts with different tensors can share a batch. along: as in `Prepared`. stills_are_videos: whether
    the family knows a single picture as a video of one frame. tells_times: whether each frame of several stands behind
    its time in seconds, to a tenth at least.
    """

    mixes = False
    along: ClassVar[Mapping[str, int]] = {}
    stills_are_videos = False
    tells_times = False

    def __init__(self, processor: Any, config: Any) -> None:
        self.processor = processor
        self.config = config

    def plan(self, frames: Frames, *, most: int, settings: Settings) -> Plan:
        """Which frames to show, and how large, with at most so many visual tokens (0: no limit).

        Raises Misfit when not even one frame fits.
        """
        each = self.tokens_each(frames)
        fitting = len(frames) if not most or not each else int(most // each)
        if not fitting:
            raise Misfit(f"one frame takes {each:g} visual tokens, and there is room for {most}")
        kept = thinned(len(frames), fitting)
        return Plan(kept, 0, math.ceil(each * len(kept)))

    def tokens_each(self, frames: Frames) -> float:
        """Visual tokens of one of these frames; 0 when that cannot be known before."""
        return 0

    def send(self, frames: Frames, plan: Plan) -> Sent:
        """The frames of a plan for the processor."""
        if len(frames) == 1:
            return Sent([{"type": "image"}], {"images": [frames.pixels[0]]})
        details = {
            "do_sample_frames": False,
            "video_metadata": [metadata(frames)],
            "input_data_format": "channels_last",
        }
        return Sent([{"type": "video"}], {"videos": [frames.pixels], "videos_kwargs": details})

    def finish(self, inputs: dict[str, Any], frames: Frames | None) -> dict[str, Any]:
        """The processor's answer, put right where it must be."""
        return inputs


class Qwen2Dialect(Dialect):
    """Qwen2-VL: pairs of frames, at a size between two bounds, without times."""

    mixes = True
    stills_are_videos = True
    # Most and least pixels of a video's frame in the family's own preparation, in tokens of a merged patch.
    _most, _least = 768, 128

    @property
    def _factor(self) -> int:
        return int(self.processor.video_processor.patch_size * self.processor.video_processor.merge_size)

    def plan(self, frames: Frames, *, most: int, settings: Settings) -> Plan:
        """Smaller frames first, down to the family's least, then fewer, evenly."""
        image = len(frames) == 1
        height, width = frames.pixels.shape[1:3]
        high, low = self._bounds(image)
        high = settings.frame_pixels or high
        # Apart, because rounding up to whole tokens can pass the upper bound where the lower one is near.
        low = min(low, high // 2)
        together = 1 if image else int(self.processor.video_processor.temporal_patch_size)

        def plan(count: int, pixels: int) -> Plan:
            rows, columns = resized(height, width, factor=self._factor, least=low, most=pixels)
            one = (rows // self._factor) * (columns // self._factor)
            return Plan(thinned(len(frames), count), pixels, math.ceil(count / together) * one, low)

        whole = plan(len(frames), high)
        if not most or whole.tokens <= most:
            return whole
        share = most // math.ceil(len(frames) / together) * self._factor**2
        smaller = plan(len(frames), max(low, share))
        if smaller.tokens <= most:
            return smaller
        one = plan(1, low).tokens
        count = most // one * together
        if not count:
            raise Misfit(f"one frame takes {one} visual tokens at the least, and there is room for {most}")
        return plan(min(count, len(frames)), low)

    def send(self, frames: Frames, plan: Plan) -> Sent:
        """Bounds that give each frame the size of the plan."""
        low = plan.least or min(self._bounds(len(frames) == 1)[1], plan.pixels)
        if len(frames) == 1:
            size = {"shortest_edge": low, "longest_edge": plan.pixels}
            return Sent([{"type": "image"}], {"images": [frames.pixels[0]], "images_kwargs": {"size": size}})
        # The processor would repeat the last frame to a whole pair, after it has shared out the pixels.
        frames = paired(frames, int(self.processor.video_processor.temporal_patch_size))
        details: dict[str, Any] = {
            "do_sample_frames": False,
            "video_metadata": [metadata(frames)],
            "input_data_format": "channels_last",
            "size": self._size(low, plan.pixels, len(frames)),
        }
        if "cap_pixels_per_frame" in getattr(self.processor.video_processor.valid_kwargs, "__annotations__", {}):
            details["cap_pixels_per_frame"] = False
        return Sent([{"type": "video"}], {"videos": [frames.pixels], "videos_kwargs": details}, self._rewrite)

    def _bounds(self, image: bool) -> tuple[int, int]:
        """Most and least pixels of a frame."""
        if image:
            size = self.processor.image_processor.size
            return int(size["longest_edge"]), int(size["shortest_edge"])
        return self._most * self._factor**2, self._least * self._factor**2

    def _size(self, low: int, high: int, count: int) -> dict[str, int]:
        return {"shortest_edge": low, "longest_edge": high}

    def _rewrite(self, text: str) -> str:
        return text


class Qwen25Dialect(Qwen2Dialect):
    """Qwen2.5-VL: the time between pairs of frames goes into their positions."""

    def finish(self, inputs: dict[str, Any], frames: Frames | None) -> dict[str, Any]:
        """The seconds from pair to pair as they are on average; the model's positions know no other spacing."""
        if frames is not None and len(frames) > 1:
            together = int(self.processor.video_processor.temporal_patch_size)
            seconds = float(frames.times[-1] - frames.times[0]) / (len(frames) - 1) * together
            inputs["second_per_grid_ts"] = torch.tensor([seconds], dtype=torch.float32)
        return inputs


class Qwen3Dialect(Qwen2Dialect):
    """Qwen3-VL and later: each pair of frames stands behind its time in seconds, and bounds are for all frames."""

    tells_times = True

    def _size(self, low: int, high: int, count: int) -> dict[str, int]:
        return {"shortest_edge": low * count, "longest_edge": high * count}

    def _rewrite(self, text: str) -> str:
        # The processor brings vision marks for each pair; the template's own would stand around all of them.
        video = self.processor.video_token
        marks = f"{self.processor.vision_start_token}{video}{self.processor.vision_end_token}"
        return text.replace(marks, video)


DIALECTS: dict[str, type[Dialect]] = {
    "Qwen2VLProcessor": Qwen2Dialect,
    "Qwen2_5_VLProcessor": Qwen25Dialect,
    "Qwen3VLProcessor": Qwen3Dialect,
}


@dataclass
class ProcessorPreparer:
    """Prompts through the processor and chat template of a checkpoint."""

    processor: Any
    dialect: Dialect

    @property
    def tokenizer(self) -> Any:
        """The processor's tokenizer."""
        return self.processor.tokenizer

    @property
    def mixes(self) -> bool:
        """As the dialect says."""
        return self.dialect.mixes

    @property
    def stills_are_videos(self) -> bool:
        """As the dialect says."""
        return self.dialect.stills_are_videos

    @property
    def tells_times(self) -> bool:
        """As the dialect says."""
        return self.dialect.tells_times

    @cached_property
    def breaks_after_pictures(self) -> bool:
        """Whether the chat template itself puts a newline between the pictures and the words."""
        return "\nwords" in self._said(Prompt("words"), [{"type": "video"}])

    def count_tokens(self, text: str) -> int:
        """Tokens of a text, without those that a prompt begins and ends with."""
        return len(self.tokenizer(text, add_special_tokens=False)["input_ids"])

    def prepare(self, prompt: Prompt, *, room: int, settings: Settings) -> Prepared:
        """A prompt as tensors; frames become smaller, then fewer, until it fits. Raises Misfit."""
        prompt, note = self._harmless(prompt)
        frames = prompt.frames
        if frames is not None and not len(frames):
            raise Misfit("its frames are none: leave them out, or give at least one")
        if frames is None:
            return Prepared(self._inputs(prompt, None), note, self.dialect.along)
        words = self.count_tokens(self._said(prompt, ()))
        most = settings.visual_tokens
        if room:
            if words >= room:
                raise Misfit(f"the text alone has {words} tokens, and there is room for {room}")
            most = min(most or room - words, room - words)
        for _ in range(_TRIES):
            plan = self.dialect.plan(frames, most=most, settings=settings)
            inputs = self._inputs(prompt, plan)
            over = int(inputs["input_ids"].shape[1]) - room if room else 0
            if over <= 0:
                told = "; ".join(filter(None, (self._told(frames, plan, settings), note)))
                return Prepared(inputs, told, self.dialect.along)
            # What stands between frames (times, marks) counts too; it is known only now.
            most = plan.tokens - over
            if most <= 0:
                break
        raise Misfit(f"the text and one frame do not fit: there is room for {room} tokens, the text has {words}")

    def _inputs(self, prompt: Prompt, plan: Plan | None) -> dict[str, torch.Tensor]:
        if plan is None or prompt.frames is None:
            sent, shown = Sent((), {}), None
        else:
            kept = list(plan.kept)
            shown = Frames(prompt.frames.pixels[kept], prompt.frames.times[kept])
            sent = self.dialect.send(shown, plan)
        text = sent.rewrite(self._said(prompt, sent.pieces))
        begin = self.tokenizer.bos_token
        doubled = {"add_special_tokens": False} if begin and text.startswith(begin) else {}
        made = dict(self.processor(text=[text], return_tensors="pt", **doubled, **sent.options))
        made = self.dialect.finish(made, shown)
        return {name: torch.as_tensor(value) for name, value in made.items() if name != "video_metadata"}

    def _said(self, prompt: Prompt, pieces: Sequence[Mapping[str, Any]]) -> str:
        """The prompt in the words of the chat template, up to where the reply begins."""
        turns: list[dict[str, Any]] = []
        if prompt.system:
            turns.append({"role": "system", "content": [{"type": "text", "text": prompt.system}]})
        asked = [*(exchange.asked for exchange in prompt.history), prompt.text]
        for place, text in enumerate(asked):
            content = [*(dict(piece) for piece in pieces if not place), {"type": "text", "text": text}]
            turns.append({"role": "user", "content": content})
            if place < len(prompt.history):
                answer = [{"type": "text", "text": prompt.history[place].answered}]
                turns.append({"role": "assistant", "content": answer})
        return str(self.processor.apply_chat_template(turns, tokenize=False, add_generation_prompt=True))

    def _harmless(self, prompt: Prompt) -> tuple[Prompt, str]:
        """The prompt with the model's control tokens in its texts broken up, so that they are text; and a note."""
        broken: list[str] = []

        def clean(text: str) -> str:
            for token in self._controls:
                if token in text:
                    broken.append(token)
                    text = text.replace(token, f"{token[0]} {token[1:]}")
            return text

        history = tuple(
            exchange._replace(asked=clean(exchange.asked), answered=clean(exchange.answered))
            for exchange in prompt.history
        )
        changed = dataclasses.replace(prompt, text=clean(prompt.text), system=clean(prompt.system), history=history)
        return changed, f"control tokens written as text: {', '.join(sorted(set(broken)))}" if broken else ""

    @property
    def _controls(self) -> list[str]:
        # What the processor swaps for pictures is not always a token of the tokenizer.
        places = (getattr(self.processor, name, None) for name in ("image_token", "video_token"))
        found = [*self.tokenizer.all_special_tokens, *filter(None, places)]
        return [token for token in dict.fromkeys(found) if len(token) > 2]

    def _told(self, frames: Frames, plan: Plan, settings: Settings) -> str:
        """What was done to make the frames fit."""
        whole = self.dialect.plan(frames, most=0, settings=settings)
        told = []
        if len(plan.kept) < len(frames):
            told.append(f"{len(plan.kept)} of {len(frames)} frames used")
        if plan.pixels < whole.pixels and plan.tokens < whole.tokens:
            told.append(f"frames reduced to {plan.tokens} of {whole.tokens} visual tokens")
        return ", ".join(told)


def thinned(count: int, wanted: int) -> tuple[int, ...]:
    """At most `wanted` of `count` places, evenly: the middles of equal parts. (8, 4) gives 1, 3, 5, 7."""
    if wanted >= count:
        return tuple(range(count))
    return tuple(int((place + 0.5) * count / wanted) for place in range(wanted))


def paired(frames: Frames, together: int) -> Frames:
    """The frames with the last one repeated until their number is a multiple of `together`."""
    extra = -len(frames) % together
    if not extra:
        return frames
    return Frames(
        np.concatenate([frames.pixels, np.repeat(frames.pixels[-1:], extra, axis=0)]),
        np.concatenate([frames.times, np.repeat(frames.times[-1:], extra)]),
    )


def resized(height: int, width: int, *, factor: int, least: int, most: int) -> tuple[int, int]:
    """The size that Qwen's processors give a frame: multiples of `factor`, area between bounds, shape about kept.

    Both sides go to the nearest multiple; when the area is then above `most` they are scaled by the root of
    most / area and rounded down, when below `least` scaled up and rounded up. 720 x 1280 with most 230,400 is
    336 x 616 (factor 28). Raises Misfit for a side more than 200 times the other.
    """
    if max(height, width) > 200 * min(height, width):
        raise Misfit(f"a frame of {width} x {height} pixels is too narrow: its sides may differ 200 times")
    rows, columns = round(height / factor) * factor, round(width / factor) * factor
    if rows * columns > most:
        scale = math.sqrt(height * width / most)
        rows = max(factor, math.floor(height / scale / factor) * factor)
        columns = max(factor, math.floor(width / scale / factor) * factor)
    elif rows * columns < least:
        scale = math.sqrt(least / (height * width))
        rows = math.ceil(height * scale / factor) * factor
        columns = math.ceil(width * scale / factor) * factor
    return rows, columns


def metadata(frames: Frames) -> dict[str, Any]:
    """The times of frames as a processor reads them: frame k of a video of a million frames a second.

    A processor computes index / fps, so that times come out exact to a microsecond whatever the frame rate did.
    """
    ticks: NDArray[np.int64] = np.round(frames.times * _TICKS).astype(np.int64)
    seconds = float(frames.times[-1] - frames.times[0]) * len(frames) / max(1, len(frames) - 1)
    height, width = frames.pixels.shape[1:3]
    return {
        "total_num_frames": max(1, round(seconds * _TICKS)),
        "fps": float(_TICKS),
        "duration": seconds,
        "frames_indices": [int(tick) for tick in ticks],
        "height": int(height),
        "width": int(width),
    }
