"""Make talk.mp4 and talk.srt, the small talk that docs/find-that-moment.md looks through: slides, and what is said.

    .venv/bin/python docs/make_talk.py talks

Three minutes, drawn and written here: nothing in it is anybody else's. It has no sound; what is said is in talk.srt.
"""

from __future__ import annotations

import sys
from fractions import Fraction
from itertools import pairwise
from pathlib import Path

import av
import numpy as np
from numpy.typing import NDArray

sys.path.insert(0, str(Path(__file__).parents[1] / "samples"))
from make_sample import lettering

WIDTH, HEIGHT, RATE = 640, 360, 25

SLIDES = (
    (0, (30, 40, 80), "THE SKY FROM A GARDEN", ()),
    (24, (235, 230, 215), "WHAT YOU NEED", ("A CHAIR", "A WARM COAT", "A RED LAMP")),
    (60, (40, 70, 60), "THE TELESCOPE", ("GROUND BY HAND",)),
    (102, (15, 15, 25), "JUPITER AND ITS MOONS", ("FOUR POINTS IN A ROW",)),
    (144, (90, 40, 40), "QUESTIONS", ()),
    (180, (0, 0, 0), "", ()),
)

SAID = (
    (2, 6, "Good evening, and welcome to everyone who came in spite of the rain."),
    (6.5, 12, "My name is Ada, and I have looked at the sky from my garden for thirty years."),
    (13, 18, "Tonight I want to show you that you can do the same."),
    (25, 30, "You need very little: a chair, a warm coat and a lamp with red light."),
    (31, 37, "White light blinds you for twenty minutes, so switch off everything in the house."),
    (38, 44, "And bring something hot to drink, because you will forget the time."),
    (61, 66, "This is the telescope. My grandmother built it from a drainpipe."),
    (67, 73, "She ground the mirror by hand; it took her a whole winter."),
    (74, 80, "It is heavier than it looks, so my brother helps me to carry it outside."),
    (82, 90, "You look in from the side, up here, and the mirror lies at the bottom."),
    (103, 109, "On the first clear night I pointed it at Jupiter."),
    (110, 117, "There were four points of light beside it, all in a row."),
    (118, 125, "An hour later they had moved, and I understood that these were its moons."),
    (127, 134, "Galileo saw the same thing in 1610, and it changed the world."),
    (145, 149, "That was all from me. Are there any questions?"),
    (150, 154, "How much should I spend on my first telescope?"),
    (155, 161, "Less than on a bicycle. Buy binoculars before you buy anything else."),
    (162, 166, "Can I see anything at all from the middle of a city?"),
    (167, 173, "The moon and the planets, always. For galaxies you have to take a train."),
    (174, 178, "Thank you for coming, and clear skies."),
)


def main(folder: Path) -> None:
    """Write both files."""
    folder.mkdir(parents=True, exist_ok=True)
    with av.open(str(folder / "talk.mp4"), "w") as container:
        stream = container.add_stream("libx264", rate=RATE, options={"crf": "20", "threads": "1"})
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        stream.time_base = Fraction(1, RATE)
        for (start, ground, title, points), (end, *_) in pairwise(SLIDES):
            bare, full = slide(ground, "", ()), slide(ground, title, points)
            for index in range(start * RATE, end * RATE):
                # The words come a second after the ground.
                frame = av.VideoFrame.from_ndarray(bare if index < (start + 1) * RATE else full, format="rgb24")
                frame.pts, frame.time_base = index, Fraction(1, RATE)
                container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    cues = (f"{k}\n{stamp(a)} --> {stamp(b)}\n{text}\n" for k, (a, b, text) in enumerate(SAID, start=1))
    (folder / "talk.srt").write_text("\n".join(cues), encoding="utf-8")


def slide(ground: tuple[int, int, int], title: str, points: tuple[str, ...]) -> NDArray[np.uint8]:
    """A page (360, 640, 3) with a title and points below it."""
    picture = np.full((HEIGHT, WIDTH, 3), ground, np.float32)
    colour = 20.0 if sum(ground) > 380 else 240.0
    lines = [(title, 30, 60), *((point, 20, 150 + 50 * k) for k, point in enumerate(points))]
    for text, size, top in lines if title else ():
        ink = lettering(text, size, size / 7)[..., None]
        left = (WIDTH - ink.shape[1]) // 2
        area = picture[top : top + ink.shape[0], left : left + ink.shape[1]]
        area[...] = area * (1 - ink) + colour * ink
    return picture.astype(np.uint8)


def stamp(second: float) -> str:
    """A time as SubRip writes it."""
    return f"00:{int(second) // 60:02d}:{int(second) % 60:02d},{round(second % 1 * 1000):03d}"


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "."))
