"""The page in a real browser: played, read, searched, from a server and from a disk, and with words that attack it."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from longshot.captioning.export import export
from longshot.library import Library, VideoRecord
from longshot.timeline import Caption, Source, Span, Track
from longshot.video import open_video
from tests import browser as browsers
from tests.browser import DESKTOP, PHONE, until
from tests.videos import write_video

WHY_NOT = browsers.why_not()
pytestmark = pytest.mark.skipif(bool(WHY_NOT), reason=f"no browser to try the page in: {WHY_NOT}")

SOURCE = Source("write", "by hand")
ATTACK = '<script>window.pwned=1</script><img src=x onerror="window.pwned=2">"><svg onload=window.pwned=3>\'</title>'
NAMES = {"talk": "talk.mp4", "attack": '"><img src=x onerror=window.pwned=4>.mp4', "gone": "gone.mp4", "old": "old.avi"}


@dataclass(frozen=True)
class Place:
    """A library that is served, and where."""

    folder: Path
    address: str
    ids: dict[str, str]

    def of(self, video: str, rest: str = "") -> str:
        """The address of one video's page; `rest` is more of it."""
        return f"{self.address}?video={self.ids[video]}{rest}"


def tracks_of(record: VideoRecord, said: list[str], *, titles: tuple[str, str] = ("Opening", "The end")) -> list[Track]:
    """Two segments, clips and shots of two seconds, one line said each second and a half."""
    end = record.duration or 12.0

    def track(level: str, captions: list[Caption]) -> Track:
        return Track(record.id, level, SOURCE, tuple(captions), record.name, end)

    clips = [Caption(Span(2.0 * k, min(end, 2.0 * k + 2)), f"Clip number {k + 1}.") for k in range(int(end / 2))]
    halves = [(0.0, end / 2, titles[0]), (end / 2, end, titles[1])]
    speech = [Caption(Span(1.5 * k + 0.5, 1.5 * k + 1.7), text) for k, text in enumerate(said)]
    return [
        track("video", [Caption(Span(0, end), f"All of {titles[0]}.")]),
        track(
            "segment", [Caption(Span(a, b), f"Part about {title}.", None, {"title": title}) for a, b, title in halves]
        ),
        track("clip", clips),
        track("shot", [replace(clip, text="") for clip in clips]),
        track("speech", speech),
        track("screen", [Caption(Span(1, 5), "HELLO CAFÉ"), Caption(Span(2, 6), "second line")]),
    ]


SAID = {
    "talk": [
        "Good morning everyone.",
        "She shows the telescope.",
        "🎥🎥 The naïve résumé of a moon.",
        "Two questions now.",
    ],
    "attack": [ATTACK, "plain words", f"moonlight {ATTACK}"],
    "gone": ["Nothing left but words."],
    "old": ["A film of another age."],
}


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, str]]:
    folder = tmp_path_factory.mktemp("films")
    library, ids = Library(folder / "library"), {}
    for number, (key, name) in enumerate(NAMES.items()):
        path = folder / name
        codec = {"codec": "mpeg4"} if key == "old" else {}
        # Different sizes, so that no two have the same content.
        write_video(
            path, count=300 if key == "talk" else 50, size=(160 + 16 * number, 96), options={"g": "12"}, **codec
        )
        with open_video(path) as video:
            record = VideoRecord.of(video)
        titles = (ATTACK, "plain") if key == "attack" else ("Opening", "The end")
        library.save_video(record)
        for track in tracks_of(record, SAID[key], titles=titles):
            library.save(track)
        ids[key] = record.id
        if key == "gone":
            path.unlink()
    return library.folder, ids


@pytest.fixture(scope="module")
def place(library: tuple[Path, dict[str, str]]) -> Iterator[Place]:
    code = (
        "import sys; from longshot.web.server import serve; "
        "serve(sys.argv[1], port=0, ready=lambda address: print(address, flush=True))"
    )
    with subprocess.Popen([sys.executable, "-c", code, str(library[0])], stdout=subprocess.PIPE, text=True) as server:
        try:
            assert server.stdout is not None
            alarm = threading.Timer(30, server.kill)
            alarm.start()
            address = server.stdout.readline().strip()
            alarm.cancel()
            assert address.startswith("http://127.0.0.1:"), "the server did not start"
            yield Place(library[0], address, library[1])
        finally:
            server.terminate()
            server.wait(10)


@pytest.fixture(scope="module")
def page(library: tuple[Path, dict[str, str]], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The page of "talk" as a file beside its video."""
    return written(library[0].parent / "talk.html", library, "talk")


def written(path: Path, library: tuple[Path, dict[str, str]], key: str) -> Path:
    tracks = Library(library[0]).tracks(library[1][key])
    path.write_text(export(tracks, "html", media=NAMES[key]), encoding="utf-8")
    return path


@pytest.fixture(scope="session")
def chromium(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    with browsers.browser(tmp_path_factory.mktemp("browser")) as driver:
        yield driver


@pytest.fixture
def driver(chromium: Any) -> Iterator[Any]:
    """The browser as new: a desktop window in light colours, nothing stored, nothing logged."""
    chromium.get("about:blank")
    browsers.size(chromium, *DESKTOP)
    browsers.scheme(chromium, "light")
    chromium.get_log("browser")
    yield chromium


# --- what the tests do with the page


def visit(driver: Any, address: str) -> None:
    driver.get(address)
    until(driver, lambda: js(driver, "return document.documentElement.dataset.ready"), f"{address} to be drawn")


def js(driver: Any, code: str, *values: Any) -> Any:
    return driver.execute_script(code, *values)


def one(driver: Any, selector: str) -> Any:
    """The first element shown that fits."""
    return until(
        driver, lambda: next((node for node in all_of(driver, selector) if node.is_displayed()), None), selector
    )


def all_of(driver: Any, selector: str) -> list[Any]:
    return driver.find_elements("css selector", selector)


def row(driver: Any, words: str) -> Any:
    """The line of the list that has these words."""
    found = js(
        driver,
        "return [...document.querySelectorAll('.row')].find(row => row.textContent.includes(arguments[0]))",
        words,
    )
    assert found is not None, f"no line with {words!r}"
    return found


def type_in(driver: Any, selector: str, words: str) -> None:
    from selenium.webdriver.common.keys import Keys

    box = one(driver, selector)
    box.clear()
    box.send_keys(words, Keys.ENTER)


def press(driver: Any, *keys: str) -> None:
    from selenium.webdriver.common.action_chains import ActionChains

    ActionChains(driver).send_keys(*keys).perform()


def second(driver: Any) -> float:
    return float(js(driver, "return document.getElementById('player').currentTime"))


def at(driver: Any, wanted: float, slack: float = 0.05) -> None:
    until(driver, lambda: abs(second(driver) - wanted) <= slack, f"the player to be at {wanted} s")


def loaded(driver: Any) -> None:
    until(driver, lambda: js(driver, "return document.getElementById('player').readyState >= 2"), "the video to load")


def complaints(driver: Any) -> list[str]:
    """What the browser wrote into its console: broken policies, errors of the script, missing files."""
    return [entry["message"] for entry in driver.get_log("browser") if entry["level"] in ("SEVERE", "WARNING")]


# --- from a server


def test_the_library_shows_its_videos_and_opens_one(driver: Any, place: Place) -> None:
    visit(driver, place.address)
    until(driver, lambda: len(all_of(driver, "#videos a")) == 4, "four videos")
    assert one(driver, "#library-name").text == "4 videos"
    names = [node.text for node in all_of(driver, "#videos b")]
    assert sorted(names) == sorted(NAMES.values())
    assert [node.text for node in all_of(driver, "#videos .state")] == ["the file is missing"]
    drawn = (
        "const image = document.querySelectorAll('#videos img')[arguments[0]]; return image && image.naturalWidth > 0"
    )
    until(driver, lambda: js(driver, drawn, names.index("talk.mp4") - 1), "a thumbnail")
    all_of(driver, "#videos a")[names.index("talk.mp4")].click()
    assert until(driver, lambda: one(driver, "#name").text == "talk.mp4", "the video's page")
    assert driver.current_url.startswith(place.of("talk"))
    assert "0:12" in one(driver, "#length").text and one(driver, "#summary").text == "All of Opening."
    driver.back()
    assert one(driver, "#library-name").text == "4 videos"
    assert complaints(driver) == []


def test_it_plays_and_shows_captions(driver: Any, place: Place) -> None:
    visit(driver, place.of("talk"))
    loaded(driver)
    press(driver, "k")
    until(driver, lambda: second(driver) > 0.8, "the video to play on")
    shown = """const track = [...document.getElementById('player').textTracks].find(one => one.mode === 'showing');
        return track && track.activeCues && track.activeCues.length ? track.activeCues[0].text : ''"""
    until(driver, lambda: js(driver, shown) == "Good morning everyone.", "a caption in the picture")
    press(driver, "k")
    until(driver, lambda: js(driver, "return document.getElementById('player').paused"), "the video to pause")
    js(driver, "document.getElementById('player').currentTime = 0.9")
    until(driver, lambda: "Good morning" in one(driver, ".row.here").text, "the line that is said")
    assert re.search(r"#t=\d", until(driver, lambda: "#t=" in driver.current_url and driver.current_url, "the address"))
    assert complaints(driver) == []


def test_a_caption_that_is_clicked_is_jumped_to(driver: Any, place: Place) -> None:
    visit(driver, place.of("talk"))
    loaded(driver)
    row(driver, "Two questions now.").click()
    at(driver, 5.0)
    assert "here" in row(driver, "Two questions now.").get_attribute("class")
    until(driver, lambda: driver.current_url.endswith("#t=5"), "the moment in the address")
    assert one(driver, "#now").text == "0:05.0"
    assert one(driver, "#lane-scroll").get_attribute("aria-valuetext") == "5 seconds"


def test_a_caption_on_the_lanes_is_jumped_to(driver: Any, place: Place) -> None:
    from selenium.webdriver.common.action_chains import ActionChains

    visit(driver, place.of("talk"))
    loaded(driver)
    canvas = one(driver, "#lane-canvas")
    labels = {node.text: node for node in all_of(driver, "#lane-labels button")}
    assert list(labels) == ["Segments", "Clips", "Shots", "On screen", "Speech"]
    middle = (
        labels["Clips"].rect["y"] + labels["Clips"].rect["height"] / 2 - canvas.rect["y"] - canvas.rect["height"] / 2
    )
    # The axis holds 12 seconds: 7 s is in the fourth clip, which begins at 6 s.
    aside = canvas.rect["width"] * (7 / 12 - 0.5)
    hover = ActionChains(driver).move_to_element_with_offset(canvas, aside, middle)
    hover.perform()
    assert "Clip number 4." in one(driver, "#tip").text
    assert until(
        driver, lambda: js(driver, "return document.querySelector('#tip img')?.naturalWidth > 0"), "its picture"
    )
    hover.click().perform()
    at(driver, 6.0)
    labels["Speech"].click()
    until(driver, lambda: len(all_of(driver, ".row")) == len(SAID["talk"]), "only what is said in the list")


def test_search_leads_to_the_moment(driver: Any, place: Place) -> None:
    visit(driver, place.address)
    type_in(driver, "#search-words", "telescope")
    hit = one(driver, "#results .moment")
    assert "talk.mp4" in hit.text and hit.find_element("css selector", "mark").text == "telescope"
    assert "1 moment" in one(driver, "#library-note").text and "1 moment" in js(
        driver, "return document.getElementById('told').textContent"
    )
    hit.click()
    at(driver, 2.0)
    assert "telescope" in driver.current_url and "#t=2" in driver.current_url
    assert one(driver, "#hits .moment[aria-current=true]").text.startswith("1")
    # The same address opened anew shows the same.
    driver.refresh()
    at(driver, 2.0)
    assert one(driver, "#hits .moment[aria-current=true] mark").text == "telescope"
    driver.back()
    assert one(driver, "#results .moment").is_displayed()


def test_find_ranks_windows_of_the_open_video(driver: Any, place: Place) -> None:
    visit(driver, place.of("talk"))
    loaded(driver)
    type_in(driver, "#find-words", "clip number")
    until(driver, lambda: all_of(driver, "#hits .moment"), "moments")
    assert "clip" in one(driver, "#hits mark").text.lower()
    assert one(driver, "#lane-labels span").text == "Moments"
    type_in(driver, "#find-words", "moon")
    until(driver, lambda: "“moon”" in one(driver, "#hits-note").text, "moments for moon")
    # Offsets count characters, of which two before it are emoji.
    assert one(driver, "#hits mark").text == "moon"
    at(driver, 3.5, slack=1.6)
    press(driver, "?")
    type_in(driver, "#find-words", "zeppelin")
    until(driver, lambda: "Nothing in this video for “zeppelin”" in one(driver, "#hits-note").text, "an honest answer")


def test_exports_can_be_saved(driver: Any, place: Place) -> None:
    visit(driver, place.of("talk"))
    one(driver, "#exports summary").click()
    links = {node.get_attribute("aria-label"): node for node in all_of(driver, "#exports a")}
    assert {"Speech as srt", "Speech as vtt", "All levels as html", "All levels as csv"} <= set(links)
    saved = download(driver, links["Speech as srt"])
    assert "She shows the telescope." in saved and "00:00:02,000 --> " in saved


def download(driver: Any, node: Any) -> str:
    """What a link or a button saves, as text."""
    folder = Path(driver.capabilities["chrome"]["userDataDir"]).parent / "downloads"

    def saved() -> dict[str, int]:
        # While it comes it has other names: hidden ones, and some that say so.
        there = folder.iterdir() if folder.is_dir() else ()
        mine = [path for path in there if path.name[0] != "." and path.suffix != ".crdownload"]
        return {path.name: path.stat().st_size for path in mine}

    before = saved()
    node.click()
    name = until(
        driver, lambda: next((new for new, size in saved().items() if new not in before and size), ""), "a file"
    )
    return (folder / name).read_text(encoding="utf-8")


def test_a_video_that_is_gone_still_has_its_words(driver: Any, place: Place) -> None:
    visit(driver, place.of("gone"))
    assert "gone.mp4" in one(driver, "#no-media").text
    row(driver, "Nothing left but words.").click()
    until(driver, lambda: one(driver, "#now").text == "0:00.5", "the time of the line")
    press(driver, "]")
    until(driver, lambda: one(driver, "#now").text == "0:01.0", "the next caption")


def test_what_a_browser_cannot_play_is_played_as_a_copy_and_said_so(driver: Any, place: Place) -> None:
    visit(driver, place.of("old"))
    assert "proxy" in one(driver, "#media-note").text
    until(driver, lambda: js(driver, "return document.getElementById('player').readyState >= 2"), "a copy", seconds=25)
    press(driver, "k")
    until(driver, lambda: second(driver) > 0.3, "it to play")


def test_what_goes_wrong_is_one_plain_line(driver: Any, place: Place) -> None:
    driver.get(f"{place.address}?video=nosuch")
    assert one(driver, "#trouble").text == "there is no such video here"
    visit(driver, place.of("talk"))
    js(driver, "window.fetch = () => Promise.reject(new TypeError('Failed to fetch'))")
    type_in(driver, "#find-words", "moon")
    assert "does not answer" in one(driver, "#trouble").text
    assert len(one(driver, "#trouble").text.splitlines()) == 1


def test_keys(driver: Any, place: Place) -> None:
    from selenium.webdriver.common.keys import Keys

    visit(driver, place.of("talk", "#t=4.0,5.0"))
    loaded(driver)
    at(driver, 4.0)
    for key, wanted in (
        (Keys.ARROW_RIGHT, 9.0), (Keys.ARROW_LEFT, 4.0), ("l", 12.0), ("j", 2.0), (".", 2.04), (",", 2.0), ("]", 3.5),
        ("[", 2.0), ("]", 3.5), ("]", 4.0), (Keys.HOME, 0.0),
    ):  # fmt: skip
        press(driver, key)
        at(driver, wanted)
    type_in(driver, "#find-words", "clip number")
    until(driver, lambda: all_of(driver, "#hits [aria-current=true]"), "the first moment")
    press(driver, Keys.ESCAPE)
    current = (
        "return [...document.querySelectorAll('#hits .moment')].findIndex(one => one.getAttribute('aria-current'))"
    )
    count = len(all_of(driver, "#hits .moment"))
    for key, place_of in (("n", 1 % count), ("p", 0), ("p", count - 1)):
        press(driver, key)
        until(driver, lambda wanted=place_of: js(driver, current) == wanted, f"moment {place_of}")
    press(driver, Keys.ESCAPE)
    until(driver, lambda: one(driver, "#list").is_displayed(), "the captions again")
    press(driver, "?")
    assert one(driver, "#help").is_displayed()
    press(driver, Keys.ESCAPE)
    until(driver, lambda: not all_of(driver, "#help[open]"), "the help to close")
    press(driver, "/")
    assert js(driver, "return document.activeElement.id") == "search-words"
    press(driver, Keys.ESCAPE, "f")
    assert js(driver, "return document.activeElement.id") == "find-words"
    # Letters are letters where somebody writes.
    before = second(driver)
    press(driver, "jkl")
    assert one(driver, "#find-words").get_attribute("value").endswith("jkl") and second(driver) == before


def test_the_axis_zooms(driver: Any, place: Place) -> None:
    visit(driver, place.of("talk", "#t=6"))
    wide = (
        "return document.getElementById('lane-wide').clientWidth / document.getElementById('lane-scroll').clientWidth"
    )
    assert js(driver, wide) == 1
    press(driver, "+", "+")
    until(driver, lambda: abs(js(driver, wide) - 4) < 0.1, "four times the width")
    seen = "const box = document.getElementById('playhead').getBoundingClientRect(); return [box.left, innerWidth]"
    left, width = js(driver, seen)
    assert 0 < left < width
    press(driver, "0")
    until(driver, lambda: js(driver, wide) == 1, "the whole video")


# --- looks


def test_dark_colours_by_the_system_and_by_hand(driver: Any, place: Place) -> None:
    ground = "return getComputedStyle(document.body).backgroundColor"
    visit(driver, place.of("talk"))
    light = js(driver, ground)
    browsers.scheme(driver, "dark")
    until(driver, lambda: js(driver, ground) != light, "dark colours")
    assert one(driver, "#theme").get_attribute("aria-pressed") == "true"
    press(driver, "t")
    until(driver, lambda: js(driver, ground) == light, "light colours by hand")
    visit(driver, place.of("talk"))
    assert js(driver, ground) == light, "the choice is remembered"
    js(driver, "localStorage.clear()")


def test_words_can_be_read_on_what_is_behind_them(driver: Any, place: Place) -> None:
    visit(driver, place.address)
    code = """
        const probe = document.createElement('span'); document.body.append(probe);
        const colour = (name) => { probe.style.color = `var(--${name})`; return getComputedStyle(probe).color; };
        return Object.fromEntries(arguments[0].map((name) => [name, colour(name)]));"""
    inks = ["ink", "quiet", "accent", "hit", "bad", "segment", "clip", "shot", "speech", "screen", "other"]
    for scheme in ("light", "dark"):
        browsers.scheme(driver, scheme)
        found = js(driver, code, [*inks, "ground", "card", "soft", "mark", "on-accent"])
        pairs = [(ink, back) for ink in inks for back in ("ground", "card")]
        for ink, back in [*pairs, ("ink", "soft"), ("quiet", "soft"), ("ink", "mark"), ("on-accent", "accent")]:
            ratio = contrast(found[ink], found[back])
            assert ratio >= 4.5, f"{scheme}: {ink} on {back} has a contrast of {ratio:.1f}"


def contrast(one: str, other: str) -> float:
    """The contrast of two colours as WCAG 2 defines it, 1 to 21."""
    low, high = sorted(map(luminance, (one, other)))
    return (high + 0.05) / (low + 0.05)


def luminance(colour: str) -> float:
    parts = [int(part) / 255 for part in re.findall(r"\d+", colour)[:3]]
    red, green, blue = (part / 12.92 if part <= 0.03928 else ((part + 0.055) / 1.055) ** 2.4 for part in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


@pytest.mark.parametrize("what", ["", "?q=moon", "talk"])
def test_a_phone_shows_it_in_one_column(driver: Any, place: Place, what: str) -> None:
    browsers.size(driver, *PHONE, touch=True)
    visit(driver, place.of("talk", "#t=5") if what == "talk" else place.address + what)
    if what == "talk":
        type_in(driver, "#find-words", "clip")
        until(driver, lambda: all_of(driver, "#hits .moment"), "moments")
    width = "return [document.documentElement.scrollWidth, innerWidth]"
    assert js(driver, width) == [PHONE[0], PHONE[0]]
    small = """return [...document.querySelectorAll('button, input:not(.unseen), summary, .button, #home')]
        .filter((node) => node.checkVisibility() && !node.closest('#lane-labels, .unseen'))
        .map((node) => [node.id || node.textContent, node.getBoundingClientRect().height])
        .filter(([, height]) => height < 44)"""
    assert js(driver, small) == []


def test_everything_that_can_be_pressed_has_a_name(driver: Any, place: Place) -> None:
    nameless = """
        const said = (node) => node.getAttribute('aria-label') || node.getAttribute('aria-labelledby')
            || node.textContent.trim() || (node.labels && node.labels.length && node.labels[0].textContent.trim());
        const wanted = 'button, input, a, summary, [role=slider], section, aside, dialog';
        return [...document.querySelectorAll(wanted)].filter((node) => node.checkVisibility() && !said(node))
            .map((node) => node.outerHTML.slice(0, 100))"""
    for address in (place.address, f"{place.address}?q=moon", place.of("talk", "&q=moon")):
        visit(driver, address)
        assert js(driver, nameless) == []
        assert js(driver, "return document.querySelectorAll('h1').length") >= 1


def test_the_list_is_gone_through_by_keyboard(driver: Any, place: Place) -> None:
    from selenium.webdriver.common.keys import Keys

    visit(driver, place.of("talk"))
    loaded(driver)
    assert len(all_of(driver, '#list button[tabindex="0"]')) == 1
    js(driver, """document.querySelector('#list button[tabindex="0"]').focus()""")
    for _ in range(3):
        press(driver, Keys.ARROW_DOWN)
    wanted = js(driver, "return document.activeElement.closest('.row').row.caption[0]")
    press(driver, Keys.ENTER)
    at(driver, wanted)
    assert wanted > 0


# --- words that attack


def unharmed(driver: Any) -> None:
    """Nothing that stands in the data has become a part of the page."""
    assert js(driver, "return window.pwned") is None
    assert js(driver, "return document.querySelectorAll('[onerror], [onload], #main script, #main svg').length") == 0
    assert js(driver, "return document.scripts.length") == 2
    assert not [one for one in complaints(driver) if "Content Security Policy" in one]


def test_captions_titles_names_and_queries_are_only_text(driver: Any, place: Place) -> None:
    visit(driver, place.address)
    until(driver, lambda: len(all_of(driver, "#videos b")) == 4, "four videos")
    assert NAMES["attack"] in [node.text for node in all_of(driver, "#videos b")]
    unharmed(driver)
    type_in(driver, "#search-words", f"moonlight {ATTACK}")
    assert f"moonlight {ATTACK}" in one(driver, "#results .said").text
    assert one(driver, "#library-name").text == f"moonlight {ATTACK}"
    unharmed(driver)
    one(driver, "#results .moment").click()
    until(driver, lambda: one(driver, "#name").text == NAMES["attack"], "the video's page")
    one(driver, "#to-list").click()
    assert ATTACK in row(driver, ATTACK).text and one(driver, ".row b").text == ATTACK
    assert driver.title.startswith(NAMES["attack"])
    type_in(driver, "#find-words", f"moonlight {ATTACK}")
    until(driver, lambda: ATTACK in one(driver, "#hits-note").text, "the moments")
    unharmed(driver)
    loaded(driver)
    js(driver, "document.getElementById('player').currentTime = 0.8")
    cue = "return document.getElementById('player').textTracks[0].activeCues?.[0]?.getCueAsHTML().textContent"
    until(driver, lambda: js(driver, cue) == ATTACK, "the caption in the picture")
    unharmed(driver)


def test_the_same_in_a_file(driver: Any, library: tuple[Path, dict[str, str]]) -> None:
    path = written(library[0].parent / "attack.html", library, "attack")
    visit(driver, path.as_uri())
    assert one(driver, "#name").text == NAMES["attack"] and driver.title.startswith(NAMES["attack"])
    assert ATTACK in row(driver, ATTACK).text
    type_in(driver, "#find-words", f"moonlight {ATTACK}")
    assert ATTACK in one(driver, "#hits .said").text
    loaded(driver)
    unharmed(driver)


# --- from a disk


def test_a_very_long_list_is_made_as_it_is_read(driver: Any, tmp_path: Path) -> None:
    said = tuple(Caption(Span(k, k + 1.0), f"line {k}") for k in range(15000))
    path = tmp_path / "long.html"
    path.write_text(export([Track("long", "speech", SOURCE, said, "long.mp4", 15000.0)], "html"), encoding="utf-8")
    visit(driver, path.as_uri())
    assert len(all_of(driver, ".row")) < 1000
    type_in(driver, "#find-words", "14321")
    until(driver, lambda: one(driver, "#now").text == "3:58:41.0", "the moment")
    one(driver, "#to-list").click()
    inside = """const box = document.getElementById('list').getBoundingClientRect();
        const at = document.querySelector('.row.here')?.getBoundingClientRect();
        return Boolean(at) && at.top >= box.top && at.bottom <= box.bottom"""
    until(driver, lambda: js(driver, inside), "the line in view")
    assert one(driver, ".row.here").text.endswith("line 14321") and len(all_of(driver, ".row")) < 2000


def test_the_file_needs_nothing_but_its_video(driver: Any, page: Path) -> None:
    visit(driver, f"{page.as_uri()}#t=3.5")
    loaded(driver)
    at(driver, 3.5)
    assert one(driver, "#summary").text == "All of Opening."
    row(driver, "Two questions now.").click()
    at(driver, 5.0)
    until(driver, lambda: driver.current_url.endswith("#t=5"), "the moment in the address")
    cue = "return document.getElementById('player').textTracks[0].activeCues?.[0]?.text"
    until(driver, lambda: js(driver, cue) == "Two questions now.", "a caption in the picture")
    press(driver, "k")
    until(driver, lambda: second(driver) > 5.3, "it to play")
    assert not all_of(driver, "#search:not([hidden])")
    assert complaints(driver) == []


@pytest.mark.parametrize(
    ("query", "marked"),
    [
        ("telescope", ["telescope"]),
        ("TELESC", ["telescope"]),
        ("naive", ["naïve"]),
        ("cafe", ["CAFÉ"]),
        ("resume moon", ["résumé", "moon"]),
        ('"shows the telescope"', ["shows the telescope"]),
        ('"the shows"', []),
        ('"unclosed', []),
        ("zeppelin", []),
        (".*", []),
        ("🎥", []),
        ("questions “two questions”", ["Two questions"]),
    ],
)
def test_the_file_searches_its_own_words(driver: Any, page: Path, query: str, marked: list[str]) -> None:
    if driver.current_url != page.as_uri():
        visit(driver, page.as_uri())
    js(driver, "document.getElementById('find-words').value = arguments[0]", query)
    one(driver, "#find-go").click()
    texts = js(
        driver, "return [...document.querySelectorAll('#hits li:first-child mark')].map(node => node.textContent)"
    )
    assert sorted(texts) == sorted(dict.fromkeys(marked)) or sorted(set(texts)) == sorted(set(marked))


def test_the_file_saves_its_texts(driver: Any, page: Path) -> None:
    visit(driver, page.as_uri())
    one(driver, "#exports summary").click()
    buttons = {node.get_attribute("aria-label"): node for node in all_of(driver, "#exports button")}
    vtt = download(driver, buttons["Speech as vtt"])
    assert vtt.startswith("WEBVTT\n\n00:00:00.500 --> 00:00:01.700\nGood morning everyone.\n")
    found = json.loads(download(driver, buttons["All levels as json"]))
    assert found["name"] == "talk.mp4" and [line["text"] for line in found["levels"]["speech"]] == SAID["talk"]


def test_the_file_without_its_video_says_so(driver: Any, library: tuple[Path, dict[str, str]], tmp_path: Path) -> None:
    path = written(tmp_path / "alone.html", library, "talk")
    visit(driver, path.as_uri())
    assert "does not play here" in one(driver, "#no-media").text
    row(driver, "Two questions now.").click()
    assert one(driver, "#now").text == "0:05.0"
