"""Measured facts put into English clauses: several ways to say each, chosen by the scene and never at random."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass, field

from longshot.colours import Swatch, is_dark
from longshot.describers._camera import Camera, Leg
from longshot.describers._facts import Facts, Layout, Movement
from longshot.timeline import Caption

_PLACES = {
    "left": "on the left",
    "right": "on the right",
    "top": "at the top",
    "bottom": "at the bottom",
    "centre": "in the centre",
    "top left": "at the top left",
    "top right": "at the top right",
    "bottom left": "at the bottom left",
    "bottom right": "at the bottom right",
}


@dataclass
class Voice:
    """Chooses between ways of saying one thing: by the scene's start, and not as the time before."""

    start: float = 0.0
    follows: bool = False  # a scene has been told before this one
    _last: dict[str, int] = field(default_factory=dict)

    def pick(self, kind: str, ways: Sequence[str]) -> str:
        """One of `ways`; the same scene after the same scenes always gets the same one."""
        seed = f"{kind} {round(self.start * 1000)}".encode()
        index = int.from_bytes(hashlib.blake2s(seed, digest_size=4).digest(), "big") % len(ways)
        if index == self._last.get(kind):
            index = (index + 1) % len(ways)
        self._last[kind] = index
        return ways[index]


def sentence(text: str) -> str:
    """The clause with a capital and a full stop."""
    text = text[:1].upper() + text[1:]
    return text if re.search(r"[.!?…][”\"']?$", text) else text + "."


def place_words(place: str) -> str:
    """A place as words: left becomes "on the left", empty stays empty."""
    return _PLACES.get(place, "")


# Colours and light


def look(facts: Facts, voice: Voice) -> str:
    """How the picture looks, as it would stand after "the picture is"; empty when there is nothing to name."""
    parts = [_light_word(facts)]
    if facts.colourless:
        parts.append("in black and white")
    elif facts.layout:
        parts.append(colour_words(facts.layout, voice))
    return ", ".join(part for part in parts if part)


def _light_word(facts: Facts) -> str:
    word = facts.light.word if facts.light else ""
    leading = facts.layout.leading[0] if facts.layout and not facts.colourless else None
    # "Dark, mostly black" and "bright, almost all white" say one thing twice.
    if leading and "dark" in word and is_dark(leading.name):
        return ""
    pale = leading is not None and (leading.name == "white" or leading.name.startswith("light"))
    if leading and word == "bright" and pale and leading.share > 0.45:
        return ""
    return word


def colour_words(layout: Layout, voice: Voice) -> str:
    """The colours and where they are: "blue above, brown below, with a touch of red on the right"."""
    words = _arranged(layout, voice) if layout.parts else _listed(layout.leading, voice)
    if layout.accents:
        place, swatch = layout.accents[0]
        touch = voice.pick("touch", ("a touch of", "a little", "a bit of"))
        joint = " and" if " with " in words else ", with"
        words += f"{joint} {touch} {swatch.name} {place_words(place)}".rstrip()
    return words


def _arranged(layout: Layout, voice: Voice) -> str:
    (first, one), (_, other) = layout.parts
    a, b = one.name, other.name
    ways: tuple[str, ...]
    if first == "above":
        ways = (f"{a} above and {b} below", f"{a} over {b}", f"{b} below, {a} at the top")
    else:
        ways = (f"{a} on the left and {b} on the right", f"{b} on the right, {a} on the left")
    return voice.pick("arranged", ways)


def _listed(leading: Sequence[Swatch], voice: Voice) -> str:
    names = [swatch.name for swatch in leading]
    main = leading[0]
    if main.share >= 0.88:
        return f"almost all {main.name}"
    if main.share >= 0.5:
        rest = " and ".join(names[1:])
        ways = (f"mostly {main.name} with some {rest}", f"mainly {main.name} with {rest}") if rest else (
            f"mostly {main.name}", f"mainly {main.name}")  # fmt: skip
        return voice.pick("listed", ways)
    if len(names) == 1:
        return f"{main.name} and a mix of other colours"
    return voice.pick("equal", (f"{_and(names)}", f"a mix of {_and(names)}"))


def _and(names: Sequence[str]) -> str:
    return " and ".join([", ".join(names[:-1]), names[-1]]) if len(names) > 1 else names[0]


# The camera


def camera_words(camera: Camera, voice: Voice) -> str:
    """What the camera does, as it would stand after "the camera"."""
    if camera.still:
        return _stance(camera, voice)
    legs = list(camera.legs)
    if len(legs) > 3:
        return _wandering(camera)
    words = [_leg_words(leg, voice, later=index > 0) for index, leg in enumerate(legs)]
    told = words[0] if len(words) == 1 else ", ".join(words[:-1]) + f", then {words[-1]}"
    return told + (" with some shake" if camera.shaky else "")


def _stance(camera: Camera, voice: Voice) -> str:
    if camera.shaky:
        return voice.pick("shaky", ("shakes", "is shaky"))
    if camera.handheld:
        return voice.pick("handheld", ("sways a little, as if held by hand", "is not quite steady, as if handheld"))
    return voice.pick("still", ("holds still", "does not move", "stays where it is"))


def _wandering(camera: Camera) -> str:
    """Many legs in one phrase: which ways it goes, not in which order."""
    moving = [leg for leg in camera.legs if leg.axes]
    seconds: dict[str, float] = {}
    for leg in moving:
        for axis in leg.axes[:1]:
            way = _DIRECTIONS[axis][leg.rate(axis) > 0]
            seconds[way] = seconds.get(way, 0.0) + leg.span.length
    ways = sorted(seconds, key=lambda way: -seconds[way])[:3]
    stops = " with stops in between" if any(not leg.axes for leg in camera.legs[1:-1]) else ""
    return f"moves {_and(ways)}{stops}" if len(ways) > 1 else f"keeps moving {ways[0]}{stops}"


_DIRECTIONS = {
    "pan": ("left", "right"),
    "tilt": ("down", "up"),
    "zoom": ("back", "in"),
    "roll": ("round anticlockwise", "round clockwise"),
}


def _leg_words(leg: Leg, voice: Voice, *, later: bool) -> str:
    if not leg.axes:
        return voice.pick("pause", ("stops", "comes to rest")) if later else "holds still"
    axis = leg.axes[0]
    forwards = leg.rate(axis) > 0
    speed = speed_word(leg)
    words = {
        "pan": f"pans {speed} to the {'right' if forwards else 'left'}",
        "tilt": f"tilts {speed} {'up' if forwards else 'down'}",
        "zoom": voice.pick("zoom in", (f"zooms in {speed}", f"closes in {speed}"))
        if forwards
        else voice.pick("zoom out", (f"zooms out {speed}", f"pulls back {speed}")),
        "roll": f"rolls {speed}, the picture turning {'clockwise' if forwards else 'anticlockwise'}",
    }[axis]
    for other in leg.axes[1:]:
        words += _beside(axis, other, leg.rate(other) > 0)
    return " ".join(words.split()).replace(" ,", ",")


def _beside(axis: str, other: str, forwards: bool) -> str:
    """The lesser part of a combined move."""
    if {axis, other} == {"pan", "tilt"}:
        return f" and {'to the ' if other == 'pan' else ''}{_DIRECTIONS[other][forwards]}"
    return (
        " while "
        + {
            "pan": f"panning {_DIRECTIONS['pan'][forwards]}",
            "tilt": f"tilting {_DIRECTIONS['tilt'][forwards]}",
            "zoom": "closing in" if forwards else "pulling back",
            "roll": f"the picture turns {'clockwise' if forwards else 'anticlockwise'}",
        }[other]
    )


def speed_word(leg: Leg) -> str:
    """slowly, quickly, very fast, or nothing for a middling speed."""
    axis = leg.axes[0]
    rate = abs(leg.rate(axis))
    slow, quick, wild = {
        "pan": (0.06, 0.3, 0.9),
        "tilt": (0.06, 0.25, 0.7),
        "zoom": (0.06, 0.35, 1.2),
        "roll": (6.0, 45.0, 150.0),
    }[axis]
    return "slowly" if rate < slow else "very fast" if rate > wild else "quickly" if rate > quick else ""


def leg_noun(leg: Leg) -> str:
    """A single move as a noun: "a slow pan to the right"; empty for combined moves."""
    if len(leg.axes) != 1:
        return ""
    speed = {"slowly": "slow ", "quickly": "quick ", "very fast": "very fast ", "": ""}[speed_word(leg)]
    forwards = leg.rate(leg.axes[0]) > 0
    return {
        "pan": f"a {speed}pan to the {'right' if forwards else 'left'}",
        "tilt": f"a {speed}tilt {'up' if forwards else 'down'}",
        "zoom": f"a {speed}zoom {'in' if forwards else 'out'}",
        "roll": "",
    }[leg.axes[0]]


# Movement and events


def amount(movement: Movement) -> int:
    """0 nothing to 4 the whole picture."""
    return sum(movement.area >= limit for limit in (0.008, 0.07, 0.30, 0.62))


def movement_words(movement: Movement, voice: Voice) -> str:
    """What moves by itself, as a clause."""
    where = place_words(movement.place)
    level = amount(movement)
    if level == 0:
        return voice.pick("nothing", ("hardly anything moves", "almost nothing moves", "nothing much moves"))
    if level == 1:
        spread = where or voice.pick("spread", ("here and there", "in places"))
        return voice.pick("something", (f"something moves {spread}", f"there is a little movement {spread}"))
    if level == 2:
        spread = where or voice.pick("spread", ("here and there", "in several places"))
        return voice.pick("movement", (f"there is movement {spread}", f"things move {spread}"))
    if level == 3:
        most = f", most of all {where}" if where else ""
        return voice.pick("much", (f"much of the picture moves{most}", f"there is a lot of movement{most}"))
    return voice.pick("all", ("nearly the whole picture is in motion", "almost everything moves"))


def seconds_words(seconds: float) -> str:
    """A length of time in words: 1 second, 12 seconds, 3 minutes."""
    if seconds < 0.95:
        return "less than a second"
    if seconds < 90:
        whole = max(1, round(seconds))
        return f"{whole} second{'s' * (whole != 1)}"
    minutes = round(seconds / 60)
    return f"{minutes} minute{'s' * (minutes != 1)}"


# Words that are quoted


def quote(captions: Sequence[Caption], *, most: int = 110) -> str:
    """The text of captions as one short quotation, cut between words."""
    lines: list[str] = []
    for caption in captions:
        text = " ".join(caption.text.split()).strip('"“” ')
        if text and text not in lines:
            lines.append(text)
    return shorten(" ".join(lines), most)


def shorten(text: str, most: int) -> str:
    """At most about `most` characters: whole sentences when a good part fits, else whole words and an ellipsis."""
    if len(text) <= most:
        return text
    head = text[:most]
    if text[most] == " ":
        head += " "
    stop = max((match.end() for match in re.finditer(r"[.!?](?=\s)", head + " ")), default=0)
    if stop >= most * 0.5:
        return head[:stop].rstrip()
    cut = head.rfind(" ")
    return head[: cut if cut > most * 0.5 else most].rstrip(" ,;:–-") + "…"
