"""What people see: outlines, lists, the progress line; control characters never reach the terminal."""

from __future__ import annotations

import io
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.console import Console, RenderableType

from longshot import terminal
from longshot.library import VideoRecord
from longshot.terminal import Meter, console_for, counted, plain, show, track_object
from longshot.timeline import Caption, Source, Span, Track

RECORD = VideoRecord("0123456789abcdef", "talk.mp4", "/films/talk.mp4", 62.5, (1280, 720), 24.0, "h264")


def track(level: str, *captions: Caption, note: str = "") -> Track:
    return Track(RECORD.id, level, Source("recap", note=note), captions, "talk.mp4", 62.5)


def caption(start: float, end: float, text: str, title: str = "", children: tuple[str, ...] = ()) -> Caption:
    details = {key: value for key, value in (("title", title), ("children", list(children))) if value}
    return Caption(Span(start, end), text, None, details)


TALE = [
    track("video", caption(0, 62.5, "A talk in two parts.", "talk", ("segment-0001", "segment-0002")), note="chosen"),
    track(
        "segment",
        caption(0, 30, "It begins.", "The beginning", ("clip-0001", "clip-0002")),
        caption(30, 62.5, "It ends.", "The end", ("clip-0003",)),
    ),
    track(
        "clip", caption(0, 12, "A hall."), caption(12, 30, "A chart fills it."), caption(30, 62.5, "The hall again.")
    ),
    track("shot", caption(0, 30, "Shot 1"), caption(30, 62.5, "Shot 2")),
    track("speech", caption(13, 15, "Look at this chart, please."), caption(31, 33, "Goodbye."), note="rough"),
    track("screen", caption(14, 20, "SALES 2026")),
]


def drawn(what: RenderableType, *, width: int = 60, colours: bool = False) -> str:
    console = Console(file=io.StringIO(), width=width, force_terminal=colours, record=True, emoji=False, markup=False)
    console.print(what)
    return "\n".join(line.rstrip() for line in console.export_text(styles=colours).splitlines())


def test_an_outline_from_the_whole_to_the_clips() -> None:
    assert drawn(show(TALE, record=RECORD)) == (
        "talk.mp4  1:02 · 1280×720 · 24 fps · 2 segments · 3 clips ·\n"
        "2 shots · 2 lines of speech · 1 text on screen\n"
        "A talk in two parts.\n"
        "\n"
        "├── 0:00–0:30  The beginning\n"
        "│   It begins.\n"
        "│   ├── 0:00  A hall.\n"
        "│   └── 0:12  A chart fills it.\n"
        "│             “Look at this chart, please.”\n"
        "│             on screen: SALES 2026\n"
        "└── 0:30–1:02  The end\n"
        "    It ends.\n"
        "    └── 0:30  The hall again.\n"
        "              “Goodbye.”\n"
        "\n"
        "chosen\n"
        "rough"
    )


def test_what_a_clip_quotes_is_not_said_twice() -> None:
    clips = track("clip", caption(0, 62.5, "A hall. Heard: “look at this chart please …”; reads “Sales, 2026”."))
    lines = drawn(show([TALE[0], clips, *TALE[4:]], record=RECORD)).splitlines()
    assert not any("please.”" in line or "on screen:" in line for line in lines)
    assert any("“Goodbye.”" in line for line in lines)


def test_levels_without_links_nest_by_time() -> None:
    bare = [t.replace(replace(c, details={}) for c in t) for t in TALE]
    lines = drawn(show(bare, record=RECORD)).splitlines()
    assert [line.strip("│├└─ ").split("  ")[0] for line in lines if "─" in line] == [
        "0:00–0:30",
        "0:00",
        "0:12",
        "0:30–1:02",
        "0:30",
    ]


def test_a_level_of_one_does_not_repeat_what_stands_above() -> None:
    single = track("segment", caption(0, 62.5, "A talk in two parts.", "The talk"))
    text = drawn(show([TALE[0], single, TALE[2]], record=RECORD))
    assert text.count("A talk in two parts.") == 1
    assert "0:00–1:02  The talk" in text


def test_text_is_wrapped_to_the_width() -> None:
    long = track("clip", caption(0, 62.5, "word " * 60))
    lines = drawn(show([TALE[0], long], record=RECORD), width=50).splitlines()
    assert max(map(len, lines)) <= 50
    assert sum(line.count("word") for line in lines) == 60


def test_times_link_to_the_moment_in_the_file() -> None:
    text = drawn(show(TALE, record=RECORD, path="/films/my talk.mp4"), colours=True)
    assert "file:///films/my%20talk.mp4#t=12\x1b" in text
    assert "file:///films/my%20talk.mp4#t=30\x1b" in text
    assert "\x1b]8" not in drawn(show(TALE, record=RECORD), colours=True)
    assert terminal._at("file:///a.mp4", 12.25).link == "file:///a.mp4#t=12.25"
    assert terminal._at("file:///a.mp4", 0.0).link == "file:///a.mp4#t=0"


def test_shots_are_a_list_to_the_hundredth() -> None:
    shots = track("shot", caption(0, 3.488, "Shot 1"), caption(3.488, 62.5, "Shot 2"))
    assert drawn(show([shots], record=RECORD)).splitlines()[1:] == [
        "0:00.00–0:03.48  3.49 s   Shot 1",
        "0:03.48–1:02.50  59.01 s  Shot 2",
    ]


def test_speech_is_a_transcript() -> None:
    assert drawn(show([TALE[4]], record=RECORD)).splitlines()[1:] == [
        "0:13  Look at this chart, please.",
        "0:31  Goodbye.",
        "",
        "rough",
    ]
    assert "no speech" in drawn(show([track("speech")], record=RECORD))


def test_a_video_described_as_a_whole() -> None:
    only = track("video", caption(0, 62.5, "A hall, then a chart."))
    assert drawn(show([only], record=RECORD)).splitlines() == [
        "talk.mp4  1:02 · 1280×720 · 24 fps",
        "A hall, then a chart.",
    ]


def test_damage_is_said_under_the_name() -> None:
    lines = drawn(show(TALE, record=RECORD, damage="pictures end at 40.00 s")).splitlines()
    assert "damaged: pictures end at 40.00 s" in lines


def test_markup_and_escapes_in_texts_stay_text() -> None:
    nasty = track("clip", caption(0, 62.5, "[bold]not bold[/] :smile: \x1b[31mred\x07 line\nbreak"))
    text = drawn(show([nasty], record=replace(RECORD, name="a\x1b]0;title\x07.mp4")), colours=True)
    assert "[bold]not bold[/] :smile: �[31mred� line break" in text
    assert "\x07" not in text
    assert "\x1b]0" not in text


@given(st.text())
@settings(max_examples=100, deadline=None)
def test_plain_is_one_line_without_control_characters(text: str) -> None:
    line = plain(text)
    assert all(letter.isprintable() or ord(letter) > 0x9F for letter in line)
    assert "\n" not in line


@pytest.mark.parametrize(
    ("number", "level", "words"),
    [
        (1, "clip", "1 clip"),
        (2, "clip", "2 clips"),
        (0, "speech", "0 lines of speech"),
        (1, "screen", "1 text on screen"),
    ],
)
def test_numbers_in_words(number: int, level: str, words: str) -> None:
    assert counted(number, level) == words


def test_a_track_as_json_carries_everything() -> None:
    row = track_object(TALE[1])
    assert (row["level"], row["video"], row["source"]["verb"]) == ("segment", RECORD.id, "recap")
    assert row["captions"][1] == {
        "id": "segment-0002",
        "start": 30,
        "end": 62.5,
        "text": "It ends.",
        "details": {"title": "The end", "children": ["clip-0003"]},
    }


# --- progress


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_on_a_terminal_the_line_is_gone_when_it_is_over(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm-256color")
    screen = Terminal()
    with Meter("recap talk.mp4", file=screen) as meter:
        meter(0.25, 1.0)
        with meter.hidden():
            hidden_at = screen.tell()
        meter(0.5, 1.0)
    text = screen.getvalue()
    assert "recap talk.mp4" in text
    assert "25%" in text[:hidden_at]
    assert "50%" in text
    assert "\x1b[2K" in text[-40:], "the line is erased at the end"


def test_in_a_log_there_is_a_line_now_and_then(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 1000.0
    monkeypatch.setattr(terminal.time, "monotonic", lambda: now)
    log = io.StringIO()
    with Meter("recap", file=log) as meter:
        for second in range(100):
            now = 1000.0 + second
            meter(1 + second / 50, 5)
    assert log.getvalue().splitlines() == [
        "recap: 32 %, 1 of 5 videos, about 2:50 left",
        "recap: 44 %, 2 of 5 videos, about 2:20 left",
        "recap: 56 %, 2 of 5 videos, about 1:50 left",
    ]


def test_quiet_says_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 0.0
    monkeypatch.setattr(terminal.time, "monotonic", lambda: now)
    for file in (io.StringIO(), Terminal()):
        with Meter("recap", quiet=True, file=file) as meter:
            now += 100
            meter(0.5, 1)
        assert file.getvalue() == ""


def test_colours_follow_the_stream_and_no_color(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.delenv("NO_COLOR", raising=False)
    assert console_for(Terminal()).color_system is not None
    assert console_for(io.StringIO()).color_system is None
    monkeypatch.setenv("NO_COLOR", "1")
    screen = Terminal()
    console_for(screen).print(show(TALE, record=RECORD))
    assert "\x1b[36m" not in screen.getvalue()


def test_width_follows_the_window_up_to_a_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("COLUMNS", raising=False)
    assert console_for(io.StringIO()).width == terminal.WIDEST
    monkeypatch.setenv("COLUMNS", "50")
    assert console_for(io.StringIO()).width == 50
    monkeypatch.setenv("COLUMNS", "500")
    assert console_for(io.StringIO()).width == terminal.WIDEST
