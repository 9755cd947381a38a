"""Searching a small library whose every caption is known, by words, by meaning and by both."""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from longshot.contracts import Frames
from longshot.errors import LongshotError, UsageError
from longshot.library import Library, VideoRecord
from longshot.searching import search as searching
from longshot.searching.fill import Fill
from longshot.searching.moments import Found
from longshot.searching.search import search, spread
from longshot.tables import Index, NoIndex, Putting
from longshot.terms import terms
from longshot.timeline import Caption, Hit, Source, Span, Track
from longshot.video import open_video
from tests.videos import write_video

SAME = {"automobil": "car", "physician": "doctor", "canin": "dog", "feline": "cat", "felin": "cat"}


class Concepts:
    """A text encoder that knows which of a few words mean the same: one random direction for each meaning."""

    source = Source("embed", "tests/concepts", "1")
    dimension = 64
    frames = 0
    height = 0

    def encode_text(self, texts: Sequence[str]) -> NDArray[np.float32]:
        rows = np.zeros((len(texts), self.dimension), np.float32)
        for row, text in zip(rows, texts, strict=True):
            for term in terms(text):
                name = SAME.get(term.text, term.text)
                row += np.random.default_rng(zlib.crc32(name.encode())).normal(size=self.dimension)
            row /= max(float(np.linalg.norm(row)), 1e-9)
        return rows

    def encode_frames(self, clips: Sequence[Frames]) -> NDArray[np.float32]:
        raise UsageError("texts only")


SPOKEN = {
    "harbour": [
        (0, 4, "Good morning from the harbour."),
        (4.3, 8, "The old crane was built in nineteen eleven."),
        (20, 24, "A doctor waits for the ferry."),
        (24.2, 28, "He has two questions about the tide"),
        (28.1, 31, "and nobody answers him."),
        (60, 64, "The crane turns again in the evening."),
    ],
    "garage": [
        (0, 5, "This car has not moved for thirty years."),
        (5.2, 9, "The café owner wanted to buy it."),
        (30, 34, "Rust is what you hear in the door."),
        (50, 52, "It cost 3.50 then; c'est la vie."),
    ],
    "zoo": [(10 * place, 10 * place + 4, f"The keeper feeds the penguins, part {place}.") for place in range(8)],
}
SHOWN = {
    "harbour": [(10, 18, "A red buoy swings beside a wall."), (0, 9, "Boats and a tall crane.")],
    "garage": [(0, 10, "A car stands under a grey sheet."), (10, 29, "<script>alert('%_*')</script> on a sticker")],
    "zoo": [(0, 40, "A dog barks at a fence.")],
}
READ = {"harbour": [(4, 9, "BUILT 1911")], "garage": [(30, 36, "Rust & Sons; DROP TABLE captions;--")], "zoo": []}


def films(folder: Path) -> list[tuple[VideoRecord, tuple[Track, ...]]]:
    made = []
    for name, spoken in SPOKEN.items():
        path = folder / f"{name}.mp4"
        path.write_bytes(b"film")
        record = VideoRecord(f"{name}id", path.name, str(path), 100.0)
        levels = {"speech": spoken, "clip": SHOWN[name], "screen": READ[name]}
        levels["shot"] = [(0, 50, "Shot 1"), (50, 100, "Shot 2")]
        levels["video"] = [(0, 100, " ".join(text for _, _, text in spoken))]
        tracks = [
            Track(record.id, level, Source("test"), tuple(Caption(Span(a, b), text) for a, b, text in lines), path.name)
            for level, lines in levels.items()
        ]
        made.append((record, tuple(tracks)))
    return made


@pytest.fixture(scope="module")
def index(tmp_path_factory: pytest.TempPathFactory) -> Index:
    folder = tmp_path_factory.mktemp("library")
    opened = Index.open(folder, create=True)
    encoder = Concepts()
    column = opened.add_column(encoder.source, "text", encoder.dimension)
    puttings = []
    for record, tracks in films(folder):
        ids = [(track.id_of(place), c.text) for track in tracks for place, c in enumerate(track)]
        rows = encoder.encode_text([text for _, text in ids])
        vectors = {id: row for (id, _), row in zip(ids, rows, strict=True)}
        puttings.append(Putting(record, tracks, "digest", {column: vectors}))
    opened.put_all(puttings)
    opened.finish()
    return opened


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Index:
    """The same library without vectors."""
    folder = tmp_path_factory.mktemp("plain")
    opened = Index.open(folder, create=True)
    opened.put_all([Putting(record, tracks, "digest", {}) for record, tracks in films(folder)])
    opened.finish()
    return opened


def first(found: Found) -> tuple[str, float, float]:
    return (found.hits[0].video, found.hits[0].span.start, found.hits[0].span.end)


def marked(found: Found) -> set[str]:
    """The words that are marked in the evidence of the first moment."""
    return {caption.text[start:end] for caption in found.hits[0].evidence for start, end in caption.details["matched"]}


def test_words_in_any_order_and_form(plain: Index) -> None:
    found = search(plain, "doctors waiting for ferries")
    assert first(found) == ("harbourid", 20, 24)
    assert marked(found) == {"doctor", "waits", "ferry"}
    assert found.how == "full text"
    assert found.names == {"harbourid": "harbour.mp4"}
    assert found.paths["harbourid"].endswith("/harbour.mp4")


def test_evidence_names_its_caption(plain: Index) -> None:
    hit = search(plain, "two questions about the tide").hits[0]
    line = next(caption for caption in hit.evidence if caption.details["level"] == "speech")
    assert line.details["id"] == "speech-0004"
    assert line.text == "He has two questions about the tide"


def test_meaning_finds_what_words_do_not(index: Index, plain: Index) -> None:
    assert not any(hit.video == "garageid" for hit in search(plain, "automobile").hits)
    found = search(index, "automobile", encoder=Concepts())
    assert found.hits[0].video == "garageid"
    assert found.how == "full text and text vectors of tests/concepts"
    assert search(index, "automobile", encoder=Concepts(), how="vectors").how == "text vectors of tests/concepts"
    assert search(index, "crane", encoder=Concepts(), how="words").how == "full text"


def test_words_and_meaning_together_are_more_than_either(index: Index) -> None:
    scores = {how: search(index, "the physician's ferry", encoder=Concepts(), how=how) for how in ("vectors", "both")}
    assert scores["both"].hits[0].span == Span(20, 24)
    assert scores["both"].hits[0].score >= scores["vectors"].hits[0].score


@pytest.mark.parametrize(
    ("query", "where"),
    [
        ('"old crane was"', ("harbourid", 4.3, 8)),
        ("“Old   CRANE, was”", ("harbourid", 4.3, 8)),
        ("«old crane»", ("harbourid", 4.3, 8)),
        ('"cafe owner"', ("garageid", 5.2, 9)),
        ('"BUILT 1911"', ("harbourid", 4, 9)),
        ('"about the tide and nobody"', ("harbourid", 24.2, 31)),  # runs over from one line into the next
        ('"the crane" evening', ("harbourid", 60, 64)),
        ('"two questions" "nobody answers"', ("harbourid", 24.2, 31)),
        ('"c\'est la vie"', ("garageid", 50, 52)),
    ],
)
def test_quotes_mean_the_exact_phrase(plain: Index, query: str, where: tuple[str, float, float]) -> None:
    found = search(plain, query)
    assert first(found) == where
    assert found.how.startswith("exact phrase")


@pytest.mark.parametrize(
    "query",
    [
        '"crane old"',  # another order
        '"old cranes"',  # another ending
        '"red buoy"',  # only seen, neither spoken nor written
        '"good morning" "crane turns"',  # both are there, far from each other
        '"old crane" "penguins"',  # in different videos
    ],
)
def test_a_phrase_that_stands_nowhere_finds_nothing(plain: Index, query: str) -> None:
    assert search(plain, query).hits == ()


def test_words_beside_a_phrase_order_what_has_it(plain: Index) -> None:
    bare, more = search(plain, '"the crane"'), search(plain, '"the crane" turns evening')
    assert bare.hits[0].score == 1.0
    assert {hit.span for hit in more.hits} == {hit.span for hit in bare.hits}
    assert more.hits[0].span == Span(60, 64)


@pytest.mark.parametrize(
    "query",
    [
        'an unclosed "old crane',
        "-crane",
        "crane AND NOT (old",
        "crane*",
        "text:crane^2~",
        "cra.e|crane$",
        "crane'; DROP TABLE captions;--",
        "crane 🏗️",
        "crane\0crane",
        "\ud800 crane",
        "crane " * 1500,
        "crane " + "ö" * 9000,
    ],
)
def test_nothing_else_is_syntax(plain: Index, query: str) -> None:
    found = search(plain, query, limit=5)
    assert "harbourid" in {hit.video for hit in found.hits}
    assert {hit.video for hit in found.hits if hit.score > 0.9} <= {"harbourid", "garageid"}
    assert "crane" in marked(replace(found, hits=tuple(hit for hit in found.hits if hit.video == "harbourid")))


@pytest.mark.parametrize("query", ["", "   ", "?!…", "🚀🚀", '""', "«»", "--", "\n\t", "\0"])
def test_a_query_without_a_word_is_refused_in_one_line(plain: Index, query: str) -> None:
    with pytest.raises(UsageError) as refused:
        search(plain, query)
    assert "\n" not in str(refused.value)


def test_a_long_query_says_what_was_left_out(plain: Index) -> None:
    words = " ".join(f"word{place}" for place in range(200))
    note, _ = search(plain, f"crane {words}").notes
    assert note == "137 more words of the query were not looked for: the first 64 were"
    note, _ = search(plain, "crane " * 2000).notes
    assert note == "the query has 12000 characters: the first 10000 are looked for"


def test_words_that_stand_everywhere_are_words_too(plain: Index) -> None:
    assert search(plain, "it is what you").hits[0].video == "garageid"


def test_filters(plain: Index) -> None:
    def lines(**options: object) -> set[tuple[str, float]]:
        found = search(plain, "crane", limit=20, **options)  # type: ignore[arg-type]
        return {(hit.video, hit.span.start) for hit in found.hits}

    assert lines() == {("harbourid", 4.3), ("harbourid", 60)}
    assert lines(levels=["speech"]) == {("harbourid", 4.3), ("harbourid", 60)}
    assert lines(after=30) == {("harbourid", 60)}
    assert ("harbourid", 60) not in lines(before=30)
    assert lines(shorter_than=3.9) == {("harbourid", 4.3)}
    assert lines(longer_than=8, shorter_than=50) == {("harbourid", 0)}
    assert lines(videos=["zoo.mp4"]) == set()
    assert lines(videos=["harbourid"]) == lines(videos=["harb*.mp4"]) == lines()
    assert lines(videos=["zoo.mp4", "harbour.mp4"], levels=["screen"]) == set()


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"videos": ["harbor.mp4"]}, "did you mean 'harbour.mp4'"),
        ({"videos": ["' OR 1=1 --"]}, "no video"),
        ({"how": "magic"}, "auto, words, vectors, both"),
        ({"limit": 0}, "limit"),
        ({"after": float("nan")}, "after"),
        ({"like": "x.jpg"}, "one of the two"),
    ],
)
def test_options_that_cannot_be_meant(plain: Index, options: dict[str, object], said: str) -> None:
    with pytest.raises(UsageError, match=said.replace("(", "\\(")):
        search(plain, "crane", **options)  # type: ignore[arg-type]


def test_a_level_that_is_none_is_refused_with_those_there_are(plain: Index) -> None:
    with pytest.raises(
        UsageError, match=r"no level 'speach' in this library, which has .*speech.*; did you mean speech"
    ):
        search(plain, "crane", levels=["clip", "speach"])
    with pytest.raises(UsageError, match=r"nothing begins after 9\.0 and before 5\.0"):
        search(plain, "crane", after=9.0, before=5.0)
    with pytest.raises(UsageError, match=r"nothing is longer than 9\.0 and shorter than 9\.0"):
        search(plain, "crane", longer_than=9.0, shorter_than=9.0)
    assert search(plain, "crane", levels=["chapter"]).hits == ()


def test_one_video_does_not_fill_the_page(plain: Index) -> None:
    hits = search(plain, "penguins keeper", limit=10).hits
    assert {hit.video for hit in hits} == {"zooid"}
    only = search(plain, "penguins keeper", limit=10, videos=["zoo.mp4"]).hits
    assert len(only) == 8


def test_spread_keeps_order_and_fills_what_is_left() -> None:
    hits = [Hit("a", Span(k, k + 1), 0.9 - k / 100) for k in range(6)] + [Hit("b", Span(0, 1), 0.3)]
    assert [(hit.video, hit.span.start) for hit in spread(hits, 5)] == [
        ("a", 0),
        ("a", 1),
        ("a", 2),
        ("a", 3),
        ("b", 0),
    ]
    assert len(spread(hits, 10)) == 7
    assert [hit.video for hit in spread(hits, 4)] == ["a", "a", "a", "b"]


def test_a_shot_that_nobody_described_is_no_moment(plain: Index) -> None:
    assert all(caption.details["level"] != "shot" for hit in search(plain, "shot 2").hits for caption in hit.evidence)


def test_the_same_question_has_the_same_answer(index: Index) -> None:
    asked = [search(index, "the crane in the evening", encoder=Concepts()) for _ in range(3)]
    assert asked[0].hits == asked[1].hits == asked[2].hits


def test_text_vectors_whose_model_is_not_here(index: Index, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(searching, "_of_text", lambda source, kind: (None, "full text alone: no model here"))
    found = search(index, "old crane")
    assert (found.how, found.notes) == ("full text", ("full text alone: no model here",))
    assert found.hits[0].video == "harbourid"
    with pytest.raises(LongshotError, match="no model here"):
        search(index, "old crane", how="vectors")


def test_an_index_without_vectors_says_so_when_they_are_asked_for(plain: Index) -> None:
    with pytest.raises(LongshotError, match="no text vectors"):
        search(plain, "crane", how="both")


def test_a_file_that_is_gone_is_told(tmp_path: Path) -> None:
    opened = Index.open(tmp_path, create=True)
    opened.put_all([Putting(record, tracks, "digest", {}) for record, tracks in films(tmp_path)])
    (tmp_path / "harbour.mp4").unlink()
    notes = search(opened, "crane").notes
    assert [note for note in notes if "harbour.mp4: its file is not there" in note]
    assert not any("not there" in note for note in search(opened, "penguins").notes)


def test_what_a_killed_writer_left_is_not_found(tmp_path: Path) -> None:
    opened = Index.open(tmp_path, create=True)
    opened.put_all([Putting(record, tracks, "digest", {}) for record, tracks in films(tmp_path)])
    assert {hit.video for hit in search(opened, "crane").hits}
    opened._videos.delete("true")
    opened.refresh()
    assert search(opened, "crane").hits == ()


def test_a_library_without_an_index_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(NoIndex, match="longshot index"):
        search(tmp_path, "crane")
    with pytest.raises(NoIndex, match="longshot index"):
        search(Library(tmp_path), "crane")


def test_a_folder_can_be_searched_by_its_name(plain: Index) -> None:
    assert search(plain.place, "old crane").hits == search(plain, "old crane").hits


def still(folder: Path, pixels: NDArray[np.uint8]) -> Path:
    path = folder / "still.png"
    write_video(path, pictures=[pixels], count=1, codec="png", pixel_format="rgb24", container_format="image2")
    return path


def drawn(place: int) -> NDArray[np.uint8]:
    """A picture with a pattern of its own."""
    dice = np.random.default_rng(place)
    blocks = dice.integers(0, 255, size=(6, 8, 3), dtype=np.uint8)
    return np.asarray(np.kron(blocks, np.ones((16, 20, 1))), np.uint8)


@pytest.fixture(scope="module")
def looked(tmp_path_factory: pytest.TempPathFactory) -> tuple[Index, Path]:
    """A library of two films of four scenes of 6 s each, with fingerprints, and the folder of the films."""
    folder = tmp_path_factory.mktemp("looked")
    opened = Index.open(folder, create=True)
    library, fill = Library(folder), Fill(folder, text="none")
    for number in range(2):
        path = folder / f"film{number}.mp4"
        pictures = [drawn(10 * number + frame // 30) for frame in range(120)]
        write_video(path, count=120, fps=5, pictures=pictures, options={"g": "5"})
        with open_video(path) as video:
            record = VideoRecord.of(video)
        times, rows = fill.looks(library, record)
        track = Track(record.id, "clip", Source("test"), (Caption(Span(0, 24), "four scenes"),), path.name)
        opened.put_all([Putting(record, (track,), "digest", {})])
        opened.put_looks(record.id, times, rows)
    return opened, folder


def test_a_picture_finds_where_it_is_shown(looked: tuple[Index, Path], tmp_path: Path) -> None:
    index, _ = looked
    picture = still(tmp_path, drawn(12))
    found = search(index, like=picture)
    (hit,) = found.hits
    assert found.names[hit.video] == "film1.mp4"
    assert hit.span.overlap(Span(12, 18)) > 4
    assert hit.span.iou(Span(12, 18)) > 0.6
    assert hit.score > 0.9
    assert "fingerprint" in found.how
    assert {caption.details["level"] for caption in hit.evidence} == {"look"}
    assert search(index, like=picture, videos=["film0.mp4"]).hits == ()
    assert search(index, like=picture, levels=["clip"]).notes


def test_a_clip_finds_where_all_of_it_is_shown(looked: tuple[Index, Path], tmp_path: Path) -> None:
    index, _ = looked
    clip = tmp_path / "clip.mp4"
    write_video(clip, count=60, fps=5, pictures=[drawn(frame // 30 + 1) for frame in range(60)])
    best, *others = search(index, like=clip).hits
    assert best.span.iou(Span(6, 18)) > 0.7
    assert best.score > 0.9
    assert not [hit for hit in others if hit.score > 0.6]


def test_a_picture_in_a_library_without_fingerprints(plain: Index, tmp_path: Path) -> None:
    picture = still(tmp_path, drawn(12))
    found = search(plain, like=picture)
    assert found.hits == ()
    assert any("no fingerprints" in note for note in found.notes)


def test_a_picture_by_the_encoder_that_made_the_vectors(tmp_path: Path) -> None:
    """Vectors of frames are searched by the encoder that made them, for pictures and, asked for, for words."""
    encoder = Shades()
    opened = Index.open(tmp_path, create=True)
    column = opened.add_column(encoder.source, "frames", 3)
    clips = tuple(Caption(Span(10 * place, 10 * place + 10), f"clip {place}") for place in range(3))
    rows = {f"clip-{place + 1:04d}": row for place, row in enumerate(np.eye(3, dtype=np.float32))}
    record = VideoRecord("film", "film.mp4")
    opened.put_all([Putting(record, (Track("film", "clip", Source("test"), clips),), "digest", {column: rows})])
    picture = tmp_path / "still.png"
    green = np.zeros((48, 64, 3), np.uint8)
    green[..., 1] = 200
    write_video(
        picture, pictures=[green], count=1, codec="png", pixel_format="rgb24", container_format="image2", size=(64, 48)
    )
    found = search(opened, like=picture, encoder=encoder)
    assert found.hits[0].span == Span(10, 20)
    assert "tests/shades" in found.how
    words = search(opened, "blue", encoder=encoder, how="vectors")
    assert (words.hits[0].span, words.how) == (Span(20, 30), "frames vectors of tests/shades")


class Shades:
    """An encoder of texts and frames that knows three colours."""

    source = Source("embed", "tests/shades", "1")
    dimension, frames, height = 3, 1, 16

    def encode_text(self, texts: Sequence[str]) -> NDArray[np.float32]:
        names = ("red", "green", "blue")
        return np.array([[float(name in text) for name in names] for text in texts], np.float32)

    def encode_frames(self, clips: Sequence[Frames]) -> NDArray[np.float32]:
        rows = np.array([clip.pixels.mean(axis=(0, 1, 2)) for clip in clips], np.float32)
        return rows / np.linalg.norm(rows, axis=1, keepdims=True)


@pytest.mark.parametrize(
    "text",
    [
        "Two telescopes' cafés.",
        "It cost 3.50; c’est la vie!",
        "“Reh Vah” on screen",
        "天文望远镜 and stars",
        "naïve Ärger",
        "",
    ],
)
def test_words_are_remembered_as_the_index_knows_them(text: str) -> None:
    wanted = [term.text for term in terms(text)]
    searching._KNOWN.clear()
    assert searching._stems([text, "another text"])[0] == wanted
    assert searching._stems([text])[0] == wanted
