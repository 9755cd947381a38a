"""The page as one file: what stands in it, what can never become markup, and that its parts fit each other."""

from __future__ import annotations

import base64
import hashlib
import json
import re
import time
from html.parser import HTMLParser
from importlib.resources import files
from typing import Any

import pytest

from longshot import registry
from longshot.contracts import Format
from longshot.formats.html import embedded, levels_of
from longshot.timeline import Caption, Source, Span, Track

PAGE, SCRIPT, STYLE = (
    (files("longshot") / "page" / f"page.{kind}").read_text(encoding="utf-8") for kind in ("html", "js", "css")
)
SOURCE = Source("write", "me", "1", note="by hand")
ENDINGS = (
    "</script>",
    "</SCRIPT >",
    "<!--",
    "]]>",
    "\u2028",
    "\u2029",
    "&amp;",
    "\x00",
    "\x7f",
    "\ud800",
    "🎥",
    '"',
    "\\",
)


def track(level: str, *captions: Caption, name: str = "talk.mp4") -> Track:
    return Track("3f2a9c", level, SOURCE, captions, name, 60.0)


def said(*texts: str) -> Track:
    return track("speech", *(Caption(Span(k, k + 1.0), text) for k, text in enumerate(texts)))


def html(*tracks: Track, media: str = "talk.mp4") -> str:
    way = registry.load("formats", "html")
    assert isinstance(way, Format)
    return way.text_of(tracks, media=media)


class _Elements(HTMLParser):
    """Every element of a page with its attributes, and the text inside scripts, styles and the title."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[tuple[str, str]] = []
        self._open: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag in ("script", "style", "title"):
            self._open.append(tag)
            self.texts.append((tag, ""))

    def handle_data(self, data: str) -> None:
        if self._open:
            self.texts[-1] = (self._open[-1], self.texts[-1][1] + data)

    def handle_endtag(self, tag: str) -> None:
        if self._open and tag == self._open[-1]:
            self._open.pop()


def data_of(page: str) -> Any:
    (text,) = re.findall(r'<script type="application/json" id="longshot-data">(.*?)</script>', page, re.DOTALL)
    return json.loads(text)


def test_it_holds_all_levels_coarse_first() -> None:
    segment = Caption(Span(0, 60), "All of it.", 0.5, {"title": "Opening"})
    page = html(said("Hello."), track("segment", segment))
    data = data_of(page)
    assert data["mode"] == "file"
    assert {key: data["page"][key] for key in ("id", "name", "duration", "media")} == {
        "id": "3f2a9c", "name": "talk.mp4", "duration": 60.0, "media": "talk.mp4"
    }  # fmt: skip
    assert data["page"]["levels"] == levels_of([said("Hello."), track("segment", segment)])
    assert data["page"]["levels"] == [
        {"level": "segment", "label": "Segments", "source": "write me@1", "note": "by hand",
         "captions": [[0, 60, "All of it.", "Opening", "segment-0001"]]},
        {"level": "speech", "label": "Speech", "source": "write me@1", "note": "by hand",
         "captions": [[0, 1.0, "Hello.", None, "speech-0001"]]},
    ]  # fmt: skip


def test_it_asks_nobody_for_anything() -> None:
    parsed = _Elements(html(said("Hello.")))
    addresses = [
        value
        for _, attributes in parsed.elements
        for name, value in attributes.items()
        if name in ("src", "href", "action")
    ]
    assert all(value is not None and value.startswith(("#", "data:", "/")) for value in addresses)
    # The brand is the one link; the script takes its address away, as there is no library around a file.
    assert [value for value in addresses if value == "/"] == ["/"] and addresses.count("/page.js") == 0
    assert not re.search(r"https?://(?!www\.w3\.org/2000/svg)", html(said("Hello.")).replace("https?:", ""))
    assert "@import" not in STYLE and "url(" not in STYLE


def test_its_policy_runs_its_own_script_and_style_alone() -> None:
    parsed = _Elements(html(said("Hello.")))
    (policy,) = [
        str(one["content"]) for tag, one in parsed.elements if one.get("http-equiv") == "Content-Security-Policy"
    ]
    assert policy.startswith("default-src 'none'; ") and "unsafe" not in policy and "connect-src" not in policy
    for tag, text in parsed.texts:
        if tag == "title" or text.startswith("{"):
            continue
        digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
        assert f"{tag}-src 'sha256-{digest}'" in policy


def test_what_it_says_of_itself_stands_before_anything_it_could_be_about() -> None:
    page = html(said("Hello."))
    assert page.index("<meta charset") < page.index("Content-Security-Policy") < page.index("<title>") < 1024


@pytest.mark.parametrize("ending", ENDINGS)
def test_no_text_ends_the_data(ending: str) -> None:
    text = f"before {ending} <img src=x onerror=alert(1)> after"
    titled = track("segment", Caption(Span(0, 9), text, None, {"title": text}), name=f"{ending}.mp4")
    plain, hostile = _Elements(html(said("a"))), _Elements(html(said(text), titled, media=f"{ending}.mp4"))
    assert hostile.elements == plain.elements
    whole = text.encode("utf-8", "replace").decode()
    data = data_of(html(said(text), titled))
    assert data["page"]["levels"][0]["captions"][0][2:4] == [whole, whole]
    assert data["page"]["levels"][1]["captions"][0][2] == whole
    html(said(text), titled).encode("utf-8")


@pytest.mark.parametrize(
    "place", ["<title>Longshot</title>", '<script src="/page.js"></script>', '{"mode": "server", "video": null}']
)
def test_words_that_look_like_places_of_the_page_are_left_alone(place: str) -> None:
    page = html(Track("3f2a9c", "speech", SOURCE, (Caption(Span(0, 1), place),), place, 1.0))
    data = data_of(page)
    assert data["page"]["levels"][0]["captions"][0][2] == place and data["page"]["name"] == place
    assert [tag for tag, _ in _Elements(page).elements].count("script") == 2


@pytest.mark.parametrize(
    ("media", "address"),
    [
        ("talk.mp4", "talk.mp4"),
        ("../in/my talk #1?.mp4", "../in/my%20talk%20%231%3F.mp4"),
        ("in\\talk.mp4", "in/talk.mp4"),
        ("javascript:alert(1)", "javascript%3Aalert%281%29"),
        ("data:text/html,x", "data%3Atext/html%2Cx"),
        ("été.mp4", "%C3%A9t%C3%A9.mp4"),
        ("https://example.org/a b.mp4?x=1&y=2#t=3", "https://example.org/a%20b.mp4?x=1&y=2%23t=3"),
        ("", None),
    ],
)
def test_the_video_is_found_beside_it(media: str, address: str | None) -> None:
    page = data_of(html(said("a"), media=media))["page"]
    assert page["media"] == address
    assert bool(page["mediaNote"]) == (address is None)


def test_numbers_that_are_none_become_null() -> None:
    assert json.loads(embedded({"a": [float("nan"), float("inf"), 1.5, True, None]})) == {
        "a": [None, None, 1.5, True, None]
    }


def test_five_thousand_cues_are_written_quickly() -> None:
    tracks = [said(*(f"line {k} of what was said there" for k in range(5000)))]
    began = time.perf_counter()
    page = html(*tracks)
    assert time.perf_counter() - began < 2.0 and len(page) < 1_000_000


# --- the parts of the page


def test_the_script_knows_only_ids_that_the_page_has() -> None:
    ids = [attributes["id"] for _, attributes in _Elements(PAGE).elements if "id" in attributes]
    assert len(set(ids)) == len(ids)
    assert set(re.findall(r'\$\("([\w-]+)"\)', SCRIPT)) <= set(ids)
    assert set(re.findall(r"#([a-z][\w-]*)(?=[ .:,{\[>])", re.sub(r"#[0-9a-f]{3,6}\b", "", STYLE))) <= set(ids)


def test_nothing_of_it_makes_markup_from_text() -> None:
    assert not re.search(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\b|new Function|srcdoc", SCRIPT)
    # The server's policy forbids code and looks inside of attributes.
    for tag, attributes in _Elements(PAGE).elements:
        assert not [name for name in attributes if name.startswith("on") or name == "style"], tag


def test_the_keys_that_the_help_names_are_those_that_work() -> None:
    names = {"←": "ArrowLeft", "→": "ArrowRight", "space": " "}
    told = {names.get(key, key) for key in re.findall(r"<kbd>(.*?)</kbd>", PAGE)}
    table = SCRIPT[SCRIPT.index("const ofVideo = {") : SCRIPT.index("const pictures =")]
    works = set(re.findall(r'"([^"]|Home|End)": ', table)) | set(re.findall(r"[{,\s](\w|Arrow\w+|Home|End): ", table))
    assert told <= works
    assert works - told == {"=", "Home", "End"}  # + without shift; and two that mean everywhere what they mean here
