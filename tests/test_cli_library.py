"""The commands of a library, one after the other as a user gives them."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from longshot import cli, cli_library
from longshot.errors import UsageError
from longshot.library import Library
from longshot.scaling import verbs
from tests.adding import run_here
from tests.videos import write_video

TALKS = {
    "stars": [(0.5, 2.5, "She points the telescope at Saturn."), (4.0, 6.0, "Its rings are made of ice.")],
    "bread": [(0.5, 3.0, "Knead the dough for ten minutes."), (4.5, 7.0, "The oven must be very hot.")],
}


class Said(NamedTuple):
    """What a command left behind."""

    code: int
    out: str
    err: str

    @property
    def rows(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.out.splitlines()]


Command = Callable[..., Said]


@pytest.fixture(scope="module")
def talks(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two films of eight seconds with what is said in them as subtitles."""
    folder = tmp_path_factory.mktemp("talks")
    for number, (name, lines) in enumerate(TALKS.items()):
        write_video(folder / f"{name}.mp4", count=40 + number, fps=5, size=(96, 64))
        cues = [f"{i}\n{_stamp(a)} --> {_stamp(b)}\n{text}\n" for i, (a, b, text) in enumerate(lines, start=1)]
        (folder / f"{name}.srt").write_text("\n".join(cues))
    return folder


def _stamp(seconds: float) -> str:
    return f"00:00:{seconds:06.3f}".replace(".", ",")


@pytest.fixture(autouse=True)
def here(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> None:
    """No processes for tiny films, and nobody's own library or cache."""
    home = tmp_path_factory.mktemp("home")
    monkeypatch.setattr(verbs, "run", run_here)
    monkeypatch.setenv("XDG_CACHE_HOME", str(home / "cache"))
    monkeypatch.setenv("XDG_DATA_HOME", str(home / "data"))
    monkeypatch.delenv("LONGSHOT_LIBRARY", raising=False)


@pytest.fixture
def longshot(capfdbinary: pytest.CaptureFixture[bytes]) -> Command:
    def command(*arguments: object) -> Said:
        code = cli.run([str(argument) for argument in arguments])
        out, err = capfdbinary.readouterr()
        return Said(code, out.decode(), err.decode())

    return command


@pytest.fixture(scope="module")
def filled(talks: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A library of both talks, made once; copied where it is changed."""
    place = tmp_path_factory.mktemp("library") / "lib"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(verbs, "run", run_here)
        assert cli.run(["add", str(talks), "-L", str(place), "--screen", "none", "-q"]) == 0
    return place


@pytest.fixture
def library(filled: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(filled, tmp_path / "lib"))


def test_add_tells_what_each_video_was(longshot: Command, talks: Path, tmp_path: Path) -> None:
    place = tmp_path / "lib"
    first = longshot("add", talks, "-L", place, "--screen", "none", "--vectors", "none", "--no-json")
    assert first.code == 0
    assert re.search(r"^new +.*bread\.mp4  .*2 lines of speech", first.out, re.MULTILINE)
    assert first.err.rstrip().endswith(f"2 new; the library is {place}")
    again = longshot("add", talks, "-L", place, "--screen", "none", "--vectors", "none", "--json")
    assert [row["what"] for row in again.rows] == ["again", "again"]
    assert all(row["rows"] > 4 for row in again.rows)


def test_add_goes_on_after_a_file_that_is_no_video(longshot: Command, talks: Path, tmp_path: Path) -> None:
    bad = tmp_path / "bad.mp4"
    bad.write_bytes(b"no video at all")
    said = longshot("add", bad, talks / "bread.mp4", "-L", tmp_path / "lib", "--screen", "none", "--json")
    assert said.code == 1
    assert sorted(row["state"] for row in said.rows) == ["done", "unreadable"]
    assert said.err.count("bad.mp4") == 1


def test_search_finds_across_the_library(longshot: Command, library: Path) -> None:
    said = longshot("search", "telescope", "-L", library, "--json")
    assert said.code == 0
    best = said.rows[0]
    assert best["name"] == "stars.mp4"
    assert best["start"] < 2.5 and best["end"] > 0.5 and best["end"] <= 4.0
    assert 0 < best["score"] <= 1
    assert re.fullmatch(r"/.*/stars\.mp4#t=[\d.]+,[\d.]+", best["link"])
    spoken = next(one for one in best["evidence"] if one["level"] == "speech")
    (a, b), *_ = spoken["matched"]
    assert spoken["text"][a:b] == "telescope"


def test_search_draws_moments_for_people(longshot: Command, library: Path) -> None:
    said = longshot("search", "hot oven", "-L", library, "--no-json")
    assert "bread.mp4" in said.out.splitlines()[0]
    assert "The oven must be very hot." in said.out
    assert re.search(r"longshot: \d+ moments? \(full text.*; \d+\.\d\d s\)", said.err)


def test_search_takes_phrases_and_filters(longshot: Command, library: Path) -> None:
    assert longshot("search", '"rings are made"', "-L", library).rows[0]["name"] == "stars.mp4"
    assert longshot("search", '"made are rings"', "-L", library).rows == []
    assert not [row for row in longshot("search", "oven", "-L", library, "--video", "stars.mp4", "--by", "words").rows]
    late = longshot("search", "oven dough", "-L", library, "--level", "speech", "--after", "0:04", "--by", "words").rows
    assert late and all(row["start"] >= 4 for row in late)
    assert longshot("search", "oven", "-L", library, "--longer-than", "1:00:00", "--by", "words").rows == []


def test_search_by_a_picture(longshot: Command, library: Path, talks: Path) -> None:
    said = longshot("search", "--like", talks / "bread.mp4", "-L", library, "--json")
    assert said.code == 0
    assert said.rows[0]["name"] == "bread.mp4"
    assert "fingerprint" in said.err


def test_find_looks_inside_one_video(longshot: Command, library: Path, talks: Path) -> None:
    named = longshot("find", "stars.mp4", "rings", "of", "ice", "-L", library, "--json")
    assert named.code == 0 and named.rows[0]["start"] >= 2.5
    by_file = longshot("find", talks / "stars.mp4", "rings of ice", "-L", library, "--json")
    assert by_file.rows[0]["start"] == named.rows[0]["start"]
    nothing = longshot("find", "stars.mp4", "submarine", "-L", library, "--json")
    assert nothing.code == 0 and not nothing.rows
    assert "nothing like that was found" in nothing.err


def test_find_tells_a_file_that_no_library_has(longshot: Command, talks: Path) -> None:
    first = longshot("find", talks / "bread.mp4", "the hot oven", "--json")
    assert first.rows[0]["start"] >= 3.0
    assert longshot("find", talks / "bread.mp4", "the hot oven", "--json").rows == first.rows


def test_info_list_and_verify_agree(longshot: Command, library: Path) -> None:
    whole = longshot("info", "-L", library, "--json").rows[0]
    assert whole["videos"] == 2 and whole["captions"]["speech"] == 4 and whole["index"] == ""
    listed = longshot("list", "videos", "-L", library, "--json").rows
    assert [row["name"] for row in listed] == ["bread.mp4", "stars.mp4"]
    one = longshot("info", "stars.mp4", "-L", library, "--json").rows[0]
    assert one["captions"]["speech"] == 2 and one["rows"] == sum(one["captions"].values())
    assert longshot("verify", "-L", library).code == 0


def test_verify_names_the_line_of_a_torn_track_and_search_goes_on(longshot: Command, library: Path) -> None:
    video = next(record.id for record in Library(library).videos() if record.name == "stars.mp4")
    track = library / "tracks" / video / "speech.jsonl"
    lines = track.read_text().splitlines()
    track.write_text("\n".join([*lines[:2], "what is this", *lines[2:]]) + "\n")
    said = longshot("verify", "-L", library, "--no-json")
    assert said.code == 1
    assert "speech.jsonl" in said.out and "line 3" in said.out
    assert longshot("search", "oven", "-L", library, "--json").rows[0]["name"] == "bread.mp4"


def test_index_rebuild_gives_the_same_answers(longshot: Command, library: Path) -> None:
    before = longshot("search", "telescope ice", "-L", library, "--json").rows
    shutil.rmtree(library / "index")
    gone = longshot("search", "telescope ice", "-L", library, "--json")
    assert gone.code != 0 and "longshot index --rebuild" in gone.err
    rebuilt = longshot("index", "--rebuild", "-L", library, "--json")
    assert rebuilt.code == 0 and rebuilt.rows[0]["videos"] == 2
    assert longshot("search", "telescope ice", "-L", library, "--json").rows == before


def test_index_takes_up_what_a_hand_wrote(longshot: Command, library: Path) -> None:
    video = next(record.id for record in Library(library).videos() if record.name == "stars.mp4")
    track = library / "tracks" / video / "speech.jsonl"
    track.write_text(track.read_text().replace("Saturn", "Neptune"))
    assert longshot("verify", "-L", library).code == 1
    assert longshot("index", "-L", library).code == 0
    assert longshot("search", "neptune", "-L", library, "--by", "words").rows[0]["name"] == "stars.mp4"
    assert longshot("verify", "-L", library).code == 0


def test_remove_forgets_the_video_and_keeps_the_file(longshot: Command, library: Path, talks: Path) -> None:
    said = longshot("remove", "stars.mp4", "-L", library, "--no-json")
    assert said.code == 0 and "removed stars.mp4" in said.out
    assert (talks / "stars.mp4").exists()
    assert longshot("search", "telescope", "-L", library, "--by", "words").rows == []
    assert [row["name"] for row in longshot("list", "videos", "-L", library).rows] == ["bread.mp4"]


def test_export_takes_a_video_of_the_library(longshot: Command, library: Path, tmp_path: Path) -> None:
    said = longshot("export", "stars.mp4", "--format", "html", "-o", tmp_path / "page", "-L", library)
    assert said.code == 0
    page = (tmp_path / "page" / "stars.html").read_text()
    assert "She points the telescope at Saturn." in page
    assert "She points" in longshot("export", "stars.mp4", "-t", "srt", "--level", "speech", "-L", library).out


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["search", "x", "-L", "{tmp}/none"], "there is no library at"),
        (["search", "-L", "{lib}"], "search for words"),
        (["search", "  ", "-L", "{lib}"], "search for words"),
        (["search", "x", "-L", "{lib}", "--after", "soon"], "--after is a time such as"),
        (["search", "x", "-L", "{lib}", "--by", "magic"], "magic"),
        (["search", "x", "-L", "{lib}", "--video", "nobody.mp4"], "nobody.mp4"),
        (["search", "--like", "{tmp}/no.jpg", "-L", "{lib}"], "no.jpg"),
        (["find", "nobody.mp4", "x", "-L", "{lib}"], "nobody.mp4"),
        (["find", "stars.mp4", "?!", "-L", "{lib}"], "word"),
        (["find", "stars.mp4", "x", "-L", "{lib}", "--finder", "asking"], "--model"),
        (["find", "stars.mp4", "x", "-L", "{lib}", "--set", "a=1"], "--finder asking"),
        (["remove", "nobody.mp4", "-L", "{lib}"], "nobody.mp4"),
        (["info", "nobody.mp4", "-L", "{lib}"], "nobody.mp4"),
        (["view", "{tmp}/none.mp4", "-L", "{lib}"], "none.mp4"),
        (["export", "nobody.mp4", "-t", "srt", "-L", "{lib}"], "nobody.mp4"),
    ],
)
def test_what_cannot_be_meant_is_one_line(
    longshot: Command, filled: Path, tmp_path: Path, arguments: list[str], words: str
) -> None:
    said = longshot(*(word.format(tmp=tmp_path, lib=filled) for word in arguments))
    assert said.code in (2, 3)
    assert said.out == ""
    assert said.err.startswith("longshot: ") and said.err.count("\n") == 1
    assert words in said.err


@pytest.mark.parametrize(
    ("text", "seconds"), [("95", 95), ("1:35", 95), ("1:02:03.5", 3723.5), (" 0:04 ", 4), (None, None)]
)
def test_times_are_read_as_people_write_them(text: str | None, seconds: float | None) -> None:
    assert cli_library.seconds_of("--after", text) == seconds


@pytest.mark.parametrize("text", ["", "-5", "1:2:3:4", "1e9", "nan", "ten", "1:", ":5", "٣"])
def test_what_is_no_time_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="is a time such as"):
        cli_library.seconds_of("--after", text)


@pytest.fixture
def served(library: Path) -> Iterator[str]:
    """The address that `longshot view` says."""
    command = [sys.executable, "-m", "longshot", "view", "-L", str(library), "--port", "0", "--no-open", "-q"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=dict(os.environ)) as process:
        assert process.stdout is not None
        yield process.stdout.readline().strip()
        process.terminate()
        began = time.monotonic()
        process.wait(timeout=10)
        assert time.monotonic() - began < 5


def test_view_serves_the_library(served: str) -> None:
    assert served.startswith("http://127.0.0.1:")
    with urllib.request.urlopen(f"{served}api/search?q=telescope", timeout=20) as answer:
        assert json.load(answer)["hits"][0]["name"] == "stars.mp4"
