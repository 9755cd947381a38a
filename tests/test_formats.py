"""Writers and readers of time-coded text: exactness both ways, and every dirty file seen in the wild."""

from __future__ import annotations

import codecs
import contextlib
import io
import json
import math
import re
import time
from typing import Any

import av
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from longshot.errors import FormatError, UsageError
from longshot.formats._encodings import decode
from longshot.library import formats, read_subtitles
from longshot.timeline import Caption, Source, Span, Track

MADE = Source("describe", "observer", "1.2", {"every": 0.5, "prompt": "plain"}, "rough --> edges")


def track_of(*captions: Caption, level: str = "clip", duration: float | None = None) -> Track:
    return Track("3f2a9c", level, MADE, captions, "talk.mp4", duration)


def caption(start: float, end: float, text: str = "words", **more: Any) -> Caption:
    return Caption(Span(start, end), text, **more)


def text_of(format: str, *tracks: Track, kind: str = "", media: str = "") -> str:
    return formats()[format].text_of(tracks, kind=kind, media=media)


def read(format: str, text: str) -> Any:
    reader = formats()[format].read
    assert reader is not None
    return reader(text)


def seen(reading: Any) -> list[tuple[float, float, str]]:
    return [(c.span.start, c.span.end, c.text) for c in reading.captions]


# --- exactly there and back ---

any_text = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0\r"), max_size=40)
awkward = st.sampled_from(
    [
        "-->",
        "<i>",
        "&lt;",
        "&",
        "\n",
        "\n\n",
        " ",
        "1",
        "00:01 --> 00:02",
        "{\\an8}",
        "<c.id>x</c>",
        "NOTE",
        "{y:i}",
        "é",
    ]
)
texts = st.one_of(any_text, st.lists(st.one_of(awkward, any_text), max_size=6).map("".join))
whole_ms = st.integers(0, 400 * 3_600_000)
seconds = st.floats(-10, 1e6, allow_nan=False)
plain_json = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**53), 2**53)
    | st.floats(allow_nan=False, allow_infinity=False)
    | any_text,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(any_text, inner, max_size=3),
    max_leaves=5,
)


@st.composite
def captions_in_ms(draw: st.DrawFn, text: st.SearchStrategy[str] = texts) -> Caption:
    start, end = sorted((draw(whole_ms), draw(whole_ms)))
    return Caption(Span(start / 1000, end / 1000), draw(text))


@st.composite
def full_captions(draw: st.DrawFn) -> Caption:
    start, end = sorted((draw(seconds), draw(seconds)))
    score = draw(st.none() | st.floats(0, 1))
    return Caption(Span(start, end), draw(texts), score, draw(st.dictionaries(any_text, plain_json, max_size=3)))


@given(st.lists(full_captions(), max_size=6))
def test_jsonl_returns_every_letter_and_float(captions: list[Caption]) -> None:
    track = track_of(*captions, duration=math.pi)
    assert read("jsonl", text_of("jsonl", track)).tracks == (track,)


@given(st.lists(full_captions(), max_size=6))
def test_vtt_metadata_returns_every_letter_and_float(captions: list[Caption]) -> None:
    track = track_of(*captions)
    assert read("vtt", text_of("vtt", track, kind="metadata")).tracks == (track,)


@pytest.mark.parametrize("kind", ["captions", "descriptions", "chapters"])
@given(captions=st.lists(captions_in_ms(), max_size=6))
def test_vtt_returns_texts_and_milliseconds(kind: str, captions: list[Caption]) -> None:
    track = track_of(*captions)
    text = text_of("vtt", track, kind=kind)
    assert read("vtt", text).tracks == (track,)
    payload = [line for line in text.split("\n") if "-->" in line]
    assert len(payload) == len(captions)  # an arrow stands in lines of times only


srt_lines = (
    st.one_of(any_text, awkward, st.lists(awkward, max_size=4).map("".join))
    .map(lambda text: text.replace("\n", "").replace("\ufeff", "").strip(" \t"))
    .filter(lambda line: line.strip() != "")
)


@given(st.lists(captions_in_ms(st.lists(srt_lines, min_size=1, max_size=3).map("\n".join)), min_size=1, max_size=6))
def test_srt_returns_texts_and_milliseconds(captions: list[Caption]) -> None:
    track = track_of(*captions)
    reading = read("srt", text_of("srt", track))
    assert reading.captions == track.captions
    assert not reading.trouble


@given(st.lists(captions_in_ms(texts.filter(lambda text: not re.search(r"\\(\n|\Z)", text))), max_size=6))
def test_ffmetadata_returns_titles_and_milliseconds(captions: list[Caption]) -> None:
    track = track_of(*captions)
    assert read("ffmetadata", text_of("ffmetadata", track)).tracks == (track,)


@given(st.lists(full_captions(), min_size=1, max_size=6))
def test_csv_returns_captions_exactly(captions: list[Caption]) -> None:
    track = track_of(*captions)
    (back,) = read("csv", text_of("csv", track)).tracks
    assert (back.video, back.level, back.captions) == (track.video, track.level, track.captions)


@settings(max_examples=300)
@given(st.binary(max_size=400))
def test_random_bytes_are_captions_or_a_format_error(data: bytes) -> None:
    for noise in (data, b"WEBVTT\n\n" + data, b"1\n00:00:01,000 --> 00:00:02,000\n" + data):
        try:
            assert read_subtitles(noise).captions
        except FormatError as error:
            assert "\n" not in str(error)


pieces = st.sampled_from(
    [
        "1\n", "\n", "00:00:01,000 --> 00:00:02,000", "WEBVTT", "NOTE", "NOTE longshot ", '{"longshot": 1}', "{",
        "}", "-->", "[CHAPTER]\n", ";FFMETADATA1\n", "TIMEBASE=1/0\n", "START=9", "=", "\\", "[Events]\n", "Dialogue: ",
        "0:00:01.00,", "Format: Start, End, Text\n", "start,end,text\n", '"', "1e999", "nan", "99999999999", ":",
        ",", "<v ", "&#", ";", "\r",
    ]
)  # fmt: skip


@settings(max_examples=400)
@given(st.lists(pieces | any_text, max_size=12).map("".join))
def test_every_reader_raises_format_errors_only(text: str) -> None:
    for way in formats().values():
        assert way.likeness is None or 0.0 <= way.likeness(text) <= 1.0
        if way.read:
            with contextlib.suppress(FormatError):
                way.read(text)


@pytest.mark.parametrize(
    "unit", [" ", "-", "<", "<v ", "<v  ", "{", "1:", "a:a", "\n", "-->\n", "NOTE\n-->\n", "&#1", "\\"]
)
def test_no_text_makes_a_reader_slow(unit: str) -> None:
    text = "00:00:01,000 --> 00:00:02,000 " + unit * 40_000
    started = time.process_time()
    for way in formats().values():
        if way.read:
            with contextlib.suppress(FormatError):
                way.read(text)
    assert time.process_time() - started < 5.0  # quadratic work here takes minutes


# --- jsonl: the truth, so nothing in it is guessed ---

HEADER = '{"longshot": 1, "video": "v", "level": "clip"}'
LINE = '{"start": 0.0, "end": 1.0, "text": "a"}'


def test_jsonl_lines_are_what_the_page_says() -> None:
    text = text_of("jsonl", track_of(caption(0, 2.5, "A door.", score=0.5, details={"children": ["shot-0001"]})))
    header, line = map(json.loads, text.splitlines())
    assert header["longshot"] == 1 and header["captions"] == 1 and header["source"]["settings"]["every"] == 0.5
    assert line == {
        "id": "clip-0001", "start": 0.0, "end": 2.5, "text": "A door.", "score": 0.5,
        "details": {"children": ["shot-0001"]},
    }  # fmt: skip


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "empty"),
        (LINE, "line 1: not a longshot header"),
        ("[1]", "line 1: no JSON object but list"),
        ('{"longshot": 2, "video": "v", "level": "clip"}', "newer longshot .format 2, this one reads 1"),
        ('{"longshot": "1", "video": "v", "level": "clip"}', "not a longshot header"),
        ('{"longshot": 1, "level": "clip"}', "'video' is missing"),
        ('{"longshot": 1, "video": 7, "level": "clip"}', "'video' is 7, str was meant"),
        ('{"longshot": 1, "video": "v", "level": "clip", "duration": "long"}', "'duration' is 'long'"),
        ('{"longshot": 1, "video": "v", "level": "clip", "source": {"who": 1}}', "unknown key 'who'"),
        (f"{HEADER}\n{LINE[:-9]}", "line 2: .*torn or was edited"),
        (f"{HEADER}\n{LINE}\n\n{LINE}garbage", "line 4"),
        (f'{HEADER}\n{{"start": 0, "end": 1}}', "line 2: 'text' is missing"),
        (f'{HEADER}\n{{"start": "0", "end": 1, "text": ""}}', "line 2: 'start' is '0', a number"),
        (f'{HEADER}\n{{"start": true, "end": 1, "text": ""}}', "'start' is True"),
        (f'{HEADER}\n{{"start": 2, "end": 1, "text": ""}}', "line 2: a span ends"),
        (f'{HEADER}\n{{"start": NaN, "end": 1, "text": ""}}', "NaN is no number"),
        (f'{HEADER}\n{{"start": 0, "end": 1e999, "text": ""}}', "finite"),
        (f'{HEADER}\n{{"start": 0, "end": {"9" * 400}, "text": ""}}', "too large"),
        (f'{HEADER}\n{{"start": 0, "end": {"9" * 5000}, "text": ""}}', "line 2"),
        (f"{HEADER}\n" + '{"a":' * 100_000, "line 2"),
        (f'{HEADER}\n{{"start": 0, "end": 1, "text": "", "speaker": "x"}}', "unknown key 'speaker'.*details"),
        (f'{HEADER}\n{{"start": 0, "end": 1, "text": "", "details": []}}', "'details'"),
        (f'{{"longshot": 1, "video": "v", "level": "clip", "captions": 2}}\n{LINE}', "promises 2 captions, 1 are here"),
        (f'{HEADER}\n{{"id": "clip-0002", "start": 0, "end": 1, "text": ""}}', "'clip-0002' stands where 'clip-0001'"),
    ],
)
def test_jsonl_names_the_line_and_what_to_do(text: str, message: str) -> None:
    with pytest.raises(FormatError, match=message):
        read("jsonl", text)


def test_every_torn_tail_of_a_track_is_noticed() -> None:
    data = text_of("jsonl", track_of(caption(0, 1, "é"), caption(1, 2, "b"))).encode()
    for length in range(len(data) - 1):
        with pytest.raises(FormatError):
            read_subtitles(data[:length])


def test_half_characters_of_file_names_survive() -> None:
    track = Track("v", "clip", Source("x"), (), name="caf\udce9.mp4")
    assert read("jsonl", text_of("jsonl", track).encode("utf-8").decode()).tracks == (track,)


@pytest.mark.parametrize("value", [math.nan, math.inf, {1, 2}, b"x", object()])
def test_details_that_json_cannot_say_are_refused(value: object) -> None:
    with pytest.raises(UsageError, match="plain JSON"):
        text_of("jsonl", track_of(caption(0, 1, details={"x": value})))


# --- dirty subtitles ---

A, B = "00:00:01,000 --> 00:00:02,500", "00:00:03,000 --> 00:00:04,000"
TWO = [(1.0, 2.5, "a"), (3.0, 4.0, "b")]
ONE = TWO[:1]
DIRTY: dict[str, tuple[str | bytes, list[tuple[float, float, str]], int]] = {
    # name: (file, what is in it, how many pieces are skipped)
    "clean": (f"1\n{A}\na\n\n2\n{B}\nb\n", TWO, 0),
    "byte order mark": (codecs.BOM_UTF8 + f"1\n{A}\na\n\n2\n{B}\nb\n".encode(), TWO, 0),
    "CRLF": (f"1\r\n{A}\r\na\r\n\r\n2\r\n{B}\r\nb\r\n", TWO, 0),
    "CR": (f"1\r{A}\ra\r\r2\r{B}\rb\r", TWO, 0),
    "CR CR LF": (f"1\r\r\n{A}\r\r\na\r\r\n\r\r\n2\r\r\n{B}\r\r\nb\r\r\n", TWO, 0),
    "every second line blank": (f"1\n\n{A}\n\na\n\n2\n\n{B}\n\nb\n", TWO, 0),
    "dots": (f"1\n{A}\na\n\n2\n{B}\nb\n".replace(",", "."), TWO, 0),
    "colons before milliseconds": (f"1\n{A}\na\n\n2\n{B}\nb\n".replace(",", ":"), TWO, 0),
    "no milliseconds": ("1\n00:00:01 --> 00:00:02\na\n", [(1.0, 2.0, "a")], 0),
    "one digit each": ("1\n0:0:1,5 --> 0:0:2,5\na\n", [(1.5, 2.5, "a")], 0),
    "spaces in times": ("1\n00: 00: 01, 000 --> 00 :00 :02 ,500 \na\n", ONE, 0),
    "thin arrow": (f"1\n{A}\na\n".replace("-->", "->"), ONE, 0),
    "dash arrow": (f"1\n{A}\na\n".replace("-->", "—>"), ONE, 0),
    "no spaces round the arrow": (f"1\n{A}\na\n".replace(" ", ""), ONE, 0),
    "no hours": ("1\n00:01.000 --> 00:02.500\na\n", ONE, 0),
    "minutes past 59": ("1\n75:10.000 --> 75:11.000\na\n", [(4510.0, 4511.0, "a")], 0),
    "more than 99 hours": ("1\n100:00:00,000 --> 1000:00:00,000\na\n", [(360000.0, 3600000.0, "a")], 0),
    "no index": (f"{A}\na\n\n{B}\nb\n", TWO, 0),
    "wrong index": (f"7\n{A}\na\n\n7\n{B}\nb\n", TWO, 0),
    "index with a mark": (f"#1.\n{A}\na\n\n2:\n{B}\nb\n", TWO, 0),
    "no blank lines": (f"1\n{A}\na\n2\n{B}\nb", TWO, 0),
    "blank lines of spaces": (f"1\n{A}\na\n  \n2\n{B}\nb\n\t\n", TWO, 0),
    "blank line inside a cue": (f"1\n{A}\na\n\nmore\n\n2\n{B}\nb\n", [(1.0, 2.5, "a\nmore"), TWO[1]], 0),
    "numbers as text": (f"1\n{A}\n1984\n\n2\n{B}\n7\n", [(1.0, 2.5, "1984"), (3.0, 4.0, "7")], 0),
    "text beside the times": (f"1\n{A} a\n\n2\n{B}\nb\n", TWO, 0),
    "coordinates": (f"1\n{A} X1:100 X2:200 Y1:5 Y2:9\na\n", ONE, 0),
    "joined files": (f"1\n{A}\na\n\n\ufeff1\n{B}\nb\n", TWO, 0),
    "italics": (f"1\n{A}\n<i>a</i>\n", ONE, 0),
    "font": (f'1\n{A}\n<font color="#ff0">a</font>\n', ONE, 0),
    "position code": (f"1\n{A}\n{{\\an8}}a\n", ONE, 0),
    "style code": (f"1\n{A}\n{{y:i}}a\n", ONE, 0),
    "entities": (f"1\n{A}\na &amp; b&nbsp;&lt;c&gt; &#233;\n", [(1.0, 2.5, "a & b <c> é")], 0),
    "no entities": (f"1\n{A}\nR&D ?a=1&copy=2 &bogus;\n", [(1.0, 2.5, "R&D ?a=1&copy=2 &bogus;")], 0),
    "signs that are no tags": (f"1\n{A}\n1 < 2 > 0 <3\n", [(1.0, 2.5, "1 < 2 > 0 <3")], 0),
    "arrow in the text": (f"1\n{A}\nA --> B\n", [(1.0, 2.5, "A --> B")], 0),
    "overlap": (
        "1\n00:00:01,000 --> 00:00:05,000\na\n\n2\n00:00:02,000 --> 00:00:03,000\nb\n",
        [(1.0, 5.0, "a"), (2.0, 3.0, "b")],
        0,
    ),
    "unsorted": (f"1\n{B}\nb\n\n2\n{A}\na\n", TWO, 0),
    "an instant": ("1\n00:00:01,000 --> 00:00:01,000\na\n", [(1.0, 1.0, "a")], 0),
    "empty cue": (f"1\n{A}\n\n2\n{B}\nb\n", TWO[1:], 0),
    "only tags": (f"1\n{A}\n<i> </i>\n\n2\n{B}\nb\n", TWO[1:], 0),
    "starts before 0": ("1\n-00:00:01,000 --> 00:00:02,500\na\n", [(0.0, 2.5, "a")], 0),
    "lies before 0": (f"1\n-00:00:02,000 --> -00:00:01,000\nx\n\n2\n{A}\na\n", ONE, 1),
    "end before start": (f"1\n00:00:09,000 --> 00:00:08,000\nx\n\n2\n{A}\na\n", ONE, 1),
    "unreadable times": (f"1\n00:00:xx,000 --> 00:00:08,000\nx\n\n2\n{A}\na\n", ONE, 1),
    "no arrow": (f"1\n{A}\na\n\n2\n00:00:03,000 00:00:04,000\nx\n\n3\n{B}\nb\n", TWO, 1),
    "rubbish before": (f"Downloaded somewhere\n\n1\n{A}\na\n", ONE, 1),
    "rubbish after": (f"1\n{A}\na\n\nDownloaded somewhere\n", ONE, 1),
    "zeros after": (f"1\n{A}\na\n".encode() + b"\0" * 100, ONE, 0),
    "end-of-file mark": (f"1\n{A}\na\n\x1a".encode(), ONE, 0),
    "cut in a character": (f"1\n{A}\nééééé ééééé é\n".encode()[:-2], [(1.0, 2.5, "ééééé ééééé \ufffd")], 0),
    "UTF-16": (f"1\r\n{A}\r\na\r\n".encode("utf-16"), ONE, 0),
    "UTF-16 big end first": (codecs.BOM_UTF16_BE + f"1\n{A}\na\n".encode("utf-16-be"), ONE, 0),
    "UTF-16 unmarked": (f"1\n{A}\na\n".encode("utf-16-le"), ONE, 0),
    "UTF-16 unmarked, big end first": (f"1\n{A}\na\n".encode("utf-16-be"), ONE, 0),
    "UTF-32": (f"1\n{A}\na\n".encode("utf-32"), ONE, 0),
    "UTF-16 cut in a character": (f"1\n{A}\na\n".encode("utf-16-le")[:-1], [(1.0, 2.5, "a\ufffd")], 0),
    # WebVTT
    "vtt": ("WEBVTT\n\n00:01.000 --> 00:02.500\na\n\nx\n00:03.000 --> 00:04.000\nb\n", TWO, 0),
    "vtt with a title": ("WEBVTT - Talk\nKind: captions\nLanguage: en\n\n00:01.000 --> 00:02.500\na\n", ONE, 0),
    "vtt of a stream": ("WEBVTT\nX-TIMESTAMP-MAP=LOCAL:00:00:00.000,MPEGTS:9\n\n00:01.000 --> 00:02.500\na\n", ONE, 0),
    "vtt without a blank line after the header": ("WEBVTT\n00:01.000 --> 00:02.500\na\n", ONE, 0),
    "vtt blocks": (
        "WEBVTT\n\nSTYLE\n::cue { color: red }\n\nREGION\nid:r\n\nNOTE a --> b\n\n"
        "00:01.000 --> 00:02.500 region:r line:0\na\n\n"
        "NOTE\nlong\nnote\n\n00:03.000 --> 00:04.000 align:start position:0%\nb\n\nNOTE end\n",
        TWO,
        0,
    ),
    "vtt tags": (
        "WEBVTT\n\n00:01.000 --> 00:02.500\n<v.loud Mary Ann><c.yellow.bg>a</c></v> <00:00:01.500><lang en>b</lang>\n",
        [(1.0, 2.5, "a b")],
        0,
    ),
    "vtt with commas": ("WEBVTT\n\n1\n00:00:01,000 --> 00:00:02,500\na\n", ONE, 0),
    "vtt without its header": ("00:01.000 --> 00:02.500 align:start\na\n", ONE, 0),
    "vtt with a broken cue": ("WEBVTT\n\n00:01.000 --> 00:02.500\na\n\nid\n00:zz --> 00:04.000\nx\n", ONE, 1),
    # SubStation
    "ass": (
        "[Script Info]\nTitle: x\n\n[V4+ Styles]\nFormat: Name, Fontname\nStyle: Default,Arial\n\n[Events]\n"
        "Format: Layer, Start, End, Style, Name, MarginL, MarginR, MarginV, Effect, Text\n"
        "Comment: 0,0:00:00.00,0:00:09.00,Default,,0,0,0,,not shown\n"
        "Dialogue: 0,0:00:01.00,0:00:02.50,Default,,0,0,0,,{\\an8\\fs20}a\n"
        "Dialogue: 0,0:00:03.00,0:00:04.00,Default,Mary,0,0,0,,b\\N{\\i1}c{\\i0}, d\\he\n",
        [ONE[0], (3.0, 4.0, "b\nc, d e")],
        0,
    ),
    "ass drawing and layers": (
        "[Events]\nFormat: Start, End, Text\nDialogue: 0:00:01.00,0:00:02.50,{\\p1}m 0 0 l 9 9{\\p0}\n"
        "Dialogue: 0:00:01.00,0:00:02.50,a\nDialogue: 0:00:01.00,0:00:02.50,{\\bord2}a\n",
        ONE,
        0,
    ),
    "ass bad lines": (
        "[Events]\nDialogue: 0,0:00:01.00,0:00:02.50,D,,0,0,0,,a\nDialogue: 0,oops,0:00:02.50,D,,0,0,0,,x\n"
        "Dialogue: 0,0:00:05.00,0:00:02.50,D,,0,0,0,,x\nDialogue: torn\n",
        ONE,
        3,
    ),
    "ssa": (
        "\ufeff[Script Info]\r\n[Events]\r\nFormat: Marked, Start, End, "
        "Style, Name, MarginL, MarginR, MarginV, Effect, Text\r\n"
        "Dialogue: Marked=0,0:00:01.00,0:00:02.50,D,,0,0,0,,a\r\n",
        ONE,
        0,
    ),
    # tables and chapters of other programs
    "table with semicolons": ("Start;End;Text\n1;2.5;a\n0:00:03,0;4;b\n", TWO, 0),
    "table with tabs": ("text\tend\tstart\na\t2.5\t1\n", ONE, 0),
    "table with bad rows": ('start,end,text\n1,2.5,a\nx,2,b\n5,4,c\n1\n\n1,nan,d\n', ONE, 4),
    "chapters in seconds": (
        ";FFMETADATA1\nartist=x\n[CHAPTER]\nTIMEBASE=1/2\nSTART=2\nEND=5\ntitle=a\n[STREAM]\ntitle=s\n",
        ONE,
        0,
    ),
    "chapters in nanoseconds": (";FFMETADATA1\n[CHAPTER]\nSTART=1000000000\nEND=2500000000\ntitle=a\n", ONE, 0),
    "bad chapters": (
        ";FFMETADATA1\n[CHAPTER]\nTIMEBASE=1/0\nSTART=1\nEND=2\n[CHAPTER]\nSTART=1\n[CHAPTER]\nSTART=9\nEND=1\n"
        "[CHAPTER]\nTIMEBASE=1/10\nSTART=10\nEND=25\ntitle=a\n",
        ONE,
        3,
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", DIRTY)
def test_dirty_file(name: str) -> None:
    file, expected, skipped = DIRTY[name]
    reading = read_subtitles(file.encode() if isinstance(file, str) else file)
    assert seen(reading) == expected
    assert len(reading.skipped) == skipped
    assert bool(reading.trouble) == bool(reading.skipped or reading.mended)


@pytest.mark.parametrize(
    "data",
    [
        b"", b"\n\n", b"hello", b"WEBVTT", b"WEBVTT\n\nNOTE only\n", b"1\n2\n3\n", b"\0" * 50, b"\xff\xfe",
        bytes(range(256)) * 9,
        f"1\n{A}\n\n".encode(), b"[Script Info]\n[Events]\n", b";FFMETADATA1\n", b"start,end,text\n", b'{"a": 1}',
        b"\x00\x00\x00\x20ftypisom\x00\x00\x02\x00isomiso2avc1mp41" + bytes(range(32)) * 50,
    ],
)  # fmt: skip
def test_nothing_readable_is_one_clear_line(data: bytes) -> None:
    with pytest.raises(FormatError) as caught:
        read_subtitles(data)
    assert "\n" not in str(caught.value) and len(str(caught.value)) > 20


LANGUAGES = {
    "cp1252": "Où est le café à côté ? Ça va, élève naïf… “Oui”",
    "cp1250": "Zażółć gęślą jaźń, dzień dobry, świetnie łódź",
    "cp1251": "Привет, как дела? Я люблю тебя. «Москва»",
    "cp1253": "Καλημέρα, τι κάνεις; Είμαι καλά. Ευχαριστώ",
    "cp1255": "שלום מה שלומך היום",
    "cp1256": "مرحبا كيف حالك اليوم؟",
    "cp932": "こんにちは、元気ですか？私は学生です。",
    "cp949": "안녕하세요. 저는 학생입니다. 감사합니다",
    "gb18030": "你好，你在做什么？我是一个学生。谢谢",
    "big5": "你好，你在做什麼？我是一個學生。謝謝",
    "utf-8": "Größe, 你好, привет",
    "utf-16-le": "你好，你在做什么？",
    "utf-16-be": "Größe",
}


@pytest.mark.parametrize("encoding", LANGUAGES)
def test_encoding_is_found_from_the_letters(encoding: str) -> None:
    text = f"1\n{A}\n{LANGUAGES[encoding]}\n"
    assert decode(text.encode(encoding)) == text


def test_trouble_is_one_line_with_the_count() -> None:
    text = f"1\n{A}\na\n\n2\n00:00:09,000 --> 00:00:08,000\nx\n\n3\n-00:00:01,000 --> 00:00:08,000\nb\n"
    reading = read("srt", text)
    assert reading.trouble == (
        "1 of 3 cues skipped (line 6: ends before it starts); 1 mended (line 10: starts before 0)"
    )
    assert reading.skipped[0].text == "x"
    assert reading.tracks[0].source.note == reading.trouble


@pytest.mark.parametrize("file", ["vtt tags", "ass"])
def test_speakers_are_kept(file: str) -> None:
    content = DIRTY[file][0]
    assert isinstance(content, str)
    assert read_subtitles(content.encode()).captions[-1].details["speaker"] in ("Mary Ann", "Mary")


ROLLING = """WEBVTT
Kind: captions
Language: en

00:00:00.000 --> 00:00:02.000 align:start position:0%
 
we<00:00:00.500><c> shall</c>

00:00:02.000 --> 00:00:02.010 align:start position:0%
we shall
 

00:00:02.010 --> 00:00:04.000 align:start position:0%
we shall
fight<00:00:03.000><c> on</c>

00:00:04.000 --> 00:00:04.010 align:start position:0%
fight on
 

00:00:04.010 --> 00:00:06.000 align:start position:0%
fight on
the<00:00:05.000><c> beaches</c>
"""  # noqa: W293


def test_rolling_captions_are_written_once() -> None:
    once = [(0.0, 2.01, "we shall"), (2.01, 4.01, "fight on"), (4.01, 6.0, "the beaches")]
    assert seen(read_subtitles(ROLLING.encode())) == once
    assert len(read_subtitles(ROLLING.encode(), collapse=False).captions) == 5
    said_twice = f"1\n{A}\nNo!\n\n2\n{B}\nNo!\n\n3\n00:00:09,000 --> 00:00:10,000\nYes.\n".encode()
    assert len(read_subtitles(said_twice).captions) == 3
    assert len(read_subtitles(said_twice, collapse=True).captions) == 2
    assert read_subtitles(f"1\n{A}\na\n".encode(), collapse=True).captions


# --- what writers write ---


def test_srt_is_plain_for_people() -> None:
    track = track_of(
        caption(0, 1.5, "Tom & Jerry: 1 < 2\n\n<b>bold</b> --> {\\an8} &amp;"), caption(360000, 360001, "")
    )
    assert text_of("srt", track) == (
        "1\n00:00:00,000 --> 00:00:01,500\nTom & Jerry: 1 < 2\n&lt;b>bold&lt;/b> --&gt; &#123;\\an8} &amp;amp;\n\n"
        "2\n100:00:00,000 --> 100:00:01,000\nclip-0002\n"
    )


def test_vtt_says_where_it_comes_from_and_never_an_arrow() -> None:
    text = text_of("vtt", track_of(caption(0, 1.5, "a --> <b> & c"), caption(2, 3, "")))
    lines = text.split("\n")
    assert lines[0] == "WEBVTT" and lines[2].startswith('NOTE longshot {"longshot": 1')
    assert "rough --\\u003e edges" in lines[2]
    assert "\n".join(lines[4:]) == (
        "clip-0001\n00:00:00.000 --> 00:00:01.500\na --&gt; &lt;b&gt; &amp; c\n\n"
        "clip-0002\n00:00:02.000 --> 00:00:03.000\n<c.id>clip-0002</c>\n"
    )


def test_vtt_chapters_nest_and_come_apart_again() -> None:
    shots = track_of(caption(0, 2, "s1"), caption(2, 4, "s2"), level="shot")
    whole = track_of(caption(0, 4, "all"), level="video")
    text = text_of("vtt", shots, whole, kind="chapters")
    ids = [line for line in text.split("\n") if line.startswith(("shot-", "video-"))]
    assert ids == ["video-0001", "shot-0001", "shot-0002"]
    assert read("vtt", text).tracks == (shots, whole)


def test_vtt_edited_by_hand_counts_what_it_cannot_place() -> None:
    text = text_of("vtt", track_of(caption(0, 1))) + "\n00:05.000 --> 00:06.000\nadded\n"
    reading = read("vtt", text)
    assert len(reading.captions) == 1 and [fault.text for fault in reading.skipped] == ["added"]


@pytest.mark.parametrize("cell", ["=1+1", "+1", "-1", "@x", "'=1", "\tx", "''+"])
def test_csv_cells_are_no_formulas(cell: str) -> None:
    text = text_of("csv", track_of(caption(0, 1, cell)))
    assert f",'{cell}" in text or f",\"'{cell}" in text
    assert read("csv", text).captions[0].text == cell


def test_csv_holds_several_levels_and_long_cells() -> None:
    long = track_of(caption(0, 1, details={"children": ["clip-0001"] * 20_000}), level="video")
    clips = track_of(caption(0, 1))
    assert {track.level: len(track) for track in read("csv", text_of("csv", long, clips)).tracks} == {
        "video": 1, "clip": 1
    }  # fmt: skip


def test_ffmpeg_reads_our_chapters() -> None:
    text = "a=b; #c \\ \nsecond [CHAPTER]\nline \\\\ "
    written = text_of("ffmetadata", track_of(caption(0, 1.5, text), caption(1.5, 3.25, "é\\")))
    with av.open(io.BytesIO(written.encode()), format="ffmetadata") as container:
        chapters = container.chapters()
    found = [(c["start"] / 1000, c["end"] / 1000, c["metadata"]["title"]) for c in chapters]
    assert found == [(0.0, 1.5, text), (1.5, 3.25, "é\\ ")]


@pytest.mark.parametrize(("format", "demuxer"), [("srt", "srt"), ("vtt", "webvtt")])
def test_ffmpeg_reads_our_subtitles(format: str, demuxer: str) -> None:
    captions = [
        caption(0, 1.5, "Tom & Jerry: 1 < 2"),
        caption(1.25, 3.001, "two\nlines"),
        caption(360000.5, 360001, "é 你好"),
    ]
    written = text_of(format, track_of(*captions)).encode()
    with av.open(io.BytesIO(written), mode="r", format=demuxer) as container:
        packets = [packet for packet in container.demux() if packet.pts is not None]
    times = [
        (packet.pts, packet.pts + packet.duration) for packet in packets if packet.pts is not None and packet.duration
    ]
    assert times == [(0, 1500), (1250, 3001), (360_000_500, 360_001_000)]
    assert bytes(packets[1]) == b"two\nlines" and bytes(packets[2]).decode() == "é 你好"


def segments(*starts: float, end: float, level: str = "segment", text: str = "words") -> Track:
    spans = zip(starts, [*starts[1:], end], strict=True)
    return track_of(*(caption(a, b, text) for a, b in spans), level=level, duration=end)


def test_youtube_lines() -> None:
    track = segments(0.4, 10.9, 3600, end=3700, text="<Door>\n opens " + "x" * 50 + " " + "y" * 50)
    lines = text_of("youtube", track).splitlines()
    assert [line.split(" ")[0] for line in lines] == ["0:00", "0:10", "1:00:00"]
    assert lines[0] == "0:00 ‹Door› opens " + "x" * 50 + "…"


@pytest.mark.parametrize(
    ("track", "rule"),
    [
        (segments(0, 30, end=60), "2 chapters"),
        (segments(5, 30, 60, end=90), "first begins at 0:05"),
        (segments(0, 9.9, 60, end=90), "1 of 3 shorter than 10 s"),
        (segments(0, 30, 60, end=69.9), "1 of 3 shorter than 10 s"),
        (segments(*range(0, 10_000, 10), end=10_010), "1000 chapters, too many"),
    ],
)
def test_youtube_rules_are_kept_or_named(track: Track, rule: str) -> None:
    with pytest.raises(UsageError, match=f"level 'segment': {rule}.*choose a coarser level"):
        text_of("youtube", track)


def test_youtube_takes_the_finest_level_that_may_stand() -> None:
    fine = segments(*range(0, 60, 5), end=60, level="clip")
    bare = segments(*range(0, 60, 10), end=60, level="shot", text="")
    right = segments(0, 20, 40, end=60)
    assert len(text_of("youtube", fine, right, bare).splitlines()) == 3
    assert len(text_of("youtube", bare).splitlines()) == 6


def test_markdown_is_an_outline() -> None:
    whole = track_of(caption(0, 60.5, "All *of* it"), level="video", duration=60.5)
    parts = track_of(caption(0, 30, "one\ntwo"), caption(30, 60.5, "<b>"), level="segment")
    speech = track_of(caption(31.25, 33, "hello"), level="speech")
    assert text_of("markdown", speech, parts, whole, media="a b/t(1).mp4").split("\n")[:8] == [
        "# talk.mp4", "", "Length 1:00", "",
        r"- [0:00–1:00](a%20b/t%281%29.mp4#t=0,60.5) All \*of\* it",
        "  - [0:00–0:30](a%20b/t%281%29.mp4#t=0,30) one two",
        r"  - [0:30–1:00](a%20b/t%281%29.mp4#t=30,60.5) \<b\>",
        "    - [0:31–0:33](a%20b/t%281%29.mp4#t=31.25,33) speech: hello",
    ]  # fmt: skip


@pytest.mark.parametrize("media", ["javascript:alert(1)", "x) [a](http://y", 'a"b', "c:\\v.mp4", "\udce9.mp4"])
def test_markdown_links_cannot_be_broken_out_of(media: str) -> None:
    line = text_of("markdown", track_of(caption(0, 1)), media=media).split("\n")[2]
    address = line.partition("](")[2].partition("#t=")[0]
    assert address and not set(address) & set(':()[]" \\')


@pytest.mark.parametrize(
    ("format", "kind", "tracks", "message"),
    [
        ("ass", "", [track_of()], "read but not written"),
        ("srt", "chapters", [track_of()], "no kind 'chapters': there are captions"),
        ("srt", "", [], "no track"),
        ("srt", "", [track_of(), track_of(level="shot")], "one srt file holds one level: choose one of clip, shot"),
        ("csv", "", [track_of(), track_of()], "two tracks of one level"),
        ("csv", "", [track_of(), Track("other", "shot", MADE, ())], "one csv file holds one video"),
    ],
)
def test_what_a_format_cannot_carry_is_refused(format: str, kind: str, tracks: list[Track], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        text_of(format, *tracks, kind=kind)
