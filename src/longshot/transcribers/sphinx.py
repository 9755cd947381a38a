"""Rough English by CMU Sphinx; small, offline, and quiet when it is not sure (pocketsphinx)."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from difflib import SequenceMatcher
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import pocketsphinx

from longshot import languages
from longshot.audio import Sound, listen
from longshot.timeline import Caption, Source, Track
from longshot.transcribers._pieces import quietest
from longshot.transcribers._sentences import Word, captions_of

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from longshot.contracts import Progress
    from longshot.video import Video

NEEDS = ("pocketsphinx",)
EXTRA = "sphinx"

_RATE = 16000  # samples a second that its model was trained on
_FRAMES = 100  # of its own frames a second
_PAUSE = 0.8  # seconds without a voice that end a piece; shorter pieces give the model too little to go by
_LONGEST = 20.0  # seconds decoded at once; music that passes for a voice never ends by itself
_SEARCH = 6.0  # seconds at the end of such a piece in which the quietest place is looked for
_LOUDNESS = 0.09  # root mean square that its model hears best
_MOST_GAIN = 10.0
_SILENT = 0.002  # root mean square, -54 dB: nobody speaks to us there
_FEWEST_WORDS = 3
_SLOWEST = 1.5  # words a second; music and noise give fewer, speech gives 1.8 to 5
_LEAST_SURE = 0.35  # mean posterior of the words
_SECOND_WEIGHT = 9.5  # of the language model in the second hearing; the first has its own 6.5
_LEAST_AGREED = 0.5  # of the words that both hearings must share; speech gives 0.7 and more, guesses 0.1
_VARIANT = re.compile(r"\(\d+\)$")
_NO_WORD = ("<", "[", "+")


def load() -> Sphinx:
    """The recogniser with the English model of its wheel; it has no options."""
    return Sphinx()


@dataclass(slots=True)
class _Tally:
    """Pieces of sound that passed for a voice, and how many of them were left out again."""

    pieces: int = 0
    dropped: int = 0

    def __str__(self) -> str:
        if not self.pieces:
            return "no voice was heard"
        if not self.dropped:
            return ""
        return f"{self.dropped} of {self.pieces} pieces left out as noise or too uncertain"


class Sphinx:
    """Recognises English, roughly: about one word in four is wrong in clear speech, more in any noise.

    Pieces that sound like a voice are decoded one by one. A piece becomes words only when it has at least 3 of them,
    1.5 a second, with a mean posterior of 0.35, and when a second hearing that trusts its ears less agrees on half of
    them: a soundtrack without speech gives no words.
    """

    def why_not(self, video: Video, *, language: str | None = None) -> str:
        """Why nothing can be heard here, in a few words; "" when something can."""
        if not video.has_audio:
            return "the file has no sound"
        if language is not None and not languages.same(language, "en"):
            return f"it knows only English, not {language}"
        return ""

    def transcribe(self, video: Video, *, language: str | None, progress: Progress | None = None) -> Track | None:
        """What was understood as a track of level "speech"; None without sound or for another language than English."""
        if self.why_not(video, language=language):
            return None
        hearings = _Hearings()
        sounds = listen(video, rate=_RATE, language=language)
        tally = _Tally()
        captions: list[Caption] = []
        for piece in _voices(_told(sounds, video.duration, progress)):
            words = _words(hearings.first, piece)
            tally.pieces += 1
            if _is_speech(words, piece) and _agreed(words, _words(hearings.second, piece)):
                captions += captions_of(words)
            else:
                tally.dropped += 1
        notes = ["rough: made by sphinx, expect wrong words", str(tally), str(sounds.damage)]
        source = Source("transcribe", "sphinx", _version(), {"language": "en"}, "; ".join(n for n in notes if n))
        return Track(video.id, "speech", source, tuple(captions), video.name, video.duration)


class _Hearings:
    """The two decoders; the second is opened when there is something to confirm."""

    @cached_property
    def first(self) -> Any:
        return pocketsphinx.Decoder(samprate=_RATE, loglevel="FATAL")

    @cached_property
    def second(self) -> Any:
        return pocketsphinx.Decoder(samprate=_RATE, loglevel="FATAL", lw=_SECOND_WEIGHT)


def _version() -> str:
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version("pocketsphinx")
    except PackageNotFoundError:
        return ""


def _told(sounds: Iterable[Sound], total: float, progress: Progress | None) -> Iterator[Sound]:
    for sound in sounds:
        yield sound
        if progress is not None:
            progress(min(sound.end, total), total)


def _voices(sounds: Iterable[Sound]) -> Iterator[Sound]:
    """Stretches of sound in which the voice detector hears someone, at most 20 s each."""
    strictness = pocketsphinx.Vad.MEDIUM_STRICT
    detector = pocketsphinx.Endpointer(window=_PAUSE, vad_mode=strictness, sample_rate=_RATE)
    held: list[bytes] = []
    start = 0.0
    for heard in _detected(detector, sounds):
        if not held:
            start = detector.speech_start
        held.append(heard)
        if not detector.in_speech:
            yield from _loud_enough(_sound(held, start))
            held = []
        elif sum(map(len, held)) > 2 * _RATE * _LONGEST:
            piece = _sound(held, start)
            cut = quietest(piece.samples, _RATE, after=int((_LONGEST - _SEARCH) * _RATE))
            yield from _loud_enough(Sound(piece.samples[:cut], _RATE, start))
            held = [b"".join(held)[2 * cut :]]
            start += cut / _RATE
    if held:
        yield from _loud_enough(_sound(held, start))


def _detected(detector: Any, sounds: Iterable[Sound]) -> Iterator[bytes]:
    """What the detector lets through, frame by frame. It counts time from its first sample, which is at 0."""
    width = detector.frame_bytes
    rest = b""
    for sound in sounds:
        rest += _pcm(sound.samples)
        whole = len(rest) - len(rest) % width
        for at in range(0, whole, width):
            heard = detector.process(rest[at : at + width])
            if heard is not None:
                yield heard
        rest = rest[whole:]
    heard = detector.end_stream(rest or b"\0\0")  # it fails on nothing at all
    if heard:
        yield heard


def _pcm(samples: NDArray[np.float32]) -> bytes:
    return (np.clip(samples, -1, 1) * 32767).astype("<i2").tobytes()


def _sound(held: list[bytes], start: float) -> Sound:
    return Sound(np.frombuffer(b"".join(held), "<i2").astype(np.float32) / np.float32(32768), _RATE, start)


def _loud_enough(sound: Sound) -> Iterator[Sound]:
    if len(sound) and _loudness(sound) >= _SILENT:
        yield sound


def _loudness(sound: Sound) -> float:
    return float(np.sqrt(np.mean(np.square(sound.samples, dtype=np.float64))))


def _words(decoder: Any, piece: Sound) -> list[Word]:
    """The words of one piece, brought to the loudness that the model likes."""
    gain = min(_LOUDNESS / _loudness(piece), _MOST_GAIN)
    decoder.start_utt()
    decoder.process_raw(_pcm(piece.samples * np.float32(gain)), full_utt=True)
    decoder.end_utt()
    if decoder.hyp() is None:
        return []
    return [
        Word(
            f" {_written(segment.word)}",
            round(piece.start + segment.start_frame / _FRAMES, 3),
            round(piece.start + (segment.end_frame + 1) / _FRAMES, 3),
            min(1.0, float(segment.prob)),
        )
        for segment in decoder.seg()
        if not segment.word.startswith(_NO_WORD)
    ]


def _written(word: str) -> str:
    """As one writes it: without the number of its pronunciation, and "I" large."""
    word = _VARIANT.sub("", word)
    return "I" + word[1:] if word == "i" or word.startswith("i'") else word


def _is_speech(words: list[Word], piece: Sound) -> bool:
    seconds = len(piece) / piece.rate
    if len(words) < _FEWEST_WORDS or len(words) < _SLOWEST * seconds:
        return False
    return sum(word.score for word in words) >= _LEAST_SURE * len(words)


def _agreed(words: list[Word], again: list[Word]) -> bool:
    """Whether two hearings share enough words in the same order. Right words come back, guesses change."""
    first, second = ([word.text for word in heard] for heard in (words, again))
    shared = sum(block.size for block in SequenceMatcher(None, first, second, autojunk=False).get_matching_blocks())
    return shared >= _LEAST_AGREED * len(words)
