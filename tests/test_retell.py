"""The levels that a chat model writes: reading its replies, checking its grounds, splitting what is too long."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from longshot.asking import Unreadable
from longshot.captioning.recap import check_children, recap
from longshot.captioning.retell import Note, Sentence, _grounds, read_told, support
from longshot.contracts import Prompt, Reply
from longshot.timeline import Source, Span, Track
from longshot.video import Video
from tests.fakes import ScriptedModel, failed, refused
from tests.videos import write_video


@pytest.mark.parametrize(
    ("text", "title", "sentences"),
    [
        (
            "Title: A day\nHe waves [c1]. She goes [c2, s3].",
            "A day",
            [("He waves.", ["c1"]), ("She goes.", ["c2", "s3"])],
        ),
        ("**Title:** A day\n\nHe waves. [c1]", "A day", [("He waves.", ["c1"])]),
        (
            "# Title: *A day*\n- He waves. (c1, 2)\n- She goes.",
            "A day",
            [("He waves.", ["c1", "c2"]), ("She goes.", [])],
        ),
        ("One. Two. [C2;S1] Three", "", [("One.", []), ("Two.", ["c2", "s1"]), ("Three", [])]),
        ("Dr. Ames [left] waves [t1].", "", [("Dr. Ames [left] waves.", ["t1"])]),
        ("Title: Only this", None, None),
        ("", None, None),
        (" [c1] [c2] ", None, None),
        ("--- ... ---", None, None),
    ],
)
def test_replies_are_read(text: str, title: str | None, sentences: list[tuple[str, list[str]]] | None) -> None:
    if sentences is None:
        with pytest.raises(Unreadable):
            read_told(text)
        return
    told = read_told(text)
    assert told.title == title
    assert [(one.text, list(one.marks)) for one in told.sentences] == sentences


@given(st.text(max_size=300))
def test_no_reply_breaks_the_reader(text: str) -> None:
    try:
        told = read_told(text)
    except Unreadable:
        return
    assert all(any(letter.isalnum() for letter in one.text) for one in told.sentences)


NOTES = [
    Note("c1", Span(0, 4), "A woman slices tomatoes on a board.", ("clip-0001",)),
    Note("s1", Span(1, 3), "said: The knife must be sharp.", ("speech-0001", "speech-0002")),
]


@pytest.mark.parametrize(
    ("sentence", "how", "ids"),
    [
        (Sentence("It rains.", ("s1",)), "cited", ["speech-0001", "speech-0002"]),
        (Sentence("She slices tomatoes.", ("c9",)), "matched", ["clip-0001"]),
        (Sentence("She slices tomatoes.", ()), "matched", ["clip-0001"]),
        (Sentence("An aeroplane lands.", ()), "none", []),
    ],
)
def test_what_a_sentence_rests_on_is_checked(sentence: Sentence, how: str, ids: list[str]) -> None:
    found, notes = _grounds(sentence, NOTES)
    assert (found, [id for note in notes for id in note.ids]) == (how, ids)


def test_support_counts_shared_words() -> None:
    assert support("A woman slices tomatoes", NOTES) == 1.0
    assert support("A woman slicing onions", NOTES) == pytest.approx(1 / 3)
    assert support("The", NOTES) == 0.0


class Stops:
    """A segmenter of four equal shots."""

    source = Source("segment", "stops")

    def watch(self, video: Video) -> Stops:
        return self

    def see(self, glance: object) -> None:
        pass

    def finish(self, end: float) -> list[Span]:
        return [Span(end * i / 4, end * (i + 1) / 4) for i in range(4)]

    def spans(self, video: Video) -> None:
        return None


MORE = " goes on" * 12


@pytest.fixture(scope="module")
def film(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("film") / "film.mp4"
    write_video(path, count=400, fps=10)
    lines = [
        f"{i + 1}\n00:00:{2 * i:02d},000 --> 00:00:{2 * i + 1:02d},900\nSentence number {i}{MORE}.\n" for i in range(20)
    ]
    path.with_suffix(".srt").write_text("\n".join(lines))
    return path


def marks(prompt: Prompt) -> list[str]:
    return re.findall(r"^\[(\w+)\]", prompt.text, re.MULTILINE)


def answer(prompt: Prompt) -> str:
    found = marks(prompt)
    if found:
        return f"Title: From {found[0]}\nIt begins [{found[0]}]. It ends [{found[-1]}]."
    return f"A clip of {len(prompt.frames) if prompt.frames else 0} frames."


def told(film: Path, model: ScriptedModel, **options: object) -> dict[str, Track]:
    tracks = recap(film, model=model, segmenter=Stops(), speech="sidecar", screen=False, **options)
    check_children(tracks)
    return {track.level: track for track in tracks}


def test_every_level_is_written_from_the_one_below(film: Path) -> None:
    model = ScriptedModel(answer, slots=3)
    tracks = told(film, model, segment_seconds=20.0)
    assert [caption.text for caption in tracks["segment"]] == ["It begins. It ends."] * len(tracks["segment"])
    assert len(tracks["segment"]) >= 2
    lowest = [prompt for prompt in model.asked if "c1" in marks(prompt) and "s1" in marks(prompt)]
    assert lowest, "clips and speech stand in the prompt of a segment"
    assert all(prompt.frames is not None for prompt in model.asked)
    assert any("said: Sentence number 0 goes on" in text for text in model.texts)
    segment = tracks["segment"].captions[0]
    assert segment.details["title"].startswith("From ")
    assert segment.details["sentences"][0]["how"] == "cited"
    assert set(segment.details["rests_on"]) <= {"clip-0001", "clip-0002", *(f"speech-{i:04d}" for i in range(1, 21))}
    video = tracks["video"].captions[0]
    assert video.details["children"] == [tracks["segment"].id_of(i) for i in range(len(tracks["segment"]))]
    assert tracks["video"].source.model == "scripted"
    assert tracks["video"].source.settings["prompt"] == "level.1"


def test_frames_of_a_level_come_from_its_own_span(film: Path) -> None:
    model = ScriptedModel(answer)
    tracks = told(film, model, segment_seconds=20.0, frames=4)
    spans = [c.span for level in ("clip", "segment", "video") for c in tracks[level]]
    seen = [prompt.frames.times for prompt in model.asked if prompt.frames is not None]
    assert all(len(times) == 4 for times in seen)
    for times in seen:
        assert any(times[0] >= span.start and times[-1] < span.end for span in spans)


def test_no_frames_are_shown_when_none_are_wanted(film: Path) -> None:
    model = ScriptedModel(answer)
    told(film, model, frames=0)
    assert all(prompt.frames is None for prompt in model.asked)


def test_what_does_not_fit_is_told_in_parts_and_nothing_is_cut(film: Path) -> None:
    roomy, narrow = ScriptedModel(answer, context=100_000), ScriptedModel(answer, context=700)
    told(film, roomy, segment_seconds=40.0)
    tracks = told(film, narrow, segment_seconds=40.0)
    assert len(narrow.asked) > len(roomy.asked)
    shown = {line for text in narrow.texts for line in re.findall(r"Sentence number \d+", text)}
    assert shown == {f"Sentence number {i}" for i in range(20)}
    assert any("p1" in marks(prompt) for prompt in narrow.asked)
    # What a part rested on is what the whole rests on.
    assert {id.split("-")[0] for id in tracks["video"].captions[0].details["rests_on"]} <= {"segment", "clip", "speech"}
    assert tracks["video"].captions[0].details["rests_on"]


@pytest.mark.parametrize(
    ("reply", "state"), [(failed(), "failed"), (refused(), "refused"), (Reply("..."), "unreadable")]
)
def test_a_level_without_an_answer_says_so_and_the_rest_goes_on(film: Path, reply: Reply, state: str) -> None:
    model = ScriptedModel(lambda prompt: reply if "s1" in marks(prompt) or prompt.history else answer(prompt))
    tracks = told(film, model, segment_seconds=20.0)
    lost = [caption for caption in tracks["segment"] if caption.details.get("state")]
    assert lost and all(caption.text == "" and caption.details["state"] == state for caption in lost)
    assert all(caption.details["reason"] for caption in lost)
    assert f"captions {state}" in tracks["segment"].source.note
    assert all(caption.text for caption in tracks["clip"])


def test_sentences_without_grounds_are_counted(film: Path) -> None:
    model = ScriptedModel(lambda prompt: "A zebra sings." if marks(prompt) else answer(prompt))
    tracks = told(film, model)
    sentence = tracks["segment"].captions[0].details["sentences"][0]
    assert sentence == {"text": "A zebra sings.", "rests_on": [], "how": "none", "support": 0.0}
    count = len(tracks["segment"])
    assert f"{count} of {count} sentences rest on nothing below them" in tracks["segment"].source.note
