"""The index: what is put in is found, by words, phrases and vectors, and damage is told in one line."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from longshot import tables
from longshot.errors import LongshotError, UsageError
from longshot.library import VideoRecord
from longshot.tables import Entry, Filter, Index, IndexDamaged, Indexed, NoIndex, made_anew
from longshot.timeline import Caption, Source, Span, Track

MINI = Source("embed", "sentence-transformers/all-MiniLM-L6-v2", "53aa", {"pooling": "mean"})
TALK = [
    "The red telescope’s café",
    "two telescopes on a hill",
    "Is this a question?",
    "étés and cafe\u0301s",
    "SELECT * FROM captions; -- it's",
    "🔭 望远镜在山上",
]


def track(video: str, texts: list[str], level: str = "speech", length: float = 2.0) -> Track:
    captions = tuple(Caption(Span(i * length, (i + 1) * length), text) for i, text in enumerate(texts))
    return Track(video, level, Source("transcribe", "fake", "1"), captions, f"{video}.mp4", 60.0)


def record(video: str) -> VideoRecord:
    return VideoRecord(video, f"{video}.mp4", f"/films/{video}.mp4", 60.0)


def put(index: Index, video: str, texts: list[str], digest: str = "d", **more: object) -> int:
    return index.put(record(video), [track(video, texts)], digest=digest, **more)  # type: ignore[arg-type]


def unit(*values: float) -> NDArray[np.float32]:
    row = np.array(values, np.float32)
    return row / np.linalg.norm(row)


def texts(entries: list[Entry]) -> list[str]:
    return [entry.text for entry in entries]


@pytest.fixture
def index(tmp_path: Path) -> Index:
    made = Index.open(tmp_path, create=True)
    assert put(made, "talk", TALK) == len(TALK)
    return made


def test_a_caption_comes_back_as_it_was_put(index: Index, tmp_path: Path) -> None:
    entries = Index.open(tmp_path).entries("talk")
    assert texts(entries) == TALK
    assert entries[1] == Entry("speech-0002", "talk", "speech", Span(2.0, 4.0), TALK[1], "transcribe fake@1")
    assert index.videos() == {"talk": Indexed("talk", "d", 6, "talk.mp4", "/films/talk.mp4", 60.0)}
    assert index.levels() == {"speech": 6}
    assert index.entries("talk", levels=("clip",)) == []
    assert index.entries("nothing") == []


WORDS = [
    ("telescope", {0, 1}),
    ("TELESCOPES", {0, 1}),
    ("cafe", {0, 3}),
    ("telescope's", {0, 1}),
    ("'; DROP TABLE captions; --", {4}),
    ("it's it’s", {4}),
    (".* [a-z]+ (", {1, 2}),  # a letter is a word
    ("望远镜", {5}),
    ("🔭", set()),
    ("", set()),
    ("?!", set()),
    ("\ud800 \x00", set()),
    ("hill " + " ".join(f"w{i}" for i in range(3000)), {1}),
]


@pytest.mark.parametrize(("query", "found"), WORDS)
def test_words_are_found_by_stem_and_without_accents(index: Index, query: str, found: set[int]) -> None:
    entries = index.words(query)
    assert set(texts(entries)) == {TALK[i] for i in found}
    assert [entry.score for entry in entries] == sorted((entry.score for entry in entries), reverse=True)
    assert all(entry.score > 0 for entry in entries)


def test_more_and_rarer_words_come_first(index: Index) -> None:
    assert texts(index.words("red telescope", limit=1)) == [TALK[0]]


PHRASES = [("red telescope's", {0}), ("red telescopes", set()), ("CAFÉ", {0}), ("a question", {2}), ('"', set())]


@pytest.mark.parametrize(("phrase", "found"), PHRASES)
def test_phrases_are_exact(index: Index, phrase: str, found: set[int]) -> None:
    assert set(texts(index.phrase(phrase))) == {TALK[i] for i in found}


def test_a_phrase_behind_many_of_its_stems_is_found(tmp_path: Path) -> None:
    index = Index.open(tmp_path, create=True)
    put(index, "v", ["the runner runs"] * 50 + ["a very long line in which there is one who says the runner running"])
    assert len(index.phrase("runner running", limit=2)) == 1


FILTERS = [
    (Filter(), {"a1", "a2", "b1", "b2"}),
    (Filter(levels=("speech",)), {"a1", "b1"}),
    (Filter(videos=("b",)), {"b1", "b2"}),
    (Filter(videos=("b", "a"), levels=("clip",)), {"a2", "b2"}),
    (Filter(after=5.0), {"a2", "b2"}),
    (Filter(before=5.0), {"a1", "b1"}),
    (Filter(after=0, before=10), {"a1", "b1"}),
    (Filter(longer_than=4), {"a2", "b2"}),
    (Filter(shorter_than=4), {"a1", "b1"}),
    (Filter(levels=("speech' OR '1'='1",)), set()),
    (Filter(videos=("a') OR ('1' = '1",)), set()),
    (Filter(videos=("\ud800", "\x00", "é", '"', "\\'")), set()),
]


@pytest.mark.parametrize(("where", "found"), FILTERS)
def test_filters_hold_for_every_way_to_search(tmp_path: Path, where: Filter, found: set[str]) -> None:
    index = Index.open(tmp_path, create=True)
    column = index.add_column(MINI, "text", 4)
    for video in "ab":
        tracks = [
            Track(video, level, MINI, (Caption(span, f"red {video}{number}"),))
            for number, level, span in ((1, "speech", Span(0, 2)), (2, "clip", Span(10, 20)))
        ]
        vectors = {column: {"speech-0001": unit(1, 0, 0, 0), "clip-0001": unit(1, 1, 0, 0)}}
        index.put(record(video), tracks, digest="d", vectors=vectors)
    for finish in (False, True):
        if finish:
            index.finish()
        for entries in (
            index.words("red", where=where),
            index.phrase("red", where=where),
            index.near(column, unit(1, 0, 0, 0), where=where),
        ):
            assert {entry.text.split()[1] for entry in entries} == found


@pytest.mark.parametrize("value", [float("nan"), float("inf"), "1 OR 1=1", True])
def test_a_limit_that_is_no_number_is_refused(index: Index, value: float) -> None:
    with pytest.raises(UsageError, match=r"after is .*seconds"):
        index.words("red", where=Filter(after=value))


def test_replaced_rows_are_gone_and_new_ones_are_there_before_and_after_finish(index: Index, tmp_path: Path) -> None:
    index.finish()
    put(index, "talk", ["a new telescope"], digest="e")
    put(index, "talk2", ["one more telescope"], digest="f")
    for finish in (False, True):
        if finish:
            index.finish()
        for one in (index, Index.open(tmp_path)):
            assert set(texts(one.words("telescope"))) == {"a new telescope", "one more telescope"}
            assert {video: known.digest for video, known in one.videos().items()} == {"talk": "e", "talk2": "f"}
    index.drop("talk")
    index.drop("never there")
    assert texts(index.words("telescope")) == ["one more telescope"]
    assert list(Index.open(tmp_path).videos()) == ["talk2"]


def test_a_video_twice_in_one_batch_is_put_once(tmp_path: Path) -> None:
    index = Index.open(tmp_path, create=True)
    puttings = [tables.Putting(record("v"), (track("v", [text]),), text, {}) for text in ("first", "second")]
    assert index.put_all(puttings) == 1
    assert texts(index.entries("v")) == ["second"]
    assert index.videos()["v"].digest == "second"


def test_a_video_without_captions_is_in(tmp_path: Path) -> None:
    index = Index.open(tmp_path, create=True)
    assert index.put(record("empty"), [], digest="d") == 0
    assert index.videos()["empty"].rows == 0
    index.finish()
    assert index.words("anything") == []


def test_a_kill_between_captions_and_their_line_leaves_a_video_that_is_not_in(tmp_path: Path) -> None:
    index = Index.open(tmp_path, create=True)
    put(index, "kept", ["a kept line"])
    index._videos = None  # nothing can be written there any more, as after a kill
    index._known = {}
    with pytest.raises(AttributeError):
        put(index, "killed", ["a torn telescope"])
    again = Index.open(tmp_path)
    assert list(again.videos()) == ["kept"]
    put(again, "killed", ["a whole telescope"])
    assert texts(again.words("telescope torn")) == ["a whole telescope"]


def test_columns_know_their_makers_and_do_not_mix(index: Index, tmp_path: Path) -> None:
    column = index.add_column(MINI, "text", 4)
    assert column == index.add_column(MINI, "text", 4)
    assert column.startswith("text_all_minilm_l6_v2_")
    other = index.add_column(Source("embed", MINI.model, "other", {}), "text", 4)
    frames = index.add_column(MINI, "frames", 8)
    assert len({column, other, frames}) == 3
    assert Index.open(tmp_path).columns[column] == MINI
    with pytest.raises(UsageError, match="vectors of 4 numbers, got 5"):
        index.add_column(MINI, "text", 5)
    with pytest.raises(UsageError, match="'text' or of 'frames'"):
        index.add_column(MINI, "sound", 4)
    with pytest.raises(UsageError, match="the index has"):
        index.near("nothing", unit(1, 0, 0, 0))
    with pytest.raises(UsageError, match="add_column"):
        put(index, "x", ["y"], vectors={"nothing": {"speech-0001": unit(1, 0)}})


def test_near_ranks_by_cosine_and_leaves_out_what_has_no_vector(index: Index, tmp_path: Path) -> None:
    column = index.add_column(MINI, "text", 2)
    vectors = {column: {"speech-0001": unit(1, 0), "speech-0002": unit(1, 1), "speech-0003": unit(-1, 0)}}
    put(index, "talk", TALK, vectors=vectors)
    entries = Index.open(tmp_path).near(column, unit(1, 0.1))
    assert [entry.id for entry in entries] == ["speech-0001", "speech-0002", "speech-0003"]
    expected = [float(unit(1, 0.1) @ vectors[column][entry.id]) for entry in entries]
    assert [entry.score for entry in entries] == pytest.approx(expected, abs=1e-5)


@pytest.mark.parametrize("width", [30, 256])  # compared number by number, and bit by bit first
def test_many_rows_are_searched_by_clusters(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, width: int) -> None:
    monkeypatch.setattr(tables, "_MANY", 1000)
    index, random = Index.open(tmp_path, create=True), np.random.default_rng(0)
    column = index.add_column(MINI, "text", width)
    mixed = random.standard_normal((12, width))  # meanings have fewer directions than vectors have numbers

    def put_some(video: str, count: int) -> dict[str, NDArray[np.float32]]:
        rows = {f"speech-{i + 1:04d}": unit(*(random.standard_normal(12) @ mixed)) for i in range(count)}
        put(index, video, [f"line {i}" for i in range(count)], vectors={column: rows})
        index.put_looks(video, list(range(count)), np.stack(list(rows.values())))
        index.finish()
        return rows

    rows = put_some("first", 1200)
    rows |= {f"second {id}": row for id, row in put_some("second", 4000).items()}
    put(index, "late", ["late"], vectors={column: {"speech-0001": unit(*range(1, width + 1))}})
    named = [one.name for one in index._captions.list_indices() if one.columns == [column]]
    assert named == [f"{column}_5200"], "more rows have more clusters, and no others stay"
    matrix, hits = np.stack(list(rows.values())), 0
    for _ in range(20):
        query = unit(*(random.standard_normal(12) @ mixed))
        best = {list(rows)[i].rpartition(" ")[2] for i in np.argsort(-(matrix @ query))[:10]}
        hits += len(best & {entry.id for entry in index.near(column, query, limit=10)})
    assert hits >= 190
    assert index.near(column, unit(*range(1, width + 1)), limit=1)[0].video == "late"
    assert len(index.near(column, query, where=Filter(videos=("first",)), limit=5000)) == 1200
    assert index.near_looks(rows["speech-0007"], limit=1)[0][:2] == ("first", 6)


def test_looks_are_kept_and_replaced(index: Index, tmp_path: Path) -> None:
    assert index.near_looks(unit(1, 0, 0)) == []
    index.put_looks("talk", [0.0, 2.0], np.stack([unit(1, 0, 0), unit(0, 1, 0)]))
    index.put_looks("other", [5.0], np.stack([unit(0, 1, 1)]))
    index.put_looks("talk", [0.5, 2.5], np.stack([unit(1, 0, 0), unit(0, 1, 0)]))
    index.finish()
    found = Index.open(tmp_path).near_looks(unit(0, 1, 0), limit=2)
    assert [(video, second) for video, second, _ in found] == [("talk", 2.5), ("other", 5.0)]
    assert [cosine for *_, cosine in found] == pytest.approx([1.0, 0.5**0.5], abs=1e-5)
    assert [video for video, *_ in index.near_looks(unit(0, 1, 0), where=Filter(videos=("other",), after=5))] == [
        "other"
    ]
    index.drop("talk")
    assert [video for video, *_ in index.near_looks(unit(1, 0, 0))] == ["other"]
    index.put_looks("talk", [1.0], np.stack([unit(1, 0)]))  # fingerprints of another kind do not mix with these
    assert [video for video, *_ in index.near_looks(unit(1, 0))] == ["talk"]


def test_a_reader_sees_a_snapshot_until_it_looks_again(index: Index, tmp_path: Path) -> None:
    reader = Index.open(tmp_path)
    put(index, "later", ["a later telescope"])
    put(index, "talk", ["nothing"], digest="e")
    index.finish()
    assert set(texts(reader.words("telescope"))) == {TALK[0], TALK[1]}
    reader.refresh()
    assert texts(reader.words("telescope")) == ["a later telescope"]
    assert reader.videos()["talk"].digest == "e"


def test_a_few_new_rows_of_many_wait_and_are_found(tmp_path: Path) -> None:
    index = Index.open(tmp_path, create=True)
    put(index, "long", [f"line {number}" for number in range(200)])
    index.finish()
    waiting = []
    for number, count in enumerate([4, 4, 20]):
        put(index, f"new{number}", ["a later telescope"] * count)
        index.finish()
        waiting.append(index._captions.index_stats("text_idx").num_unindexed_rows)
        assert {entry.video for entry in index.words("telescope")} == {f"new{n}" for n in range(number + 1)}
    assert waiting == [4, 8, 0]


def test_many_small_puts_leave_few_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tables, "_KEPT", tables.timedelta(milliseconds=1))
    index = Index.open(tmp_path, create=True)
    counts = []
    for _ in range(3):
        for number in range(12):
            put(index, f"v{number}", [f"line {number} {i}" for i in range(5)])
        index.finish()
        index.finish()
        counts.append(sum(path.is_file() for path in (tmp_path / "index").rglob("*")))
    assert len(index.words("line", limit=1000)) == 60
    assert counts[2] <= counts[0] * 1.5


def test_no_index_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(NoIndex, match=r"longshot index --rebuild --library"):
        Index.open(tmp_path)
    (tmp_path / "index").mkdir()
    with pytest.raises(NoIndex):
        Index.open(tmp_path)
    Index.open(tmp_path, create=True)
    assert Index.open(tmp_path).videos() == {}


def test_an_index_of_another_version_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tables, "VERSION", 99)
    Index.open(tmp_path, create=True)
    monkeypatch.undo()
    with pytest.raises(IndexDamaged, match=r"format 99, .*reads 2; .*--rebuild"):
        Index.open(tmp_path, create=True)


DAMAGES: dict[str, Callable[[Path, bytes], object]] = {
    "lost": lambda path, data: path.unlink(),
    "emptied": lambda path, data: path.write_bytes(b""),
    "cut in half": lambda path, data: path.write_bytes(data[: len(data) // 2]),
    "garbled": lambda path, data: path.write_bytes(bytes(byte ^ 0x5A for byte in data)),
    "zeroed": lambda path, data: path.write_bytes(bytes(len(data))),
}


def ask_everything(place: Path) -> list[object]:
    index = Index.open(place)
    (column,) = index.columns
    near = [(entry.video, entry.id) for entry in index.near(column, unit(1, 2, 3, 4), limit=5)]
    found = [index.words("red telescope"), index.phrase("red telescope"), index.entries("v3")]
    return [index.videos(), near, *found, index.levels(), index.near_looks(unit(1, 0))]


QUICK = ("lost", "garbled")


@pytest.mark.parametrize(
    "damage", [damage if damage in QUICK else pytest.param(damage, marks=pytest.mark.slow) for damage in DAMAGES]
)
def test_every_kind_of_damage_is_told_in_one_line_or_does_no_harm(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, damage: str
) -> None:
    monkeypatch.setattr(tables, "_MANY", 200)
    index, random = Index.open(tmp_path, create=True), np.random.default_rng(0)
    column = index.add_column(MINI, "text", 4)
    for number in range(5):
        rows = {f"speech-{i + 1:04d}": unit(*random.standard_normal(4)) for i in range(60)}
        put(index, f"v{number}", ["a red telescope"] * 60, vectors={column: rows})
        # Twice, so that they are compacted: without the newest manifest, a table is as it was one step before.
        index.put_looks(f"v{number}", [0.0], np.stack([unit(1, 0.1 * number)]))
    index.finish()
    expected, told = ask_everything(tmp_path), 0
    for path in sorted(path for path in (tmp_path / "index").rglob("*") if path.is_file()):
        data = path.read_bytes()
        DAMAGES[damage](path, data)
        try:
            assert ask_everything(tmp_path) == expected, path
        except (IndexDamaged, NoIndex) as error:
            assert "\n" not in str(error)
            assert f"longshot index --rebuild --library {tmp_path}" in str(error)
            told += 1
        path.write_bytes(data)
    assert told >= 5
    assert ask_everything(tmp_path) == expected


def test_lost_captions_are_told(index: Index, tmp_path: Path) -> None:
    index._captions.delete("id = 'speech-0001'")
    with pytest.raises(IndexDamaged, match="captions are missing"):
        Index.open(tmp_path).videos()


FULL = """
import os, resource, signal, sys
from longshot.errors import LongshotError
from longshot.library import VideoRecord
from longshot.tables import Index
from longshot.timeline import Caption, Source, Span, Track
place, size = sys.argv[1], int(sys.argv[2])
index = Index.open(place, create=True)
captions = tuple(Caption(Span(i, i + 1), os.urandom(40).hex()) for i in range(20_000))
try:
    index.put(VideoRecord("v"), [Track("v", "speech", Source("x"), captions)], digest="d")
except LongshotError as error:
    print(error)
print(list(Index.open(place).videos()))
"""


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root to mount a small disk")
def test_a_full_disk_is_told_and_loses_nothing(tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(disk)], capture_output=True).returncode:
        pytest.skip("no small disk can be mounted here")
    try:
        done = subprocess.run([sys.executable, "-c", FULL, str(disk), "0"], capture_output=True, text=True, timeout=100)
    finally:
        subprocess.run(["umount", str(disk)], check=True)
    told, videos = done.stdout.splitlines()
    assert "the disk is full: make room" in told
    assert videos == "[]"
    assert not done.stderr


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root to mount a disk that is read-only")
def test_a_read_only_library_is_searched_and_says_that_it_cannot_be_written(tmp_path: Path) -> None:
    if subprocess.run(["mount", "-t", "tmpfs", "tmpfs", str(tmp_path)], capture_output=True).returncode:
        pytest.skip("no disk can be mounted here")
    try:
        put(Index.open(tmp_path, create=True), "talk", TALK)
        subprocess.run(["mount", "-o", "remount,ro", str(tmp_path)], check=True)
        index = Index.open(tmp_path, create=True)
        assert len(index.words("telescope")) == 2
        for write in (lambda: put(index, "x", ["y"]), index.finish, lambda: index.add_column(MINI, "text", 4)):
            with pytest.raises(LongshotError, match="the disk is read-only"):
                write()
    finally:
        subprocess.run(["umount", "-l", str(tmp_path)], check=True)


TROUBLES = [
    ("No space left on device (os error 28)", LongshotError, "the disk is full"),
    ("Permission denied (os error 13)", LongshotError, "permission denied"),
    ("lance error: Read-only file system (os error 30)", LongshotError, "the disk is read-only"),
    ("Retryable commit conflict for version 7", LongshotError, "by another process"),
    ("anything\nelse", IndexDamaged, "anything else"),
]


@pytest.mark.parametrize(("reason", "kind", "said"), TROUBLES)
def test_troubles_of_the_engine_are_one_line(reason: str, kind: type[LongshotError], said: str) -> None:
    with pytest.raises(kind, match=said) as caught, tables._said("/library"):
        raise RuntimeError(reason)
    assert "\n" not in str(caught.value)
    assert str(caught.value).startswith("/library: its index")


def test_other_errors_are_not_hidden() -> None:
    with pytest.raises(KeyboardInterrupt), tables._said("/library"):
        raise KeyboardInterrupt


def test_an_index_made_anew_replaces_a_damaged_one_when_it_is_whole(index: Index, tmp_path: Path) -> None:
    with pytest.raises(ZeroDivisionError), made_anew(tmp_path) as half:
        put(half, "half", ["half"])
        raise ZeroDivisionError
    assert list(Index.open(tmp_path).videos()) == ["talk"]
    for path in (tmp_path / "index").rglob("*.manifest"):
        path.write_bytes(b"torn")
    with pytest.raises(IndexDamaged):
        Index.open(tmp_path, create=True)
    with made_anew(tmp_path) as new:
        put(new, "whole", ["a whole telescope"])
        new.finish()
    assert texts(Index.open(tmp_path).words("telescope")) == ["a whole telescope"]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["index"]


def test_an_address_is_taken_as_lancedb_takes_it(tmp_path: Path) -> None:
    address = f"file://{tmp_path}/store"
    with pytest.raises(NoIndex):
        Index.open(address)
    index = Index.open(address, create=True)
    put(index, "v", ["a red telescope"])
    with made_anew(address) as new:
        assert new.videos() == {}
        put(new, "w", ["a blue telescope"])
    assert texts(Index.open(address).words("telescope")) == ["a blue telescope"]
    shutil.rmtree(tmp_path / "store")


def test_a_file_where_the_index_should_be_is_replaced(tmp_path: Path) -> None:
    (tmp_path / "index").write_text("no index at all")
    with made_anew(tmp_path):
        pass
    assert Index.open(tmp_path).videos() == {}
    assert sorted(path.name for path in tmp_path.iterdir()) == ["index"]


def test_what_is_wrong_is_said_without_the_engines_own_source() -> None:
    said = str(tables._told("lib", "LanceError(IO): no such file, /home/me/.cargo/registry/src/lance/src/io.rs:12:34"))
    assert "no such file" in said and ".rs" not in said and "/home/me" not in said
