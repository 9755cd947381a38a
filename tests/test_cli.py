"""The command line: exit codes, one line for each error, results on stdout only, JSON when piped, docs in step."""

from __future__ import annotations

import json
import os
import pty
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Generator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from longshot import __version__, cli, cli_options
from longshot.errors import UsageError
from longshot.journal import Journal, Result, State, read_journal
from longshot.library import Library
from longshot.scaling import local, verbs
from tests import cli_reference
from tests.videos import write_video


class Said(NamedTuple):
    """What a command left behind."""

    code: int
    out: str
    err: str

    @property
    def rows(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.out.splitlines()]


Command = Callable[..., Said]


@pytest.fixture(scope="session")
def video(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("cli") / "talk.mp4"
    write_video(path, count=50, fps=25, size=(64, 48), codec="mpeg4")
    path.with_suffix(".srt").write_text("1\n00:00:00,200 --> 00:00:01,500\nHello there, everybody.\n")
    return path


@pytest.fixture
def other(tmp_path: Path) -> Path:
    path = tmp_path / "other.mp4"
    write_video(path, count=30, fps=25, size=(64, 48), codec="mpeg4")
    return path


@pytest.fixture
def longshot(capfdbinary: pytest.CaptureFixture[bytes]) -> Command:
    """Run a command in this process, its work included: processes of their own have tests of their own."""

    def command(*arguments: object) -> Said:
        code = cli.run([str(argument) for argument in arguments])
        out, err = capfdbinary.readouterr()
        return Said(code, out.decode(), err.decode())

    return command


@pytest.fixture(autouse=True)
def at_home(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Do the work in this process, where it takes no time to start; `processes` marks the tests that do not."""
    if "processes" not in request.fixturenames:
        monkeypatch.setattr(verbs, "run", run_here)


@pytest.fixture
def processes() -> None:
    """Work in processes of its own, as users have it."""


def run_here(
    work: Any,
    items: Sequence[str],
    *,
    identify: Any,
    journal: Journal | None,
    keep: Any,
    valid: Any,
    workers: int | None,
    seconds: float | None,
    progress: Any,
) -> Generator[local.Outcome[str], None, None]:
    for number, item in enumerate(items, start=1):
        name = identify(item)
        known = journal.result(name) if journal else None
        if known and known.state is State.DONE and valid(item, known):
            yield local.Outcome(item, known, again=True)
            continue
        state, value, reason, trace = local._attempt(work, item, lambda done, total: None)
        result = Result(state, keep(item, value) if keep and state is State.DONE else value, reason)
        if journal:
            journal.record(name, result)
        progress(number, len(items))
        yield local.Outcome(item, result, trace=trace)


def is_one_line(said: Said) -> bool:
    return said.err.startswith("longshot: ") and said.err.count("\n") == 1


# --- results


def test_json_is_one_line_for_each_video(longshot: Command, video: Path, other: Path) -> None:
    said = longshot("segment", video, other, "--every", "1", "--quiet")
    assert said.code == 0
    assert said.err == ""
    first, second = said.rows
    assert (first["path"], first["state"]) == (str(video), "done")
    assert first["video"]["size"] == [64, 48]
    assert first["video"]["duration"] == pytest.approx(2.0)
    (track,) = first["tracks"]
    assert track["level"] == "shot"
    assert [(row["id"], row["start"], row["end"]) for row in track["captions"]] == [
        ("shot-0001", 0.0, 1.0),
        ("shot-0002", 1.0, 2.0),
    ]
    assert second["tracks"][0]["captions"][-1]["end"] == pytest.approx(1.2)
    assert first["tracks"][0]["video"] == first["video"]["id"] != second["video"]["id"]


def test_people_get_an_outline(longshot: Command, video: Path, other: Path) -> None:
    said = longshot("segment", video, other, "--every", "1", "--no-json")
    assert said.code == 0
    blocks = said.out.split("\n\n")
    assert len(blocks) == 2
    assert blocks[0].splitlines() == [
        "talk.mp4  0:02 · 64×48 · 25 fps · 2 shots",
        "0:00.00–0:01.00  1.00 s  Shot 1",
        "0:01.00–0:02.00  1.00 s  Shot 2",
    ]
    assert "\x1b" not in said.out
    assert said.err == "longshot: 2 videos: 2 done\n"


def test_speech_comes_from_the_file_beside_it(longshot: Command, video: Path) -> None:
    said = longshot("transcribe", video)
    assert said.code == 0
    (track,) = said.rows[0]["tracks"]
    assert [row["text"] for row in track["captions"]] == ["Hello there, everybody."]
    people = longshot("transcribe", video, "--no-json")
    assert "0:00  Hello there, everybody." in people.out


def test_kept_tracks_are_the_library_s(longshot: Command, video: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    said = longshot("segment", video, "--every", "1", "-o", out)
    id = said.rows[0]["video"]["id"]
    (track,) = Library(out).tracks(id)
    assert len(track) == 2
    assert Library(out).video(id).name == "talk.mp4"
    assert said.err == f"longshot: the tracks are in {out / 'tracks'}\n"
    (result,) = read_journal(out / "journal.jsonl").values()
    assert result == Result(State.DONE, {"video": id, "path": str(video), "levels": ["shot"]})


def test_the_same_command_again_only_reads(longshot: Command, video: Path, tmp_path: Path, monkeypatch: Any) -> None:
    out = tmp_path / "out"
    first = longshot("segment", video, "--every", "1", "-o", out)
    monkeypatch.setattr(local, "_attempt", lambda *_: pytest.fail("done again"))
    again = longshot("segment", video, "--every", "1", "-o", out)
    assert again.rows == first.rows
    renamed = video.with_name("renamed.mp4")
    os.link(video, renamed)
    moved = longshot("segment", renamed, "--every", "1", "-o", out)
    renamed.unlink()
    assert moved.rows[0]["tracks"] == first.rows[0]["tracks"]
    assert len((out / "journal.jsonl").read_text().splitlines()) == 1


def test_what_no_longer_stands_is_done_again(longshot: Command, video: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    lines = lambda: len((out / "journal.jsonl").read_text().splitlines())  # noqa: E731
    first = longshot("segment", video, "--every", "1", "-o", out)
    other_setting = longshot("segment", video, "--every", "0.5", "-o", out)
    assert len(other_setting.rows[0]["tracks"][0]["captions"]) == 4
    assert lines() == 2
    # The second setting took the place of the first one's track, so that has to be made again.
    assert longshot("segment", video, "--every", "1", "-o", out).rows == first.rows
    assert lines() == 3
    Library(out).path_of(first.rows[0]["video"]["id"], "shot").unlink()
    assert longshot("segment", video, "--every", "1", "-o", out).rows == first.rows
    assert longshot("segment", video, "--every", "1", "-o", out).rows == first.rows


def test_clips_are_cut_as_files(longshot: Command, video: Path, tmp_path: Path) -> None:
    said = longshot("segment", video, "--every", "1", "--cut", "-o", tmp_path / "out")
    clips = [Path(clip) for clip in said.rows[0]["clips"]]
    assert len(clips) == 2
    assert all(clip.is_file() and clip.is_relative_to(tmp_path / "out" / "clips") for clip in clips)
    clips[0].unlink()
    again = longshot("segment", video, "--every", "1", "--cut", "-o", tmp_path / "out")
    assert again.rows[0]["clips"] == said.rows[0]["clips"]
    assert clips[0].is_file()


def test_folders_are_searched_in_natural_order(longshot: Command, video: Path, tmp_path: Path) -> None:
    folder = tmp_path / "many"
    (folder / "deep").mkdir(parents=True)
    (folder / ".hidden").mkdir()
    for name in ("10.mp4", "2.mp4", "deep/1.bin", ".hidden/3.mp4", ".4.mp4"):
        (folder / name).write_bytes(video.read_bytes() + name.encode())
    (folder / "notes.mp4").write_text("not a video")
    (folder / "notes.txt").write_text("neither")
    said = longshot("segment", folder, "--every", "1")
    assert said.code == 0
    assert [Path(row["path"]).name for row in said.rows] == ["2.mp4", "10.mp4", "1.bin"]
    assert said.err == "longshot: 3 videos: 3 done; 2 files that are no videos were skipped: notes.mp4, notes.txt\n"
    pattern = longshot("segment", str(folder / "*.mp4"), "--every", "1", "--quiet")
    assert [(Path(row["path"]).name, row["state"]) for row in pattern.rows] == [
        ("2.mp4", "done"),
        ("10.mp4", "done"),
        ("notes.mp4", "unreadable"),
    ]
    assert pattern.code == 1


# --- the other commands


def test_export_prints_one_text_or_writes_files(longshot: Command, video: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    longshot("segment", video, "--every", "1", "-o", out)
    longshot("transcribe", video, "-o", out)
    said = longshot("export", out, "--to", "srt", "--level", "speech")
    assert said.code == 0
    assert said.out.splitlines()[:3] == ["1", "00:00:00,200 --> 00:00:01,500", "Hello there, everybody."]
    files = longshot("export", out, "-t", "srt", "-t", "vtt:chapters", "-o", tmp_path / "views")
    assert files.code == 0
    paths = [Path(line) for line in files.out.splitlines()]
    assert paths
    assert all(path.is_file() for path in paths)
    assert {path.suffix for path in paths} == {".srt", ".vtt"}
    several = longshot("export", out, "-t", "srt", "-t", "vtt")
    assert several.code == 2
    assert "add -o DIR" in several.err


def test_probe_shows_the_header(longshot: Command, video: Path, tmp_path: Path) -> None:
    (tmp_path / "no.mp4").write_text("no video")
    said = longshot("probe", video, "--json")
    (row,) = said.rows
    assert (row["duration"], row["size"], row["fps"], row["codec"]) == (pytest.approx(2.0), [64, 48], 25.0, "mpeg4")
    assert (row["audio"], row["chapters"], row["subtitles"], row["damage"]) == (False, [], [], "")
    people = longshot("probe", video, tmp_path / "no.mp4", "--no-json")
    assert people.code == 1
    assert "0:00:02.000  (2.000 s)" in people.out
    assert is_one_line(people)
    assert longshot("probe", tmp_path / "no.mp4").code == 3


def test_list_names_every_choice(longshot: Command) -> None:
    rows = longshot("list").rows
    assert {"segmenters", "transcribers", "readers", "formats"} <= {row["shelf"] for row in rows}
    assert {"fixed", "sidecar", "rapidocr", "srt"} <= {row["name"] for row in rows}
    assert all(row["summary"] for row in rows)
    assert {row["shelf"] for row in longshot("list", "formats").rows} == {"formats"}
    people = longshot("list", "--no-json").out
    assert all(row["name"] in people for row in rows)


def test_list_says_what_to_install(longshot: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("longshot.registry._installed", lambda package: package != "rapidocr")
    row = next(row for row in longshot("list", "readers").rows if row["name"] == "rapidocr")
    assert row["missing"] == ["rapidocr"]
    assert row["install"] == "pip install 'longshot[ocr]'"
    assert "pip install 'longshot[ocr]'" in longshot("list", "readers", "--no-json").out
    refused = longshot("recap", "x.mp4", "--screen", "rapidocr")
    assert refused.code == 2
    assert "rapidocr is not installed; it comes with: pip install 'longshot[ocr]'" in refused.err


def test_version_and_help(longshot: Command) -> None:
    assert longshot("--version") == Said(0, f"longshot {__version__}\n", "")
    said = longshot("--help")
    assert said.code == 0
    for command in ("describe", "recap", "segment", "transcribe", "export", "probe", "list", "doctor"):
        assert f"  {command} " in said.out
        helped = longshot(command, "--help")
        assert helped.code == 0
        assert f"longshot {command}" in helped.out
    nothing = longshot()
    assert nothing.code == 2
    assert nothing.out == said.out


# --- what cannot be


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["segment"], "Missing argument"),
        (["nosuch"], "No such command 'nosuch'"),
        (["segment", "x.mp4", "--nope"], "No such option: --nope"),
        (["segment", "x.mp4", "--every", "often"], "Invalid value for '--every'"),
        (["segment", "x.mp4", "--every", "0"], "--every is a number of seconds above 0, got 0"),
        (["segment", "x.mp4", "--every", "nan"], "--every is a number of seconds above 0, got nan"),
        (["segment", "x.mp4", "--segmenter", "fixd"], "no segmenter called 'fixd'"),
        (["segment", "x.mp4", "--rules", "lover"], "did you mean 'lovr'?"),
        (["segment", "x.mp4", "--count", "many"], "--count is a range such as 64-100, got 'many'"),
        (["segment", "x.mp4", "--shortest", "5", "--longest", "6"], "at least twice the shortest"),
        (["segment", "x.mp4", "--cut"], "add -o DIR"),
        (["segment", "x.mp4", "--keyframes"], "add --cut"),
        (["segment", "x.mp4", "--workers", "0"], "the number of workers is 1 or more, got 0"),
        (["segment", "x.mp4", "--time-limit", "-1"], "above 0"),
        (["describe", "x.mp4", "--every", "week"], "--every is video, shot, clip or seconds above 0"),
        (["describe", "x.mp4", "--describer", "poet"], "no describer called 'poet'"),
        (["recap", "x.mp4", "--speech", "wisper"], "did you mean 'whisper'?"),
        (["recap", "x.mp4", "--device", "gpu"], "no device called 'gpu': there are auto, cpu"),
        (["recap", "x.mp4", "--segment-seconds", "0"], "above 0, got 0"),
        (["transcribe", "x.mp4", "--language", "klingonish"], "no language called 'klingonish'"),
        (["export", "."], "--to says which format"),
        (["list", "cupboard"], "no shelf called 'cupboard'"),
    ],
)
def test_a_command_that_cannot_be_meant(longshot: Command, processes: None, arguments: list[str], words: str) -> None:
    said = longshot(*arguments)
    assert said.code == 2
    assert said.out == ""
    assert words in said.err
    assert is_one_line(said), said.err


def make_bad(folder: Path, kind: str) -> Path:
    """A file, or what looks like one, that cannot be used."""
    path = folder / "bad.mp4"
    match kind:
        case "missing" | "no match":
            return path if kind == "missing" else folder / "*.mkv"
        case "empty file":
            path.touch()
        case "text renamed":
            path.write_text("This is no video.\n" * 100)
        case "empty folder":
            path.mkdir()
        case "folder without videos":
            path.mkdir()
            (path / "readme.txt").write_text("nothing here")
        case "pipe":
            os.mkfifo(path)
        case "device":
            return Path("/dev/null")
        case "noise":
            path.write_bytes(bytes((k * 7919 + k // 251) % 256 for k in range(50_000)))
        case "half a header":
            path.write_bytes(b"\x00\x00\x00\x20ftypisom\x00\x00\x02\x00isomiso2avc1mp41")
        case "not allowed":
            path.write_bytes(b"\x00\x00\x00\x20ftypisom")
            path.chmod(0)
        case "dangling link":
            path.symlink_to(folder / "gone.mp4")
        case "name too long":
            return folder / ("x" * 300 + ".mp4")
    return path


BAD = {
    "missing": "no such file",
    "no match": "no file matches",
    "empty file": "is empty (0 bytes)",
    "text renamed": "not a video or sound file",
    "empty folder": "no video in this folder (it is empty)",
    "folder without videos": "no video in this folder (one other file)",
    "pipe": "not a regular file",
    "device": "not a regular file",
    "noise": "not a video or sound file",
    "half a header": "not a video or sound file",
    "not allowed": "may not be read by this user",
    "dangling link": "no such file",
    "name too long": "cannot be opened",
}


@pytest.mark.parametrize("kind", BAD)
def test_bad_input_is_one_line_and_the_others_go_on(longshot: Command, video: Path, tmp_path: Path, kind: str) -> None:
    if kind == "not allowed" and os.geteuid() == 0:
        pytest.skip("root may read everything")
    inputs = tmp_path / "in"
    inputs.mkdir()
    bad = make_bad(inputs, kind)
    out = tmp_path / "out"
    alone = longshot("segment", bad, "--every", "1", "--no-json", "-o", out, "--quiet")
    assert alone.code == 3
    assert alone.out == ""
    assert BAD[kind] in alone.err
    assert is_one_line(alone), alone.err
    among = longshot("segment", bad, video, "--every", "1", "-o", out, "--quiet")
    assert among.code == 1
    assert BAD[kind] in among.err
    assert is_one_line(among), among.err
    assert [row["state"] for row in among.rows if row["path"] == str(video)] == ["done"]
    written = sorted(str(path.relative_to(out)) for path in out.rglob("*") if path.is_file())
    id = next(row["video"]["id"] for row in among.rows if row["state"] == "done")
    assert written == ["journal.jsonl", f"tracks/{id}/shot.jsonl", f"tracks/{id}/video.json"]


def test_names_cannot_speak_to_the_terminal(longshot: Command) -> None:
    said = longshot("segment", "evil\x1b[31m\nname.mp4", "--every", "1", "--no-json")
    assert is_one_line(said)
    assert "\x1b" not in said.err


def test_an_output_folder_that_cannot_be_made(longshot: Command, video: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    said = longshot("segment", video, "--every", "1", "-o", tmp_path / "file")
    assert said.code == 2
    assert is_one_line(said)
    assert "cannot be written" in said.err


def test_a_folder_that_is_being_written(longshot: Command, video: Path, tmp_path: Path) -> None:
    with Journal(tmp_path / "journal.jsonl"):
        said = longshot("segment", video, "--every", "1", "-o", tmp_path)
    assert said.code == 1
    assert is_one_line(said)
    assert f"is being written by process {os.getpid()}" in said.err


def test_a_spoilt_journal_is_named_with_its_line(longshot: Command, video: Path, tmp_path: Path) -> None:
    (tmp_path / "journal.jsonl").write_text("garbage\n")
    said = longshot("segment", video, "--every", "1", "-o", tmp_path)
    assert said.code == 3
    assert is_one_line(said)
    assert "journal.jsonl, line 1" in said.err


def test_a_bug_is_one_line_and_shows_its_place_when_asked(
    longshot: Command, video: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("longshot.scaling.gather.gather", lambda *_, **__: 1 / 0)
    said = longshot("segment", video, "--every", "1")
    assert said.code == 1
    assert is_one_line(said)
    assert "ZeroDivisionError" in said.err
    assert "this is a bug" in said.err
    monkeypatch.setenv("LONGSHOT_DEBUG", "1")
    assert "Traceback (most recent call last)" in longshot("segment", video, "--every", "1").err


def test_a_bug_in_one_video_does_not_stop_the_others(
    longshot: Command, video: Path, other: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = verbs.Verb.__call__

    def buggy(self: verbs.Verb, path: str, progress: Any) -> Any:
        return real(self, path, progress) if path == str(other) else 1 / 0

    monkeypatch.setattr(verbs.Verb, "__call__", buggy)
    said = longshot("segment", video, other, "--every", "1", "-q")
    assert said.code == 1
    assert [row["state"] for row in said.rows] == ["failed", "done"]
    assert is_one_line(said)
    assert "(this is a bug in longshot)" in said.err
    alone = longshot("segment", video, "--every", "1", "-q")
    assert alone.code == 1
    monkeypatch.setenv("LONGSHOT_DEBUG", "1")
    assert "Traceback (most recent call last)" in longshot("segment", video, "--every", "1", "-q").err


# --- as a program


def start(*arguments: object, **options: Any) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "longshot", *(str(argument) for argument in arguments)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, **options)


def test_as_a_program_in_processes(video: Path, other: Path, tmp_path: Path, processes: None) -> None:
    names = (video, tmp_path / "none.mp4", other)
    out, err = (program := start("segment", *names, "--every", "1", "-j", "2")).communicate(timeout=60)
    assert program.returncode == 1
    rows = [json.loads(line) for line in out.splitlines()]
    assert [(row["path"], row["state"]) for row in rows] == [
        (str(video), "done"),
        (str(tmp_path / "none.mp4"), "unreadable"),
        (str(other), "done"),
    ]
    assert err.decode().splitlines() == [
        f"longshot: {tmp_path / 'none.mp4'}: there is no such file",
        "longshot: 3 videos: 2 done, 1 unreadable",
    ]


def on_a_terminal(*arguments: object) -> tuple[int, str]:
    """Run a command with a terminal on all its ends; its exit code and all that it showed."""
    ours, theirs = pty.openpty()
    command = [sys.executable, "-m", "longshot", *(str(argument) for argument in arguments)]
    environment = {**os.environ, "TERM": "xterm-256color", "COLUMNS": "80"}
    environment.pop("NO_COLOR", None)
    program = subprocess.Popen(command, stdin=theirs, stdout=theirs, stderr=theirs, env=environment)
    os.close(theirs)
    shown = b""
    with suppress(OSError):  # how Linux says that the other end is closed
        while part := os.read(ours, 65536):
            shown += part
    os.close(ours)
    return program.wait(timeout=30), shown.decode()


def test_a_terminal_shows_progress_and_then_the_outline(video: Path) -> None:
    code, shown = on_a_terminal("segment", video, "--every", "1")
    assert code == 0
    assert "segment talk.mp4" in shown, "the progress line"
    assert "\x1b[2K" in shown, "it is erased"
    assert "talk.mp4" in shown
    assert "Shot 2" in shown
    assert f"{video.as_uri()}#t=1\x1b" in shown, "times are links"
    assert not shown.lstrip().startswith("{")


def test_a_closed_pipe_ends_quietly() -> None:
    program = start("list", "--json")
    assert program.stdout is not None
    assert program.stderr is not None
    program.stdout.close()
    err = program.stderr.read()
    program.stderr.close()
    assert program.wait(timeout=30) == 141
    assert err == b""


def test_ctrl_c_stops_with_one_line(tmp_path: Path) -> None:
    for number in range(40):
        write_video(tmp_path / f"{number}.mp4", count=25 + number, fps=25, size=(64, 48), codec="mpeg4")
    out = tmp_path / "out"
    program = start("segment", tmp_path, "--every", "0.2", "--cut", "-o", out, "-j", "1", start_new_session=True)
    assert program.stdout is not None
    first = program.stdout.readline()
    os.killpg(program.pid, signal.SIGINT)
    _, err = program.communicate(timeout=30)
    assert program.returncode == 130, err.decode()
    assert err == b"longshot: stopped; what is done is kept\n"
    assert json.loads(first)["state"] == "done"
    assert 1 <= len(read_journal(out / "journal.jsonl")) < 40
    assert not list(out.rglob("*.lock"))


@pytest.mark.slow
def test_killed_and_given_again_it_does_only_the_rest(tmp_path: Path) -> None:
    count = 30
    for number in range(count):
        write_video(tmp_path / f"{number}.mp4", count=25 + number, fps=25, size=(64, 48), codec="mpeg4")
    out = tmp_path / "out"
    command = ("segment", tmp_path, "--every", "0.5", "-o", out, "-j", "2", "-q")
    for kill in range(4):
        program = start(*command)
        assert program.stdout is not None
        program.stdout.readline()
        time.sleep(0.05 * kill)
        program.kill()
        program.communicate()
    program = start(*command)
    output, err = program.communicate(timeout=120)
    assert program.returncode == 0, err.decode()
    assert len(output.splitlines()) == count
    lines = [json.loads(line)["id"] for line in (out / "journal.jsonl").read_text().splitlines()]
    assert len(lines) == len(set(lines)) == count
    assert len(Library(out).videos()) == count
    assert all(len(Library(out).tracks(record.id)) == 1 for record in Library(out).videos())
    assert not list(out.rglob("*.part"))


# --- written once


@pytest.mark.parametrize("verb", ["describe", "recap", "segment"])
def test_help_comes_from_the_verb_s_own_docstring(longshot: Command, verb: str) -> None:
    import importlib

    function = getattr(importlib.import_module(f"longshot.captioning.{verb}"), verb)
    assert function.__doc__
    assert cli_options.summary_of(verb) == function.__doc__.splitlines()[0]
    assert cli_options.summary_of(verb)
    assert cli_options.help_of(verb, "progress")
    assert "\n" not in cli_options.help_of(verb, "progress")


@pytest.mark.parametrize(
    ("verb", "argument"),
    [
        ("recap", "describer"),
        ("recap", "segmenter"),
        ("recap", "speech"),
        ("recap", "language"),
        ("recap", "screen"),
        ("recap", "segment_seconds"),
        ("describe", "every"),
        ("segment", "every"),
        ("segment", "fast"),
        ("export", "level"),
    ],
)
def test_no_help_text_went_missing(verb: str, argument: str) -> None:
    said = cli_options.help_of(verb, argument)
    assert said, f"`Args:` of {verb} say nothing of {argument}"
    assert not said[0].islower()


def test_docs_are_in_step_with_the_commands() -> None:
    page = cli_reference.PAGE.read_text(encoding="utf-8")
    assert cli_reference.page_with(cli_reference.reference()) == page, "docs/cli.md is behind: run `make docs`"


@pytest.mark.parametrize(("word", "meant"), [("4s", 4.0), ("0.5", 0.5), ("shot", "shot"), ("clip", "clip")])
def test_every_takes_a_level_or_seconds(word: str, meant: object) -> None:
    assert cli._every(word) == meant
    with pytest.raises(UsageError, match="seconds above 0 such as 4 or 4s"):
        cli._every(f"{word}!")
