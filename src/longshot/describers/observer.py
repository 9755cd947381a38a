"""What can be measured, in plain English: camera, movement, light, colours, text and speech; needs no model."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from longshot.contracts import Description, Glance, Scene
from longshot.describers import _phrases as phrases
from longshot.describers._facts import Facts, measure
from longshot.describers._phrases import Voice, sentence
from longshot.describers._seen import Seen
from longshot.errors import UsageError
from longshot.places import Return, returns
from longshot.timeline import Caption, Source, clock

_REVISION = "1"
_NEW_LOOK = 0.25  # share of the picture that must change colour before colours are named again
_AGAIN = 5  # scenes after which an unchanged fact is said once more


@dataclass(frozen=True, slots=True)
class Statement:
    """One thing said, and the numbers that it rests on."""

    kind: str
    says: str
    measured: dict[str, Any]

    def plain(self) -> dict[str, Any]:
        """As it stands in a caption's details."""
        return {"kind": self.kind, "says": self.says, "measured": self.measured}


@dataclass
class _Telling:
    """What the scenes before have already said: repeating it in every line would bore."""

    voice: Voice = field(default_factory=Voice)
    before: Facts | None = None
    since: dict[str, int] = field(default_factory=dict)
    read: tuple[str, ...] = ()

    def due(self, kind: str, *, changed: bool) -> bool:
        """Whether a fact is worth saying: it is new, or it was last said some scenes ago."""
        count = self.since.get(kind, _AGAIN) + 1
        say = changed or count > _AGAIN
        self.since[kind] = 0 if say else count
        return say


class Observer:
    """Watches one pass of one video, then describes scenes of it. No neural network, nothing random."""

    def __init__(self) -> None:
        self._seen = Seen()

    @property
    def source(self) -> Source:
        """`describe observer`."""
        return Source("describe", "observer", _REVISION)

    def see(self, glance: Glance) -> None:
        """Take the next stretch of the pass."""
        self._seen.see(glance)

    def describe(self, scenes: Sequence[Scene]) -> list[Description]:
        """One description for each scene. Raises UsageError when the scenes are not in time order.

        Give all scenes of a level at once: what the scene before already said is not repeated, and a return to an
        earlier setting can only be seen among the scenes given.
        """
        starts = [scene.span.start for scene in scenes]
        if starts != sorted(starts):
            raise UsageError("scenes are described in time order; sort them by their start first")
        facts = [measure(self._seen, scene.span) for scene in scenes]
        back = returns([fact.thumbs for fact in facts])
        telling = _Telling()
        told = []
        for scene, fact, again in zip(scenes, facts, back, strict=True):
            told.append(_describe(scene, fact, _return(again, starts), telling))
        return told


def load() -> Observer:
    """The observer; it has no options."""
    return Observer()


def _return(again: Return | None, starts: Sequence[float]) -> Statement | None:
    if again is None:
        return None
    start = starts[again.earlier]
    # Where two scenes start in one second, the later one is named by the next second: the place is shown then.
    shared = sum(int(other) == int(start) for other in starts[: again.earlier]) > 0
    when = clock(math.ceil(start) if shared else start)
    return Statement("return", f"back to the setting of {when}", {"earlier_start": start, "likeness": again.likeness})


def _describe(scene: Scene, facts: Facts, back: Statement | None, telling: _Telling) -> Description:
    telling.voice.start = scene.span.start
    telling.voice.follows = telling.before is not None
    told: list[Statement] = []
    also = [_length(facts)]
    picture = _picture(facts, back, telling, told, also)
    events = _events(facts, telling, told)
    words = _words(scene, telling, told)
    if not (picture or events or words):
        picture = _much_the_same(facts, telling, told)
    telling.before = facts
    text = " ".join(sentence(part) for part in (picture, events, words) if part)
    details = {"statements": [s.plain() for s in told], "also": [s.plain() for s in also]}
    return Description(text, details)


def _length(facts: Facts) -> Statement:
    seconds = facts.span.length
    return Statement("length", f"it lasts {phrases.seconds_words(seconds)}", {"seconds": round(seconds, 3)})


def _much_the_same(facts: Facts, telling: _Telling, told: list[Statement]) -> str:
    if telling.before is None or facts.light is None:
        told.append(Statement("unseen", "too short to measure", {"seconds": round(facts.span.length, 3)}))
        return telling.voice.pick("unseen", ("a moment too short to measure", "too short to say anything about"))
    told.append(Statement("same", "looks and moves as the scene before", {"mean_brightness": _round(facts.light.mean)}))
    return telling.voice.pick("same", ("much the same as before", "it goes on in the same way", "little changes"))


# Sentence one: how the picture looks, what the camera does


def _picture(
    facts: Facts, back: Statement | None, telling: _Telling, told: list[Statement], also: list[Statement]
) -> str:
    plain = _plain(facts, telling)
    if plain:
        told.append(plain)
        return plain.says
    look, stance = _look(facts, telling.voice), _camera(facts, telling.voice)
    if look and not telling.due("look", changed=back is not None or _new_look(facts, telling.before)):
        also.append(look)
        look = None
    if stance and not telling.due("camera", changed=_new_stance(facts, telling.before)):
        also.append(stance)
        stance = None
    if back and look:
        also.append(look)
        look = None
    told.extend(part for part in (back, look, stance) if part)
    if back:
        return back.says + (f"; {stance.says}" if stance else "")
    return _first_sentence(facts, look, stance, telling.voice)


def _plain(facts: Facts, telling: _Telling) -> Statement | None:
    """A picture that shows one colour only needs no more words."""
    length = phrases.seconds_words(facts.span.length)
    if facts.black and facts.light:
        says = telling.voice.pick("black", ("the screen is black", f"a black screen for {length}"))
        return Statement("black", says, {"mean_brightness": _round(facts.light.mean)})
    if facts.blank and facts.light:
        says = telling.voice.pick("blank", (f"a plain {facts.blank} picture", f"nothing but {facts.blank}"))
        return Statement("blank", says, {"mean_brightness": _round(facts.light.mean), "colour": facts.blank})
    return None


def _look(facts: Facts, voice: Voice) -> Statement | None:
    says = phrases.look(facts, voice)
    if not says or facts.light is None:
        return None
    measured: dict[str, Any] = {
        "mean_brightness": _round(facts.light.mean),
        "brightness_5_to_95_percent": [_round(facts.light.dark), _round(facts.light.light)],
    }
    if facts.layout:
        measured["colours"] = {swatch.name: round(swatch.share, 3) for swatch in facts.layout.leading}
        measured["parts"] = {where: [s.name, round(s.share, 3)] for where, s in facts.layout.parts}
        measured["accents"] = [[s.name, round(s.share, 3), where] for where, s in facts.layout.accents]
    return Statement("look", says, measured)


def _camera(facts: Facts, voice: Voice) -> Statement | None:
    if facts.camera is None:
        return None
    measured = {
        "legs": [leg.measured() for leg in facts.camera.legs],
        "sway_widths": round(facts.camera.sway, 5),
        "agreeing_share_of_time": round(facts.camera.known, 3),
    }
    return Statement("camera", f"the camera {phrases.camera_words(facts.camera, voice)}", measured)


def _new_look(facts: Facts, before: Facts | None) -> bool:
    if before is None or before.layout is None or facts.layout is None or before.light is None or facts.light is None:
        return True
    if before.colourless != facts.colourless or before.light.word != facts.light.word:
        return True
    return before.layout.unlike(facts.layout) > _NEW_LOOK


def _new_stance(facts: Facts, before: Facts | None) -> bool:
    if before is None or before.camera is None or facts.camera is None:
        return True
    if not (before.camera.still and facts.camera.still):
        return True
    return (before.camera.shaky, before.camera.handheld) != (facts.camera.shaky, facts.camera.handheld)


def _first_sentence(facts: Facts, look: Statement | None, stance: Statement | None, voice: Voice) -> str:
    if look is None:
        return _long(stance.says, facts, voice) if stance else ""
    if stance is None:
        return voice.pick("look alone", _look_alone(facts, look.says, follows=voice.follows))
    assert facts.camera is not None
    return voice.pick("first", _openings(facts, look.says, stance.says))


def _look_alone(facts: Facts, look: str, *, follows: bool) -> tuple[str, ...]:
    """Ways to say only how the picture looks."""
    if facts.layout is None:
        return (f"the picture is {look}",)
    after = (f"now {look}", f"then {look}", f"next, {look}") if follows else ()
    return (look, f"the picture is {look}", f"the picture shows {look}", *after) if _nominal(look) else (
        look, f"the picture is {look}", *after)  # fmt: skip


def _nominal(look: str) -> bool:
    """Whether the words can stand as a thing shown: "brown and grey", but not "dark, mostly blue"."""
    return not re.match(r"(in|dark,|very|bright|dim|high|most|main|almost)", look)


def _openings(facts: Facts, look: str, stance: str) -> tuple[str, ...]:
    """Ways to put look and camera into one sentence."""
    camera = facts.camera
    assert camera is not None
    if camera.still and not camera.handheld:
        return (f"{look}; {stance}", f"a fixed view, {look}", f"{stance}: {look}", f"the picture is {look}; {stance}")
    noun = phrases.leg_noun(camera.legs[0]) if len(camera.legs) == 1 and not camera.shaky else ""
    ways = (f"{look}; {stance}", f"{stance}; the picture is {look}", f"{look}, and {stance}")
    return (f"{noun}: {look}", *ways) if noun else ways


def _long(says: str, facts: Facts, voice: Voice) -> str:
    """Says how long when that is remarkable."""
    if facts.span.length < 20 or facts.camera is None or len(facts.camera.legs) > 1:
        return says
    return voice.pick("long", (f"for {phrases.seconds_words(facts.span.length)} {says}", says))


# Sentence two: what moves, what happens to the light


def _events(facts: Facts, telling: _Telling, told: list[Statement]) -> str:
    found = [_fade(facts), _flash(facts), _turn(facts), _moves(facts, telling)]
    chosen = [statement for statement in found if statement][:2]
    told.extend(chosen)
    return " and ".join(statement.says for statement in chosen)


def _fade(facts: Facts) -> Statement | None:
    if facts.fade_in and facts.fade_out:
        says = f"it fades in from {facts.fade_in[0]} and out to {facts.fade_out[0]}"
    elif facts.fade_in:
        says = f"it fades in from {facts.fade_in[0]}"
    elif facts.fade_out:
        says = f"it fades out to {facts.fade_out[0]}"
    else:
        return None
    measured = {
        "in_seconds": round(facts.fade_in[1], 2) if facts.fade_in else None,
        "out_seconds": round(facts.fade_out[1], 2) if facts.fade_out else None,
    }
    return Statement("fade", says, measured)


def _flash(facts: Facts) -> Statement | None:
    if not facts.flashes:
        return None
    many = len(facts.flashes)
    says = f"there is a flash of light at {clock(facts.flashes[0])}" if many == 1 else f"light flashes {many} times"
    return Statement("flash", says, {"seconds": [round(second, 2) for second in facts.flashes[:20]]})


def _turn(facts: Facts) -> Statement | None:
    if facts.light is None or not facts.light.turns or facts.fade_in or facts.fade_out or facts.black:
        return None
    measured = {"first_brightness": _round(facts.light.first), "last_brightness": _round(facts.light.last)}
    return Statement("light", f"the picture gets {facts.light.turns}", measured)


def _moves(facts: Facts, telling: _Telling) -> Statement | None:
    if facts.black or facts.blank:
        return None
    if facts.frozen >= 0.95 or (facts.frozen >= 0.6 and facts.movement and facts.movement.area < 0.02):
        return _stillness(facts, telling)
    movement = facts.movement
    if movement is None:
        return None
    previous = telling.before.movement if telling.before else None
    level = phrases.amount(movement)
    changed = previous is None or phrases.amount(previous) != level or previous.place != movement.place
    quiet = level == 0 and facts.camera is not None and not facts.camera.still
    if quiet or not telling.due("movement", changed=changed):
        return None
    measured = {
        "moving_share_of_picture": round(movement.area, 3),
        "place": movement.place,
        "share_there": round(movement.concentration, 3),
    }
    return Statement("movement", phrases.movement_words(movement, telling.voice), measured)


def _stillness(facts: Facts, telling: _Telling) -> Statement | None:
    if not telling.due("stillness", changed=telling.before is None or telling.before.frozen < 0.6):
        return None
    ways = ("the picture does not change", "the picture stands still")
    if facts.frozen < 0.95:
        ways = ("the picture stands still most of the time", "for most of it nothing changes")
    return Statement(
        "stillness", telling.voice.pick("frozen", ways), {"unchanged_share_of_time": round(facts.frozen, 3)}
    )


# Sentence three: what is written and said


def _words(scene: Scene, telling: _Telling, told: list[Statement]) -> str:
    speech = _mine(scene, scene.speech)
    shown = [caption for caption in scene.screen_text if caption.text.strip()]
    fresh = [caption for caption in shown if _letters(caption.text) not in telling.read]
    telling.read = tuple(_letters(caption.text) for caption in shown)
    heard = _letters(" ".join(caption.text for caption in speech))
    written = [caption for caption in fresh if not (heard and _letters(caption.text) in heard)]
    parts = [_written(written, telling.voice), _said(speech, telling.voice)]
    found = [part for part in parts if part]
    told.extend(found)
    return " ".join(sentence(part.says) for part in found)


def _mine(scene: Scene, captions: Sequence[Caption]) -> list[Caption]:
    """The captions that are at least half inside the scene, or fill most of it."""
    enough = 0.5 * scene.span.length
    return [
        caption
        for caption in captions
        if caption.text.strip() and caption.span.overlap(scene.span) >= min(0.5 * caption.span.length, enough)
    ]


def _letters(text: str) -> str:
    return re.sub(r"\W+", "", text).casefold()


def _written(captions: Sequence[Caption], voice: Voice) -> Statement | None:
    says = phrases.quote(captions, most=90)
    if not says:
        return None
    lead = voice.pick("written", ("on screen:", "text on screen:", "written on screen:", "the screen reads:"))
    return Statement("screen text", f"{lead} “{says}”", _quoted(captions))


def _said(captions: Sequence[Caption], voice: Voice) -> Statement | None:
    says = phrases.quote(captions)
    if not says:
        return None
    # Transcribers that listen time each word; subtitles, beside or inside the file, do not.
    heard = any("words" in caption.details for caption in captions)
    scores = [caption.score for caption in captions if caption.score is not None]
    rough = bool(heard and scores) and sum(scores) / len(scores) < 0.6
    lead = (
        "heard, roughly:"
        if rough
        else voice.pick("heard", ("heard:", "someone says:", "a voice says:"))
        if heard
        else voice.pick("subtitled", ("subtitle:", "the subtitles read:", "subtitled:"))
    )
    return Statement("speech", f"{lead} “{says}”", {**_quoted(captions), "from": "sound" if heard else "subtitles"})


def _quoted(captions: Sequence[Caption]) -> dict[str, Any]:
    return {
        "times": [[round(caption.span.start, 3), round(caption.span.end, 3)] for caption in captions],
        "scores": [caption.score for caption in captions],
    }


def _round(value: float) -> float:
    return round(value, 1)
