from __future__ import annotations

import importlib.util
import sys
from collections.abc import Callable, Sequence
from itertools import pairwise
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any, ClassVar

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from longshot import languages, transcribers
from longshot.audio import Sound
from longshot.errors import FormatError, LongshotError, UsageError
from longshot.timeline import Span, Track
from longshot.transcribers import embedded, sidecar
from longshot.transcribers._pieces import pieces, quietest
from longshot.transcribers._sentences import LONGEST, WIDEST, Word, captions_of
from longshot.video import SubtitleStream, Video, open_video
from tests.test_audio import RATE, SRT, VTT, clicks, with_subtitles, write

CUE = "1\n00:00:00,500 --> 00:00:01,000\n{}\n"


# Languages ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("tag", "code"),
    [
        ("en", "en"),
        ("eng", "en"),
        ("EN-us", "en"),
        ("pt_BR", "pt"),
        ("ger", "de"),
        ("deu", "de"),
        ("German", "de"),
        ("zh-Hans", "zh"),
        ("", ""),
        ("part2", ""),
        ("und", ""),
    ],
)
def test_tags_of_one_language(tag: str, code: str) -> None:
    assert languages.code(tag) == code


def test_languages_that_are_the_same() -> None:
    assert languages.same("en-GB", "eng") and languages.same("tlh", "TLH-x")
    assert not languages.same("en", "de") and not languages.same("", "") and not languages.same("und", "und")
    assert languages.known("tlh") and languages.known("French")
    assert not languages.known("und") and not languages.known("klingon") and not languages.known("")


# Words into captions --------------------------------------------------------------------------------------------


def spoken(text: str, *, start: float = 0.0, each: float = 0.3, gap: float = 0.05) -> list[Word]:
    words = text.split()
    return [
        Word(f" {w}", round(start + i * (each + gap), 3), round(start + i * (each + gap) + each, 3), 0.5)
        for i, w in enumerate(words)
    ]


def test_a_pause_and_the_end_of_a_sentence_end_a_caption() -> None:
    words = spoken("hello there", start=1.0) + spoken('you said "go." Dr. Who left', start=3.0)
    captions = captions_of(words)
    assert [caption.text for caption in captions] == ["hello there", 'you said "go."', "Dr. Who left"]
    assert captions[0].span == Span(1.0, 1.65)
    assert captions[0].score == 0.5
    assert captions[0].details["words"][1] == {"text": "there", "start": 1.35, "end": 1.65, "score": 0.5}


def test_a_long_sentence_is_parted_at_its_comma() -> None:
    text = "when the rain had come down for the whole of that day, the river rose over both of its banks"
    assert [caption.text for caption in captions_of(spoken(text))] == text.replace("day, ", "day,|").split("|")


def test_languages_without_spaces_get_none() -> None:
    words = [Word(c, i * 0.2, i * 0.2 + 0.2, 1.0) for i, c in enumerate("今日は良い天気。散歩する")]
    assert [caption.text for caption in captions_of(words)] == ["今日は良い天気。", "散歩する"]


@given(st.lists(st.tuples(st.text("abc.,", min_size=1, max_size=12), st.floats(0.05, 1.0), st.floats(0.0, 1.5))))
def test_captions_hold_every_word_once_and_stay_short(script: list[tuple[str, float, float]]) -> None:
    words, now = [], 0.0
    for text, length, pause in script:
        words.append(Word(" " + text, now, now + length, 1.0))
        now += length + pause
    captions = captions_of(words)
    assert " ".join(caption.text for caption in captions).split() == [text for text, *_ in script]
    assert all(caption.span.length <= LONGEST and len(caption.text) <= WIDEST for caption in captions)
    assert all(a.span.end <= b.span.start for a, b in pairwise(captions))


# Pieces ---------------------------------------------------------------------------------------------------------


def test_the_quietest_place_is_found() -> None:
    samples = np.full(16000, 0.5, np.float32)
    samples[9000:11000] = 0.0
    assert 9000 + 700 <= quietest(samples, 16000, after=0) <= 11000 - 700
    assert quietest(samples, 16000, after=11500) >= 11500
    assert quietest(samples[:100], 16000, after=50) == 100


@given(st.lists(st.integers(1, 3000), max_size=6), st.floats(1.0, 3.0))
def test_pieces_keep_every_sample_in_its_place(lengths: list[int], longest: float) -> None:
    total = sum(lengths)
    whole = np.arange(total, dtype=np.float32)
    edges = np.cumsum([0, *lengths])
    blocks = [Sound(whole[a:b], 1000, a / 1000) for a, b in pairwise(edges)]
    cut = list(pieces(blocks, longest=longest, search=0.5))
    assert all(len(piece) <= longest * 1000 for piece in cut)
    assert all(piece.start * 1000 == pytest.approx(piece.samples[0]) for piece in cut)
    assert np.array_equal(np.concatenate([whole[:0], *(piece.samples for piece in cut)]), whole)


# Sidecar --------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def talk(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write(tmp_path_factory.mktemp("talk") / "talk.mkv", [(0.0, clicks(2.0))], picture_at=0.0)


@pytest.fixture
def video(talk: Path, tmp_path: Path) -> Video:
    """A video of 2 s in a folder of its own."""
    path = tmp_path / "videos" / "Talk.mkv"
    path.parent.mkdir()
    path.write_bytes(talk.read_bytes())
    return open_video(path)


def put(video: Video, name: str, text: str | bytes = "") -> None:
    path = video.path.parent / name
    path.parent.mkdir(exist_ok=True)
    data = text or CUE.format(name)
    path.write_bytes(data if isinstance(data, bytes) else data.encode())


def said(track: Track | None) -> list[str]:
    assert track is not None
    return [caption.text for caption in track]


@pytest.mark.parametrize(
    "name",
    [
        "Talk.srt",
        "TALK.SRT",
        "talk.en.vtt",
        "Talk.pt-BR.srt",
        "Talk.English.sdh.srt",
        "Talk.hi.srt",
        "Talk.en-orig.vtt",
        "Talk.ssa",
        "srts/Talk.srt",
        "../srts/talk.srt",
    ],
)
def test_files_that_belong_to_the_video(video: Video, name: str) -> None:
    put(video, name, VTT if name.endswith("vtt") else "")
    track = sidecar.load().transcribe(video, language=None)
    assert track is not None and len(track) >= 1
    assert (track.level, track.video, track.source.model) == ("speech", video.id, "sidecar")
    assert track.source.settings["file"] == Path(name).name


@pytest.mark.parametrize("name", ["Talk2.srt", "Talk.part2.srt", "Talk.txt", "other.srt", "Talk.en.captions.vtt"])
def test_files_of_others(video: Video, name: str) -> None:
    put(video, name)
    reader = sidecar.load()
    assert reader.why_not(video) == "no Talk.srt, .vtt or .ass beside it"
    assert reader.transcribe(video, language=None) is None


@pytest.mark.parametrize(
    ("names", "language", "chosen"),
    [
        (["Talk.srt", "Talk.de.srt"], None, "Talk.srt"),
        (["Talk.srt", "Talk.de.srt"], "de", "Talk.de.srt"),
        (["Talk.srt", "Talk.de.srt"], "ger", "Talk.de.srt"),
        (["Talk.srt", "Talk.de.srt"], "fr", "Talk.srt"),
        (["Talk.de.srt", "Talk.fr.srt"], "en", None),
        (["Talk.de.srt", "Talk.fr.srt"], None, "Talk.de.srt"),
        (["Talk.en.sdh.srt", "Talk.en.srt"], "en", "Talk.en.srt"),
        (["Talk.en.sdh.srt", "Talk.en.forced.srt"], "en", "Talk.en.sdh.srt"),
        (["Talk.en.forced.srt"], None, None),
        (["srts/Talk.srt", "../srts/Talk.srt"], None, "srts/Talk.srt"),
        (["../srts/Talk.srt", "Talk.srt"], None, "Talk.srt"),
    ],
)
def test_which_file_is_read(video: Video, names: list[str], language: str | None, chosen: str | None) -> None:
    for name in names:
        put(video, name)
    reader = sidecar.load()
    track = reader.transcribe(video, language=language)
    assert (said(track) if track else None) == ([chosen] if chosen else None)
    assert bool(reader.why_not(video, language=language)) == (chosen is None)


def test_a_file_that_cannot_be_read_makes_room_for_the_next(video: Video) -> None:
    put(video, "Talk.srt", "no times here\n")
    with pytest.raises(FormatError, match=r"Talk\.srt"):
        sidecar.load().transcribe(video, language=None)
    put(video, "Talk.en.srt")
    track = sidecar.load().transcribe(video, language=None)
    assert said(track) == ["Talk.en.srt"]
    assert track is not None and "Talk.srt" in track.source.note


def test_captions_past_the_end_are_left_out_and_told(video: Video) -> None:
    put(video, "Talk.srt", SRT + "\n3\n00:01:00,000 --> 00:01:02,000\nfar\n")
    track = sidecar.load().transcribe(video, language=None)
    assert said(track) == ["Hello\nworld", "Again & again"]
    assert track is not None and track.captions[1].span == Span(1.6, video.duration)
    assert track.source.note == "1 of 3 captions lie after the video's end: is this its file?"


# Embedded -------------------------------------------------------------------------------------------------------


def stream(index: int, language: str = "und", title: str = "", **more: Any) -> SubtitleStream:
    return SubtitleStream(index, language, more.pop("codec", "subrip"), title, **more)


def with_streams(monkeypatch: pytest.MonkeyPatch, streams: Sequence[SubtitleStream]) -> Any:
    monkeypatch.setattr(embedded, "spoken_language", lambda video: "eng")
    return SimpleNamespace(subtitles=tuple(streams), path=Path("talk.mkv"))


@pytest.mark.parametrize(
    ("streams", "language", "chosen"),
    [
        ([stream(2, "eng"), stream(3, "ger")], None, 2),
        ([stream(2, "ger"), stream(3, "eng")], None, 3),
        ([stream(2, "ger", default=True), stream(3, "fre")], None, 2),
        ([stream(2, "eng"), stream(3, "ger")], "de", 3),
        ([stream(2, "eng", "SDH", default=True), stream(3, "eng")], "en", 3),
        ([stream(2, "eng", "English [CC]"), stream(3, "eng", forced=True)], "en", 2),
        ([stream(2, "eng", "Signs & Songs"), stream(3, "eng", "Full subtitles")], None, 3),
        ([stream(2, "eng", "Full + Songs")], None, 2),
        ([stream(2, "eng", "Director's commentary"), stream(3)], "en", 3),
        ([stream(2, "eng", codec="hdmv_pgs_subtitle"), stream(3, "eng", codec="ass")], "en", 3),
    ],
)
def test_which_stream_is_read(
    monkeypatch: pytest.MonkeyPatch, streams: list[SubtitleStream], language: str | None, chosen: int
) -> None:
    video = with_streams(monkeypatch, streams)
    assert embedded.load().why_not(video, language=language) == ""
    assert embedded.choose(video, language).index == chosen


@pytest.mark.parametrize(
    ("streams", "language", "reason"),
    [
        ([], None, "no subtitle stream in the file"),
        ([stream(2, codec="dvd_subtitle")], None, "its subtitle streams are pictures (dvd_subtitle), not text"),
        ([stream(2, forced=True)], None, "its subtitle streams hold only forced lines or commentary"),
        ([stream(2, "ger"), stream(3, "fre")], "en", "its subtitle streams are in fre, ger, not in en"),
    ],
)
def test_why_no_stream_is_read(
    monkeypatch: pytest.MonkeyPatch, streams: list[SubtitleStream], language: str | None, reason: str
) -> None:
    video = with_streams(monkeypatch, streams)
    assert embedded.load().why_not(video, language=language) == reason
    assert embedded.load().transcribe(video, language=language) is None


def test_the_stream_of_a_file(tmp_path: Path) -> None:
    video = open_video(with_subtitles(tmp_path / "talk.mkv", SRT, ".srt"))
    told: list[tuple[float, float]] = []
    track = embedded.load().transcribe(video, language="en", progress=lambda *a: told.append(a))
    assert said(track) == ["Hello\nworld", "Again & again"]
    assert track is not None
    assert (track.source.settings["stream"], track.source.settings["language"]) == (2, "eng")
    assert told == [(video.duration, video.duration)]


# Whisper, with an engine that is not there ----------------------------------------------------------------------


def opened_with(monkeypatch: pytest.MonkeyPatch, name: str, *packages: ModuleType) -> Any:
    """The shelf file `name`, imported afresh while `packages` stand for the real ones."""
    for package in packages:
        monkeypatch.setitem(sys.modules, package.__name__, package)
    path = Path(transcribers.__file__).with_name(f"{name}.py")
    spec = importlib.util.spec_from_file_location(f"{name}_under_test", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, spec.name, module)
    spec.loader.exec_module(module)
    return module


class FakeWhisper:
    """Hears "hello world." in the 0.3 s after each click-free start, and remembers how it was called."""

    calls: ClassVar[list[dict[str, Any]]] = []
    language = "de"

    def __init__(self, folder: str, **options: Any) -> None:
        type(self).calls = [{"folder": folder, **options}]

    def transcribe(self, samples: Any, **options: Any) -> tuple[list[Any], Any]:
        self.calls.append({"samples": samples, **options})
        words = [SimpleNamespace(word=" hello", start=0.1, end=0.3, probability=0.9)]
        words.append(SimpleNamespace(word=" world.", start=0.3, end=0.6, probability=0.7))
        segment = SimpleNamespace(text=" hello world.", start=0.1, end=0.6, words=words)
        bare = SimpleNamespace(text=" bye", start=0.8, end=0.9, words=None)
        return [segment, bare], SimpleNamespace(language=self.language)


def fake_whisper(monkeypatch: pytest.MonkeyPatch, download: Callable[..., str]) -> Any:
    package, inner = ModuleType("faster_whisper"), ModuleType("faster_whisper.utils")
    package.WhisperModel, package.utils = FakeWhisper, inner  # type: ignore[attr-defined]
    package.available_models = lambda: ["tiny", "small"]  # type: ignore[attr-defined]
    inner.download_model = download  # type: ignore[attr-defined]
    return opened_with(monkeypatch, "whisper", package, inner)


def on_disk(model: str, **options: Any) -> str:
    return f"/hub/models--{model}/snapshots/0123456789abcdef"


def nowhere(model: str, *, local_files_only: bool = False) -> str:
    raise FileNotFoundError("no such host\nand more")


def test_whisper_keeps_word_times_and_says_its_language(monkeypatch: pytest.MonkeyPatch, talk: Path) -> None:
    module, video = fake_whisper(monkeypatch, on_disk), open_video(talk)
    told: list[tuple[float, float]] = []
    track = module.load().transcribe(video, language=None, progress=lambda *a: told.append(a))
    assert said(track) == ["hello world.", "bye"]
    assert track.captions[0].span == Span(0.1, 0.6)
    assert track.captions[0].score == pytest.approx(0.8)
    assert [word["text"] for word in track.captions[0].details["words"]] == ["hello", "world."]
    assert track.source.settings == {"model": "small", "language": "de"}
    assert track.source.revision == "0123456789ab"
    assert told == [(pytest.approx(0.6), video.duration), (pytest.approx(0.9), video.duration)]
    opened, called = FakeWhisper.calls
    assert opened["folder"] == on_disk("small")
    assert called["vad_filter"] and called["word_timestamps"] and called["language"] is None
    assert called["samples"].dtype == np.float32 and len(called["samples"]) == pytest.approx(32000, abs=20)


def test_whisper_takes_a_long_sound_in_pieces_on_one_clock(monkeypatch: pytest.MonkeyPatch, talk: Path) -> None:
    module = fake_whisper(monkeypatch, on_disk)
    monkeypatch.setattr(module, "_LONGEST", 0.9)
    monkeypatch.setattr(module, "_SEARCH", 0.1)
    track = module.load(model="tiny").transcribe(open_video(talk), language=None)
    calls = FakeWhisper.calls[1:]
    assert [call["language"] for call in calls] == [None, "de", "de"]
    starts = np.cumsum([0, *(len(call["samples"]) for call in calls[:-1])]) / 16000
    assert [c.span.start for c in track if c.text.startswith("hello")] == pytest.approx(starts + 0.1, abs=0.001)


def test_whisper_without_its_model(monkeypatch: pytest.MonkeyPatch, talk: Path) -> None:
    module, video = fake_whisper(monkeypatch, nowhere), open_video(talk)
    shy = module.load(download=False)
    assert "its model small is not on this disk" in shy.why_not(video)
    assert shy.transcribe(video, language=None) is None
    with pytest.raises(
        LongshotError, match=r"not on this disk and could not be fetched \(no such host\); connect once"
    ):
        module.load().transcribe(video, language=None)
    with pytest.raises(UsageError, match="no whisper model called 'smal': there are tiny, small"):
        module.load(model="smal")


def test_whisper_with_a_broken_model(monkeypatch: pytest.MonkeyPatch, talk: Path, tmp_path: Path) -> None:
    module = fake_whisper(monkeypatch, nowhere)

    def broken(*args: Any, **options: Any) -> None:
        raise RuntimeError("Unable to open file 'model.bin'")

    monkeypatch.setattr(module.faster_whisper, "WhisperModel", broken)
    with pytest.raises(LongshotError, match=r"cannot be opened on cpu \(Unable to open file"):
        module.load(model=str(tmp_path), device="cpu").transcribe(open_video(talk), language=None)


# Sphinx, with a decoder that is not there -----------------------------------------------------------------------


class FakeEndpointer:
    """Speech is what is loud, at once."""

    frame_bytes = 960

    def __init__(self, **options: Any) -> None:
        self.in_speech, self.speech_start, self._seen = False, 0.0, 0

    def process(self, frame: bytes) -> bytes | None:
        loud = bool(np.abs(np.frombuffer(frame, "<i2")).max() > 1000)
        was, self.in_speech = self.in_speech, loud
        if loud and not was:
            self.speech_start = self._seen / 16000
        self._seen += len(frame) // 2
        return frame if loud or was else None

    def end_stream(self, frame: bytes) -> bytes | None:
        was, self.in_speech = self.in_speech, False
        return frame if was else None


class FakeDecoder:
    """Gives the next scripted words for each utterance; one with a language weight of its own gives `again`."""

    again: ClassVar[list[list[tuple[str, int, int, float]]]] = []
    script: ClassVar[list[list[tuple[str, int, int, float]]]] = []
    heard: ClassVar[list[int]] = []

    def __init__(self, **options: Any) -> None:
        self.lines = iter(self.again if "lw" in options else self.script)

    def start_utt(self) -> None:
        self.words = next(self.lines)

    def process_raw(self, data: bytes, *, full_utt: bool) -> None:
        samples = np.frombuffer(data, "<i2").astype(np.float64) / 32768
        self.heard.append(round(float(np.sqrt((samples**2).mean())) * 1000))

    def end_utt(self) -> None:
        pass

    def hyp(self) -> object | None:
        return object() if self.words else None

    def seg(self) -> list[Any]:
        return [SimpleNamespace(word=w, start_frame=a, end_frame=b, prob=p) for w, a, b, p in self.words]


def fake_sphinx(
    monkeypatch: pytest.MonkeyPatch,
    script: list[list[tuple[str, int, int, float]]],
    again: list[list[tuple[str, int, int, float]]] | None = None,
) -> Any:
    package = ModuleType("pocketsphinx")
    package.Decoder, package.Endpointer = FakeDecoder, FakeEndpointer  # type: ignore[attr-defined]
    package.Vad = SimpleNamespace(MEDIUM_STRICT=2)  # type: ignore[attr-defined]
    FakeDecoder.script, FakeDecoder.again, FakeDecoder.heard = script, again or [], []
    return opened_with(monkeypatch, "sphinx", package)


def tones(*parts: tuple[float, float]) -> np.ndarray[Any, np.dtype[np.float32]]:
    """Parts of (seconds, amplitude) of a 440 Hz tone."""
    sound = [a * np.sin(2 * np.pi * 440 * np.arange(round(s * RATE)) / RATE) for s, a in parts]
    return np.concatenate(sound).astype(np.float32)


SURE = [
    ("<s>", 0, 9, 1.0),
    ("hello(2)", 10, 49, 0.9),
    ("i'm", 50, 79, 0.8),
    ("[NOISE]", 80, 89, 0.5),
    ("here", 90, 139, 0.7),
]
UNSURE = [("the", 0, 19, 0.1), ("very", 20, 49, 0.4), ("thing", 50, 99, 0.2)]
GUESSED = [("no", 0, 19, 0.9), ("one", 20, 49, 0.9), ("responded", 50, 99, 0.9)]
TOO_FEW = [("up", 0, 99, 1.0), ("up", 100, 139, 1.0)]


def test_sphinx_words_become_captions_and_doubt_is_dropped(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    # The second hearing is asked only about what the first one would keep.
    module = fake_sphinx(monkeypatch, [SURE, UNSURE, TOO_FEW, [], GUESSED], again=[SURE[1:3], UNSURE])
    sound = tones(*[(0.6, 0.0), (1.5, 0.3)] * 5, (0.5, 0.0))
    video = open_video(write(tmp_path / "a.wav", [(0.0, sound)]))
    told: list[tuple[float, float]] = []
    track = module.load().transcribe(video, language="en-US", progress=lambda *a: told.append(a))
    (caption,) = track.captions
    assert caption.text == "hello I'm here"
    assert caption.span == Span(0.7, 2.0)
    assert caption.score == pytest.approx(0.8)
    assert [word["start"] for word in caption.details["words"]] == [0.7, 1.1, 1.5]
    assert "rough: made by sphinx" in track.source.note
    assert "4 of 5 pieces left out as noise or too uncertain" in track.source.note
    assert told[-1] == (video.duration, video.duration)
    assert all(80 <= loudness <= 95 for loudness in FakeDecoder.heard)


def test_sphinx_cuts_what_never_pauses(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    module = fake_sphinx(monkeypatch, [[]] * 9)
    monkeypatch.setattr(module, "_LONGEST", 1.0)
    monkeypatch.setattr(module, "_SEARCH", 0.4)
    sounds = [Sound(np.full(16000 * 5, 0.3, np.float32), 16000, 0.0)]
    cut = list(module._voices(sounds))
    assert all(len(piece) <= 16000 + 480 for piece in cut)
    assert sum(map(len, cut)) == 16000 * 5
    assert cut[0].start == 0.0
    assert all(a.end == pytest.approx(b.start) for a, b in pairwise(cut))


def test_sphinx_is_asked_only_for_what_it_can(monkeypatch: pytest.MonkeyPatch, talk: Path) -> None:
    module, video = fake_sphinx(monkeypatch, []), open_video(talk)
    assert module.load().why_not(video, language="de") == "it knows only English, not de"
    assert module.load().transcribe(video, language="de") is None
    silence = write(talk.with_name("silence.wav"), [(0.0, tones((1.0, 0.0)))])
    track = module.load().transcribe(open_video(silence), language=None)
    assert len(track) == 0 and "no voice was heard" in track.source.note


def soundtrack(kind: str) -> np.ndarray[Any, np.dtype[np.float32]]:
    """Three seconds, a whole number of the voice detector's frames, without a word in them."""
    random, seconds = np.random.default_rng(3), 3
    t = np.arange(seconds * RATE) / RATE
    if kind == "hiss":
        return random.normal(0, 0.1, len(t)).astype(np.float32)
    if kind == "drums":
        return (random.normal(0, 0.3, len(t)) * np.exp(-25 * (t % 0.4))).astype(np.float32)
    notes = 220 * 2 ** (random.choice([0, 2, 4, 5, 7, 9, 11, 12], seconds * 3) / 12)
    pitch = np.repeat(notes, RATE // 3)[: len(t)]
    fade = np.exp(-3 * (t % (1 / 3)))
    return (sum(np.sin(2 * np.pi * k * pitch * t) / k for k in range(1, 7)) * fade * 0.2).astype(np.float32)


@pytest.mark.parametrize(
    "kind", ["melody", pytest.param("hiss", marks=pytest.mark.slow), pytest.param("drums", marks=pytest.mark.slow)]
)
def test_sphinx_hears_no_words_where_there_are_none(tmp_path: Path, kind: str) -> None:
    pytest.importorskip("pocketsphinx")
    from longshot.transcribers import sphinx

    video = open_video(write(tmp_path / "a.wav", [(0.0, soundtrack(kind))]))
    track = sphinx.load().transcribe(video, language=None)
    assert said(track) == []
