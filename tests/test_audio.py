"""Sound is tested with clicks at known seconds: they must come back at those seconds, whatever the file does."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from fractions import Fraction
from itertools import pairwise
from pathlib import Path

import av
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from longshot.audio import Listening, Sound, listen, plain_ass, spoken_language, subtitle_captions
from longshot.errors import MediaError, NoSound, UsageError
from longshot.timeline import Caption, Span
from longshot.video import open_video

RATE = 48000
Samples = NDArray[np.float32]


def clicks(seconds: float, *, every: float = 0.5, first: float = 0.5, rate: int = RATE) -> Samples:
    """Silence with a 4 ms burst at 2 kHz, loudest at each of first, first + every, ... seconds."""
    sound = np.zeros(round(seconds * rate), np.float32)
    half = round(0.002 * rate)
    shape = (np.hanning(2 * half + 1) * np.cos(np.arange(-half, half + 1) * 2 * np.pi * 2000 / rate)).astype(np.float32)
    for middle in np.arange(first, seconds - 0.01, every):
        at = round(middle * rate)
        sound[at - half : at + half + 1] += 0.8 * shape
    return sound


def times_of(sounds: Sequence[Sound]) -> list[float]:
    """The seconds of the clicks in blocks that follow each other."""
    samples, rate = np.concatenate([sound.samples for sound in sounds]), sounds[0].rate
    loud = np.flatnonzero(np.abs(samples) > 0.2)
    groups = np.split(loud, np.flatnonzero(np.diff(loud) > 0.05 * rate) + 1) if len(loud) else []
    return [sounds[0].start + float(g[np.argmax(np.abs(samples[g]))]) / rate for g in groups]


def write(
    path: Path,
    parts: Sequence[tuple[float, Samples]],
    *,
    codec: str = "pcm_s16le",
    rate: int = RATE,
    picture_at: float | None = None,
    layout: str = "mono",
    languages: Sequence[str] = ("",),
) -> Path:
    """Sound with each part at its container second, and maybe 2 s of pictures from `picture_at` on."""
    with av.open(str(path), "w") as container:
        picture = container.add_stream("mpeg4", rate=10) if picture_at is not None else None
        streams = [container.add_stream(codec, rate=rate, layout=layout) for _ in languages]
        for stream, language in zip(streams, languages, strict=True):
            if language:
                stream.metadata["language"] = language
        if picture is not None:
            picture.width = picture.height = 32
            picture.pix_fmt = "yuv420p"
            for k in range(20):
                frame = av.VideoFrame.from_ndarray(np.full((32, 32, 3), 10 * k, np.uint8), format="rgb24")
                frame.pts, frame.time_base = round((picture_at or 0) * 10) + k, Fraction(1, 10)
                container.mux(picture.encode(frame))
            container.mux(picture.encode(None))
        for k, stream in enumerate(streams):
            for frame in frames_of(parts, stream, mute=k > 0 and len(streams) > 1):
                container.mux(stream.encode(frame))
            container.mux(stream.encode(None))
    return path


def frames_of(parts: Sequence[tuple[float, Samples]], stream: av.AudioStream, *, mute: bool) -> Iterator[av.AudioFrame]:
    size = stream.codec_context.frame_size or 960
    for second, samples in parts:
        for at in range(0, len(samples), size):
            chunk = samples[at : at + size] * (0 if mute else 1)
            frame = av.AudioFrame.from_ndarray(
                np.tile(chunk[None], (stream.layout.nb_channels, 1)), format="fltp", layout=stream.layout.name
            )
            frame.sample_rate, frame.pts = stream.rate, round(second * stream.rate) + at
            frame.time_base = Fraction(1, stream.rate)
            yield from av.AudioResampler(stream.format, stream.layout, stream.rate).resample(frame)


def heard(source: object, **options: float) -> list[Sound]:
    return list(listen(source, **options))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("name", "codec"),
    [
        ("a.wav", "pcm_s16le"),
        ("a.flac", "flac"),
        ("a.mkv", "pcm_s16le"),
        ("a.mov", "pcm_s16le"),
        ("a.avi", "pcm_s16le"),
        ("a.m4a", "aac"),
        ("a.mp3", "libmp3lame"),
        ("a.ogg", "libopus"),
        ("a.webm", "libopus"),
        ("a.mka", "aac"),
    ],
)
def test_the_index_of_a_sample_is_its_time(tmp_path: Path, name: str, codec: str) -> None:
    path = write(tmp_path / name, [(0.0, clicks(3.2))], codec=codec)
    sounds = heard(path, block=1.0)
    assert times_of(sounds) == pytest.approx([0.5, 1.0, 1.5, 2.0, 2.5, 3.0], abs=0.002)
    assert sum(map(len, sounds)) == pytest.approx(3.2 * 16000, abs=0.05 * 16000)
    assert all(sound.samples.dtype == np.float32 and sound.samples.ndim == 1 for sound in sounds)


def test_blocks_follow_each_other_without_gap(tmp_path: Path) -> None:
    sounds = heard(write(tmp_path / "a.wav", [(0.0, clicks(2.5))]), block=0.7, rate=8000)
    assert [round(sound.start, 9) for sound in sounds] == [0.0, 0.7, 1.4, 2.1]
    assert [len(sound) for sound in sounds] == [5600, 5600, 5600, 3200]
    assert sounds[-1].end == 2.5


@pytest.mark.parametrize(("name", "codec"), [("a.mkv", "pcm_s16le"), ("a.mov", "pcm_s16le"), ("a.mp4", "aac")])
def test_sound_that_begins_later_comes_after_silence(tmp_path: Path, name: str, codec: str) -> None:
    # In MOV and MP4 the delay is an empty edit, in AAC another edit hides the encoder's first samples.
    path = write(tmp_path / name, [(0.7, clicks(1.2, first=0.3))], codec=codec, picture_at=0.0)
    listening = listen(path)
    sounds = list(listening)
    assert times_of(sounds) == pytest.approx([1.0, 1.5], abs=0.002)
    assert sounds[0].start == 0.0
    assert not np.abs(sounds[0].samples[: int(0.65 * 16000)]).max() > 0.01
    assert listening.filled == pytest.approx(0.7, abs=0.03)


def test_pictures_that_begin_later_set_the_clock(tmp_path: Path) -> None:
    path = write(tmp_path / "a.mkv", [(0.0, clicks(2.4))], picture_at=0.8)
    assert open_video(path).origin == pytest.approx(0.8)
    assert times_of(heard(path)) == pytest.approx([0.2, 0.7, 1.2], abs=0.002)


def test_a_gap_is_silence_and_an_overlap_is_heard_once(tmp_path: Path) -> None:
    gap = listen(write(tmp_path / "gap.mkv", [(0.0, clicks(1.1)), (2.0, clicks(1.1))]))
    sounds = list(gap)
    assert times_of(sounds) == pytest.approx([0.5, 1.0, 2.5, 3.0], abs=0.002)
    assert gap.filled == pytest.approx(0.9, abs=0.002)
    assert sum(map(len, sounds)) == pytest.approx(3.1 * 16000, abs=20)


def scripted(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, frames: list[av.AudioFrame]) -> Listening:
    """A listening to these frames instead of the file's own."""
    listening = listen(write(tmp_path / "a.wav", [(0.0, clicks(1.0))]))
    monkeypatch.setattr(Listening, "_decoded", lambda self, seek_to: iter(frames))
    return listening


def frames(second: float | None, samples: Samples, *, rate: int = RATE) -> list[av.AudioFrame]:
    made = []
    for at in range(0, len(samples), 480):
        chunk = samples[at : at + 480]
        frame = av.AudioFrame.from_ndarray(chunk[None], format="fltp", layout="mono")
        frame.sample_rate, frame.time_base = rate, Fraction(1, rate)
        frame.pts = None if second is None else round(second * rate) + at
        made.append(frame)
    return made


@pytest.mark.parametrize(
    ("parts", "expected"),
    [
        pytest.param([(0.0, 1.0), (0.8, 1.0)], 1.8, id="0.2 s come twice"),
        pytest.param([(0.0, 1.0), (1.3, 1.0)], 2.3, id="0.3 s are missing"),
        pytest.param([(0.0, 1.0), (1.03, 1.0)], 2.0, id="30 ms are wobble"),
        pytest.param([(0.0, 1.0), (-500.0, 1.0)], 2.0, id="a clock set anew"),
        pytest.param([(0.0, 1.0), (90000.0, 1.0)], 2.0, id="a time past any end"),
        pytest.param([(0.0, 1.0), (None, 1.0)], 2.0, id="no times"),
        pytest.param([(None, 1.0), (None, 1.0)], 2.0, id="no times at all"),
        pytest.param([(0.0, 1.0), (0.2, 0.5)], 1.0, id="an old part comes again"),
        pytest.param([(-0.4, 1.0), (0.6, 1.0)], 1.6, id="sound before the first picture"),
    ],
)
def test_wrong_timestamps(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, parts: list[tuple[float | None, float]], expected: float
) -> None:
    tone = np.full(2 * RATE, 0.25, np.float32)
    script = [frame for second, length in parts for frame in frames(second, tone[: round(length * RATE)])]
    sounds = list(scripted(monkeypatch, tmp_path, script))
    assert sum(map(len, sounds)) == pytest.approx(expected * 16000, abs=2)


def test_a_stream_that_changes_its_rate_keeps_its_time(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    script = frames(0.0, clicks(1.1)) + frames(1.1, clicks(1.1, first=0.4, rate=22050), rate=22050)
    assert times_of(list(scripted(monkeypatch, tmp_path, script))) == pytest.approx([0.5, 1.0, 1.5, 2.0], abs=0.002)


@pytest.fixture(scope="module")
def noise(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Samples]:
    folder = tmp_path_factory.mktemp("noise")
    path = write(folder / "n.wav", [(0.0, np.random.default_rng(5).uniform(-0.5, 0.5, RATE * 2).astype(np.float32))])
    return path, np.concatenate([sound.samples for sound in heard(path)])


@settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
@given(st.integers(0, 31000), st.integers(0, 36000), st.integers(700, 40000))
def test_a_stretch_is_the_slice_of_the_whole(noise: tuple[Path, Samples], start: int, length: int, block: int) -> None:
    path, whole = noise
    sounds = heard(path, start=start / 16000, end=(start + length) / 16000, block=block / 16000)
    part = np.concatenate([sound.samples for sound in sounds]) if sounds else np.zeros(0, np.float32)
    assert np.array_equal(part, whole[start : start + length])
    assert all(len(sound) == block for sound in sounds[:-1])
    assert all(sound.end == pytest.approx(after.start) for sound, after in pairwise(sounds))


@pytest.mark.parametrize(
    ("name", "codec"),
    [("a.mkv", "pcm_s16le"), ("a.m4a", "aac"), ("a.flac", "flac"), ("a.mp3", "libmp3lame"), ("a.ogg", "libopus")],
)
def test_the_clock_is_the_same_after_a_seek(tmp_path: Path, name: str, codec: str) -> None:
    path = write(tmp_path / name, [(0.0, clicks(50.0))], codec=codec)
    sounds = heard(path, start=41.25, end=43.75)
    assert times_of(sounds) == pytest.approx([41.5, 42.0, 42.5, 43.0, 43.5], abs=0.002)
    assert sounds[0].start == 41.25
    assert sum(map(len, sounds)) == 40000


def test_damaged_packets_are_counted_and_do_not_move_what_follows(tmp_path: Path) -> None:
    hiss = np.random.default_rng(1).uniform(-0.02, 0.02, round(4.2 * RATE)).astype(np.float32)
    path = write(tmp_path / "a.mkv", [(0.0, clicks(4.2) + hiss)], codec="flac")
    data = path.read_bytes()
    with av.open(str(path)) as container:
        packets = [bytes(packet) for packet in container.demux(audio=0) if packet.size]
    for packet in packets[8:12]:
        data = data.replace(packet, packet[:4] + b"\xff" * (len(packet) - 4))
    path.write_bytes(data)
    listening = listen(path)
    times = times_of(list(listening))
    assert listening.damage.skipped == 4
    assert "4 damaged packets skipped, the first near 0.7" in str(listening.damage)
    assert [t for t in times if t > 1.3] == pytest.approx([1.5, 2.0, 2.5, 3.0, 3.5, 4.0], abs=0.002)
    assert listening.filled == pytest.approx(4 * 4608 / RATE, abs=0.005)


def test_half_a_file_gives_half_the_sound(tmp_path: Path) -> None:
    path = write(tmp_path / "a.mkv", [(0.0, clicks(4.2))])
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    assert times_of(heard(path)) == pytest.approx([0.5, 1.0, 1.5, 2.0], abs=0.002)


def test_both_channels_are_averaged(tmp_path: Path) -> None:
    path = write(tmp_path / "a.wav", [(0.0, np.full(RATE, 0.9, np.float32))], layout="stereo")
    assert heard(path)[0].samples[8000] == pytest.approx(0.9, abs=0.001)


def test_the_stream_of_the_language_is_heard(tmp_path: Path) -> None:
    path = write(tmp_path / "a.mkv", [(0.0, clicks(1.2))], languages=("eng", "ger"))
    assert times_of(heard(path)) == pytest.approx([0.5, 1.0], abs=0.002)
    assert times_of(list(listen(path, language="en-US"))) == pytest.approx([0.5, 1.0], abs=0.002)
    assert times_of(list(listen(path, language="de"))) == []
    assert times_of(list(listen(path, language="fr"))) == pytest.approx([0.5, 1.0], abs=0.002)
    assert spoken_language(open_video(path)) == "eng"


def test_no_sound_is_a_clear_error(tmp_path: Path) -> None:
    path = tmp_path / "silent.mkv"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mpeg4", rate=10)
        stream.width = stream.height = 32
        stream.pix_fmt = "yuv420p"
        container.mux(stream.encode(av.VideoFrame.from_ndarray(np.zeros((32, 32, 3), np.uint8), format="rgb24")))
        container.mux(stream.encode(None))
    with pytest.raises(NoSound, match=r"silent\.mkv: holds pictures but no sound"):
        listen(path)
    assert spoken_language(open_video(path)) == ""


def test_files_that_are_no_sound(tmp_path: Path) -> None:
    text = tmp_path / "a.mp3"
    text.write_text("these are words, not sound\n" * 40)
    with pytest.raises(MediaError, match=r"a\.mp3"):
        listen(text)
    with pytest.raises(MediaError, match=r"gone\.wav"):
        listen(tmp_path / "gone.wav")


@pytest.mark.parametrize(
    "options", [{"rate": 0}, {"block": 0.0}, {"start": -1.0}, {"start": float("nan")}, {"start": 2.0, "end": 1.0}]
)
def test_options_that_cannot_be_meant(tmp_path: Path, options: dict[str, float]) -> None:
    path = write(tmp_path / "a.wav", [(0.0, clicks(1.0))])
    with pytest.raises(UsageError):
        heard(path, **options)


def test_closing_ends_it(tmp_path: Path) -> None:
    listening = listen(write(tmp_path / "a.wav", [(0.0, clicks(2.0))]), block=0.5)
    next(listening)
    listening.close()
    assert list(listening) == []


SRT = "1\n00:00:01,000 --> 00:00:01,500\n<i>Hello</i>\nworld\n\n2\n00:00:01,600 --> 00:00:09,000\nAgain & again\n"
VTT = "WEBVTT\n\n00:01.000 --> 00:01.500\n<v Bob>Hello</v>\nworld\n\n00:01.600 --> 00:09.000\nAgain &amp; again\n"
ASS = """[Script Info]
ScriptType: v4.00+

[V4+ Styles]
Format: Name, Fontname, Fontsize
Style: Default,Arial,20

[Events]
Format: Layer, Start, End, Style, Name, MarginL, MarginR, MarginV, Effect, Text
Dialogue: 0,0:00:01.00,0:00:01.50,Default,,0,0,0,,{\\i1}Hello{\\i0}\\Nworld
Dialogue: 0,0:00:01.10,0:00:01.20,Default,,0,0,0,,{\\p1}m 0 0 l 1 1{\\p0}
Dialogue: 0,0:00:01.60,0:00:09.00,Default,,0,0,0,,{\\pos(1,2)}Again & again
"""


def with_subtitles(path: Path, text: str, suffix: str, *, picture_at: float = 0.0) -> Path:
    """2 s of pictures from `picture_at` on, with a subtitle stream at its own times after that."""
    plain = write(path.with_name("plain.mkv"), [(picture_at, clicks(2.0))], picture_at=picture_at)
    side = path.with_suffix(suffix)
    side.write_text(text)
    with av.open(str(plain)) as media, av.open(str(side)) as words, av.open(str(path), "w") as container:
        copies = {stream.index: container.add_stream_from_template(stream) for stream in media.streams}
        subtitles = container.add_stream_from_template(words.streams[0])
        subtitles.metadata["language"] = "eng"
        for packet in media.demux():
            if packet.pts is not None:
                packet.stream = copies[packet.stream.index]
                container.mux(packet)
        for packet in words.demux():
            if packet.pts is not None:
                packet.pts = packet.dts = packet.pts + round(picture_at / packet.time_base)
                packet.stream = subtitles
                container.mux(packet)
    return path


@pytest.mark.parametrize(("text", "suffix"), [(SRT, ".srt"), (VTT, ".vtt"), (ASS, ".ass")])
@pytest.mark.parametrize("picture_at", [0.0, 0.7])
def test_embedded_subtitles_stand_on_the_videos_clock(
    tmp_path: Path, text: str, suffix: str, picture_at: float
) -> None:
    video = open_video(with_subtitles(tmp_path / "talk.mkv", text, suffix, picture_at=picture_at))
    captions = subtitle_captions(video, video.subtitles[0])
    assert [caption.text for caption in captions] == ["Hello\nworld", "Again & again"]
    spans = [(caption.span.start, caption.span.end) for caption in captions]
    assert spans == [pytest.approx((1.0, 1.5), abs=0.002), pytest.approx((1.6, video.duration), abs=0.002)]
    assert captions == subtitle_captions(video, video.subtitles[0].index)


def test_a_subtitle_stream_that_is_not_there(tmp_path: Path) -> None:
    video = open_video(with_subtitles(tmp_path / "talk.mkv", SRT, ".srt"))
    with pytest.raises(UsageError, match="no subtitle stream 7; its subtitle streams are: 2"):
        subtitle_captions(video, 7)


@pytest.mark.parametrize(
    ("dialogue", "plain"),
    [
        ("Hello", "Hello"),
        (r"{\i1}Hello{\i0}\Nworld", "Hello\nworld"),
        (r"{\an8\pos(3,4)}Top\hleft", "Top left"),
        ("{a note of the maker}Hello", "Hello"),
        (r"{\p1}m 0 0 l 100 0{\p0}", ""),
        (r"braces \{stay\}", "braces {stay}"),
        ('<font color="red">Red</font> &  blue', "Red & blue"),
        ("2 < 3 > 1", "2 < 3 > 1"),
        (r"\N \N", ""),
    ],
)
def test_codes_are_taken_off(dialogue: str, plain: str) -> None:
    assert plain_ass(dialogue) == plain


def test_a_caption_without_an_end_stays_until_the_next() -> None:
    from longshot.audio import _Cue, _timed

    cues = [
        _Cue(-1.0, 0.5, "a"),
        _Cue(1.0, None, "b"),
        _Cue(3.0, None, ""),
        _Cue(4.0, None, "c"),
        _Cue(12.0, 13.0, "d"),
    ]
    assert _timed(cues, 10.0) == [
        Caption(Span(0.0, 0.5), "a"),
        Caption(Span(1.0, 3.0), "b"),
        Caption(Span(4.0, 9.0), "c"),
    ]
