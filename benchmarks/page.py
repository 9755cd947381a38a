"""How soon the page of a long video answers: 5,000 cues over 2 hours, from the server and from a disk, in chromium.

    python benchmarks/page.py --rounds 7

A round opens the page with an empty cache and times, from the start of the navigation: until the first lines and the
lanes are drawn (two frames after), until a click on a line has moved the time and is drawn too, and until the whole
list is there. "longest" is the longest task, which is how long a key press may have waited. Then: how long the page
searches its words itself (the file only), and the frames a second while the axis at 32 times its width is scrolled.
The bars: answered within 1 s served, 2 s from a disk.

    | page | drawn ms | answered ms | bar ms | whole list ms | longest ms | search ms | frames/s |
"""

from __future__ import annotations

import argparse
import random
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

from side_by_side import machine

sys.path.insert(0, str(Path(__file__).parent.parent))

from tests import browser
from tests.videos import write_video

from longshot.captioning.export import export
from longshot.library import Library, VideoRecord
from longshot.timeline import Caption, Source, Span, Track
from longshot.video import open_video

BARS = {"served": 1000, "disk": 2000}  # milliseconds until a click is answered
HOURS = 2.0
WORDS = """
the a of to and in that we it is you this on for so with what here are have can from they one about was when at time
people water light work year back long way hand small found world river house morning night city moon earth machine
picture question answer number music door window paper telescope lighthouse engine mountain forest
"""

_ANSWER = """
const done = arguments[arguments.length - 1];
const row = document.querySelectorAll('.row')[20];
row.click();
const wait = () => (row.classList.contains('now') ? requestAnimationFrame(() => setTimeout(() => {
  const mark = (name) => performance.getEntriesByName(name)[0]?.startTime;
  done([mark('longshot-ready'), performance.now()]);
}, 0)) : setTimeout(wait, 1));
wait();
"""
_WHOLE = "return performance.getEntriesByName('longshot-list')[0]?.startTime"
_LONGEST = """
const done = arguments[arguments.length - 1];
const seen = [0];
new PerformanceObserver((list) => list.getEntries().forEach((one) => seen.push(one.duration)))
  .observe({ type: 'longtask', buffered: true });
setTimeout(() => done(Math.max(...seen)), 100);
"""
_SEARCH = """
const done = arguments[arguments.length - 1];
const began = performance.now();
document.getElementById('find-words').value = 'telescope mountain moon';
document.getElementById('find').requestSubmit();
const wait = () => (document.querySelector('#hits li') ? requestAnimationFrame(() => setTimeout(
  () => done(performance.now() - began), 0)) : setTimeout(wait, 1));
wait();
"""
_SCROLL = """
const done = arguments[arguments.length - 1];
const scroller = document.getElementById('lane-scroll');
for (let k = 0; k < 5; k += 1) document.getElementById('zoom-in').click();
const [began, far] = [performance.now(), scroller.scrollWidth - scroller.clientWidth];
let frames = 0;
const step = () => {
  frames += 1;
  scroller.scrollLeft = far * (performance.now() - began) / 1000;
  if (performance.now() - began < 1000) requestAnimationFrame(step); else done(frames);
};
requestAnimationFrame(step);
"""


def library_in(folder: Path, cues: int) -> tuple[Library, str]:
    """A library of one video: 2 hours of it, and `cues` captions on five levels."""
    film = folder / "film.mp4"
    grey = [np.full((36, 64, 3), 40 + k % 180, np.uint8) for k in range(int(HOURS * 360))]
    write_video(film, times=[Fraction(10 * k) for k in range(len(grey))], size=(64, 36), pictures=grey)
    with open_video(film) as video:
        record = VideoRecord.of(video)
    library, end = Library(folder / "library"), record.duration or HOURS * 3600
    library.save_video(record)
    chance = random.Random(5)
    for level, share in (("segment", 0.01), ("clip", 0.17), ("shot", 0.2), ("screen", 0.12), ("speech", 0.5)):
        count = int(cues * share)
        edges = [end * k / count for k in range(count + 1)]
        captions = [
            Caption(Span(start, stop), "" if level == "shot" else " ".join(chance.choices(WORDS.split(), k=14)))
            for start, stop in pairwise(edges)
        ]
        library.save(Track(record.id, level, Source("write", "chance"), tuple(captions), record.name, end))
    return library, record.id


@contextmanager
def served(folder: Path) -> Iterator[str]:
    """The address of a library's viewer, in a process of its own."""
    code = (
        "import sys; from longshot.web.server import serve; "
        "serve(sys.argv[1], port=0, ready=lambda address: print(address, flush=True))"
    )
    with subprocess.Popen([sys.executable, "-c", code, str(folder)], stdout=subprocess.PIPE, text=True) as server:
        try:
            assert server.stdout is not None
            yield server.stdout.readline().strip()
        finally:
            server.terminate()


def measure(driver: Any, address: str) -> list[float]:
    """Milliseconds: drawn, answered, whole list, longest task, search (0 where a server does it); frames a second."""
    driver.get("about:blank")
    driver.execute_cdp_cmd("Network.clearBrowserCache", {})
    driver.get(address)
    browser.until(
        driver, lambda: driver.execute_script("return document.documentElement.dataset.ready"), "the page", seconds=30
    )
    drawn, answered = driver.execute_async_script(_ANSWER)
    whole = browser.until(driver, lambda: driver.execute_script(_WHOLE), "the whole list", seconds=30)
    longest = driver.execute_async_script(_LONGEST)
    search = driver.execute_async_script(_SEARCH) if address.startswith("file:") else 0.0
    return [drawn, answered, whole, longest, search, driver.execute_async_script(_SCROLL)]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cues", type=int, default=5000)
    parser.add_argument("--rounds", type=int, default=7)
    chosen = parser.parse_args()
    if why := browser.why_not():
        raise SystemExit(f"no browser to measure in: {why}")
    with tempfile.TemporaryDirectory(prefix="longshot-page-") as name, browser.browser(Path(name)) as driver:
        folder = Path(name)
        library, video = library_in(folder, chosen.cues)
        page = folder / "film.html"
        page.write_text(export(library.tracks(video), "html", media="film.mp4"), encoding="utf-8")
        browser.size(driver, *browser.DESKTOP)
        found: dict[str, list[list[float]]] = {"served": [], "disk": []}
        with served(library.folder) as address:
            for turn in range(chosen.rounds):
                print(f"round {turn + 1} of {chosen.rounds}", file=sys.stderr)
                found["served"].append(measure(driver, f"{address}?video={video}"))
                found["disk"].append(measure(driver, page.as_uri()))
        print(f"{machine()}; chromium {driver.capabilities['browserVersion']}; {chosen.cues} cues over {HOURS:g} h; ")
        print(f"file {page.stat().st_size / 1e6:.2f} MB; medians of {chosen.rounds}\n")
    print("| page | drawn ms | answered ms | bar ms | whole list ms | longest ms | search ms | frames/s |")
    print("|---|---|---|---|---|---|---|---|")
    for way, rows in found.items():
        drawn, answered, whole, longest, search, frames = (median(column) for column in zip(*rows, strict=True))
        print(
            f"| {way} | {drawn:.0f} | {answered:.0f} | {BARS[way]} | {whole:.0f} | {longest:.0f} | "
            f"{f'{search:.0f}' if search else '-'} | {frames:.0f} |"
        )


if __name__ == "__main__":
    main()
