"""The test set that searching is measured on: films that were written down, what is asked of them, what is right.

    for film in films(): film.record, film.tracks         # 60 films of 1 to 3 minutes, all levels, as recap makes them
    for asked in questions(): asked.text, asked.video, asked.spans, asked.kind, asked.half
    library = save(folder)                                # the films as a library folder

24 films were written by hand (finding/stories.txt): what is said, seen and written on screen, scene by scene, and what
people ask who remember the scene, in other words than the film's. 36 more, made of slots, only stand in the way.

Kinds: exact (words of the film, in quotes an exact phrase), paraphrase, inflected (other forms, word for word), typo,
seen (told by what a clip shows), read (written on screen), absent (in no film: the right answer is none).
Half: "dev" may be looked at when constants are chosen, "test" only reports; films are divided, not their questions.
The questions were written before anything searched for them, and are not changed by what is found.
"""

from __future__ import annotations

import hashlib
import json
import random
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import av
import numpy as np

from longshot.captioning.describe import Watched
from longshot.captioning.recap import outline
from longshot.library import Library, VideoRecord
from longshot.timeline import Caption, Source, Span, Track

TEXTS = Path(__file__).parent / "finding"
KINDS = ("exact", "paraphrase", "inflected", "typo", "seen", "read", "absent")
DRAWN = 6  # films that are also drawn and recapped


@dataclass(frozen=True)
class Question:
    """What is asked, the film that holds it ("" for none: an absent one), when, how it is put, which half."""

    text: str
    video: str
    spans: tuple[Span, ...]
    kind: str
    half: str


@dataclass(frozen=True)
class Scene:
    """said, seen, written: texts, "" for none. asked: (kind, query)."""

    said: str
    seen: str
    written: str = ""
    asked: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True)
class Film:
    """One film as a library keeps it, and when each of its scenes is heard and seen."""

    record: VideoRecord
    tracks: tuple[Track, ...]
    scenes: tuple[Scene, ...]
    heard: tuple[Span, ...]
    shown: tuple[Span, ...]


@cache
def films() -> tuple[Film, ...]:
    """60 films: those that were written first, then those that stand in the way."""
    return tuple(_film(name, scenes) for name, scenes in [*_stories(), *_others()])


@cache
def questions() -> tuple[Question, ...]:
    """All questions, film by film, absent ones last."""
    made = []
    for number, film in enumerate(films()):
        for scene, heard, shown in zip(film.scenes, film.heard, film.shown, strict=True):
            for kind, text in scene.asked:
                right = shown if kind in ("seen", "read") else heard
                made.append(Question(text, film.record.id, (right,), kind, ("dev", "test")[number % 2]))
    lines = (TEXTS / "absent.txt").read_text(encoding="utf-8").splitlines()
    absent = [line.removeprefix("? ") for line in lines if line]
    return (*made, *(Question(text, "", (), "absent", ("dev", "test")[k % 2]) for k, text in enumerate(absent)))


def save(folder: Path, some: Sequence[Film] | None = None) -> Library:
    """Write films as a library folder (tracks alone, not yet an index)."""
    library = Library(folder)
    for film in films() if some is None else some:
        library.save_video(film.record)
        for track in film.tracks:
            library.save(track)
    return library


def sample_questions(names: dict[str, str]) -> tuple[Question, ...]:
    """What is asked of the sample files. names: file name -> content id, of those that are there."""
    rows = json.loads((TEXTS / "samples.json").read_text(encoding="utf-8"))["questions"]
    return tuple(
        Question(text, names[name] if name else "", tuple(Span(*span) for span in spans), kind, "test")
        for kind, text, name, spans in rows
        if not name or name in names
    )


def draw(folder: Path) -> list[tuple[Path, Film]]:
    """Some of the films as real files: a colour for each scene, speech as subtitles beside the video.

    What is to be seen and read in them is not drawn, so only their spoken questions can be asked.
    """
    folder.mkdir(parents=True, exist_ok=True)
    made = []
    for film in films()[:DRAWN]:
        path = folder / film.record.name
        speech = next(track for track in film.tracks if track.level == "speech")
        cues = [f"{k}\n{_srt(c.span.start)} --> {_srt(c.span.end)}\n{c.text}\n" for k, c in enumerate(speech, 1)]
        path.with_suffix(".srt").write_text("\n".join(cues), encoding="utf-8")
        if not path.exists():
            _paint(path, film)
        made.append((path, film))
    return made


def _paint(path: Path, film: Film) -> None:
    clips = next(track for track in film.tracks if track.level == "clip")
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=5, options={"preset": "ultrafast"})
        stream.width, stream.height, stream.pix_fmt = 160, 96, "yuv420p"
        for frame in range(round((film.record.duration or 0.0) * 5)):
            at = max(0, sum(clip.span.start <= frame / 5 + 1e-6 for clip in clips) - 1)
            # Grey would look like the one before; each scene has a colour and a bar of its own.
            dice = random.Random(f"{film.record.name} {at}")
            picture = np.full((96, 160, 3), [dice.randrange(30, 225) for _ in range(3)], np.uint8)
            left = dice.randrange(0, 120)
            picture[:, left : left + 30] = [dice.randrange(0, 255) for _ in range(3)]
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(stream.encode())


def _srt(second: float) -> str:
    total = round(second * 1000)
    return f"{total // 3600000:02d}:{total // 60000 % 60:02d}:{total // 1000 % 60:02d},{total % 1000:03d}"


def _stories() -> list[tuple[str, list[Scene]]]:
    made: list[tuple[str, list[Scene]]] = []
    for part in re.split(r"^# ", (TEXTS / "stories.txt").read_text(encoding="utf-8"), flags=re.MULTILINE)[1:]:
        name, *lines = part.strip().splitlines()
        scenes: list[dict[str, Any]] = []
        for line in lines:
            key, text = re.fullmatch(r"(said: |seen: |text: |\? )(.+)", line).groups()  # type: ignore[union-attr]
            if key == "said: ":
                scenes.append({"said": text, "asked": []})
            elif key == "? ":
                kind, query = text.split(" | ", 1)
                assert kind in KINDS, line
                scenes[-1]["asked"].append((kind, query))
            else:
                scenes[-1][{"seen: ": "seen", "text: ": "written"}[key]] = text
        made.append((name, [Scene(**{**one, "asked": tuple(one["asked"])}) for one in scenes]))
    return made


_FILLERS = (
    ("So, let us go on.", "The same view, a little closer."),
    ("Right. Where were we?", "The view does not change."),
    ("I will come back to that in a minute.", "The camera moves slowly to the side."),
    ("Okay, next one.", "A short look at the whole scene."),
    ("That is all there is to say about it, really. You will see what I mean.", "The same place from the other side."),
    ("And that brings me to the next point. Bear with me.", "Nothing much happens."),
)

# What only stands in the way: (name, said, seen, written), with slots.
_GENRES: tuple[tuple[str, tuple[tuple[str, str, str], ...], dict[str, tuple[str, ...]]], ...] = (
    (
        "camping-{n}.mp4",
        (
            ("We reached {place} at {hour}, wet but happy.", "A tent stands beside {place}.", ""),
            ("For supper there is {food} from the small stove.", "A pot steams on a camping stove.", ""),
            ("In the night {animal} walked around the tent.", "Dark trees in torch light.", ""),
            ("Tomorrow we walk {far} kilometres to the hut.", "A map is spread on a stone.", "{far} km"),
            ("My tip: dry socks for the night, always.", "Socks hang on a line.", ""),
        ),
        {
            "place": ("the lake", "the pass", "the river", "the old quarry", "the birch wood", "the ridge"),
            "hour": ("six", "seven", "half past eight", "nine"),
            "food": ("lentils", "noodles", "rice and beans", "porridge"),
            "animal": ("a fox", "a cow", "a hedgehog", "something large"),
            "far": ("14", "19", "23", "27"),
        },
    ),
    (
        "sewing-class-{n}.mp4",
        (
            ("Today we make a {thing} from {cloth}.", "Folded {cloth} lies on a table.", "{thing}"),
            ("Wash the cloth before you cut, because it shrinks.", "Cloth in a sink.", ""),
            ("Pins every {gap} centimetres, heads to the right.", "Pins with coloured heads in a seam.", ""),
            ("The tension is wrong when the thread makes loops below.", "A seam from below.", ""),
            ("Press the seam, do not iron it; there is a difference.", "An iron is set down and lifted.", ""),
        ),
        {
            "thing": ("cushion cover", "tote bag", "apron", "skirt", "curtain", "baby blanket"),
            "cloth": ("linen", "cotton", "denim", "felt"),
            "gap": ("three", "four", "five"),
        },
    ),
    (
        "phone-review-{n}.mp4",
        (
            ("I have used this phone for {days} days as my only one.", "A hand turns a phone in the light.", ""),
            ("The screen is bright enough for the beach.", "The phone in full sun.", "{nits} nits"),
            ("The camera smears faces as soon as the light goes.", "Two night pictures side by side.", ""),
            ("It gets {adjective} when you play for an hour.", "A thermometer points at the phone.", ""),
            ("Would I buy it? At half the price, yes.", "The phone lies on a shelf.", "{stars} / 5"),
        ),
        {
            "days": ("ten", "twenty", "thirty", "ninety"),
            "nits": ("800", "1100", "1600"),
            "adjective": ("warm", "really hot", "no warmer than my hand"),
            "stars": ("2", "3", "4"),
        },
    ),
    (
        "language-lesson-{n}.mp4",
        (
            ("Lesson {n}. Today we order {food} in Italian.", "A teacher at a white board.", "Lesson {n}"),
            ("Listen first, then repeat after me.", "The teacher holds a hand to her ear.", ""),
            ("The stress is on the {which} syllable.", "A word with one letter underlined.", ""),
            ("Careful, the verb changes when there are two of you.", "Two columns of verbs.", ""),
            ("For next time, learn the numbers up to {number}.", "Numbers on the board.", "1 - {number}"),
        ),
        {
            "food": ("coffee", "an ice cream", "soup", "two train tickets", "a room"),
            "which": ("first", "second", "last"),
            "number": ("twenty", "fifty", "a hundred"),
        },
    ),
    (
        "model-railway-{n}.mp4",
        (
            ("The layout is {size} metres long and lives in the {room}.", "A long model landscape.", ""),
            ("The {building} took me one winter, mostly the roof.", "A tiny {building}.", ""),
            ("Trees are made from wire and dried moss.", "Fingers twist wire into a trunk.", ""),
            ("The points are switched by a small motor below the board.", "Cables under a table.", ""),
            ("And now the evening train, with lights.", "A model train passes in the dark.", ""),
        ),
        {
            "size": ("four", "six", "nine"),
            "room": ("attic", "cellar", "garage"),
            "building": ("signal box", "church", "brewery", "mill"),
        },
    ),
    (
        "school-news-{n}.mp4",
        (
            ("This is the school news for {month}.", "Two pupils at a desk with a globe.", "{month}"),
            ("The {team} team won {score} against Northfield.", "Pupils jump and hug.", "{score}"),
            ("The canteen now has a {dish} day, and opinions differ.", "Trays on a counter.", ""),
            ("Lost property: {lost}, please collect it from room nine.", "A box of lost things.", ""),
            ("The play is called {play}, tickets at the office.", "A poster on a door.", "{play}"),
        ),
        {
            "month": ("September", "October", "November", "January", "February", "June"),
            "team": ("netball", "swimming", "debating", "quiz"),
            "score": ("21 - 18", "3 - 2", "40 - 37"),
            "dish": ("soup", "fish", "meat free"),
            "lost": ("one left shoe", "a violin case", "a retainer", "four umbrellas"),
            "play": ("The Lighthouse", "A Quiet Street", "Nine Lives"),
        },
    ),
)


def _others() -> list[tuple[str, list[Scene]]]:
    made = []
    for name, scenes, slots in _GENRES:
        for number in range(1, 7):
            dice = random.Random(f"{name} {number}")
            chosen = {"n": str(number), **{slot: dice.choice(words) for slot, words in slots.items()}}
            made.append((name.format(**chosen), [Scene(*(text.format(**chosen) for text in one)) for one in scenes]))
    return made


def _film(name: str, scenes: list[Scene]) -> Film:
    dice = random.Random(name)
    video = hashlib.blake2b(name.encode(), digest_size=8).hexdigest()
    speech: list[Caption] = []
    screen: list[Caption] = []
    clips: list[Caption] = []
    heard: list[Span] = []
    shown: list[Span] = []
    at = 0.0
    for place, scene in enumerate(scenes):
        for filler in dice.sample(_FILLERS, dice.choice((1, 2)) if place else 1):
            at = _spoken(Scene(*filler), at, dice, speech, screen, clips)
        first, begin = len(speech), at
        at = _spoken(scene, at, dice, speech, screen, clips)
        heard.append(Span(speech[first].span.start, speech[-1].span.end))
        shown.append(Span(begin, at))
    made = Source("recap", "written", "1")
    record = VideoRecord(video, name, "", at, (640, 360), 25.0, "h264")

    def track(level: str, captions: list[Caption]) -> Track:
        return Track(video, level, made, tuple(captions), name, at)

    shots = track("shot", [Caption(clip.span, f"Shot {k}") for k, clip in enumerate(clips, 1)])
    below = [track("clip", clips), shots, track("speech", speech), track("screen", screen)]
    stand_in: Any = SimpleNamespace(id=video, name=name, duration=at)
    watched = Watched(stand_in, at, shots, below[2], below[3], None)
    tracks = [*outline(watched, below[0]), *(one for one in below if len(one))]
    return Film(record, tuple(tracks), tuple(scenes), tuple(heard), tuple(shown))


def _spoken(
    scene: Scene, at: float, dice: random.Random, speech: list[Caption], screen: list[Caption], clips: list[Caption]
) -> float:
    """Add one scene that begins at `at` to the tracks; returns when it ends. A sentence is a line of speech."""
    begin, first = at, len(speech)
    at += dice.uniform(0.3, 1.5)
    for sentence in re.split(r"(?<=[.!?]) ", scene.said):
        end = at + max(0.8, len(sentence.split()) / 2.6)
        speech.append(Caption(Span(round(at, 2), round(end, 2)), sentence))
        at = end + dice.uniform(0.1, 0.6)
    end = round(at + dice.uniform(0.2, 1.5), 2)
    parts = [scene.seen]
    if scene.written:
        screen.append(Caption(Span(round(begin + 0.2, 2), end), scene.written))
        parts.append(f"Written on screen: “{scene.written}”.")
    parts.append(f"Heard: “{' '.join(line.text for line in speech[first:])}”.")
    clips.append(Caption(Span(begin, end), " ".join(parts)))
    return end
