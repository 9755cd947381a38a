"""A page to watch, read and search, all of one video in one file (.html)."""

from __future__ import annotations

import base64
import hashlib
import json
import math
import re
from collections.abc import Sequence
from importlib.resources import files
from typing import Any
from urllib.parse import quote

from longshot.contracts import Format
from longshot.formats._format import coarse_first, label_of
from longshot.timeline import Track

# A file on a disk has no server whose headers would say this: only our own script and style run, whatever the words
# in it say. Sound and pictures may come from beside the file, or from where it says that they are.
_POLICY = (
    "default-src 'none'; script-src '{script}'; style-src '{style}'; img-src data:; "
    "media-src 'self' file: blob: http: https:; base-uri 'none'; form-action 'none'"
)


def load() -> Format:
    """The format."""
    return Format("html", ".html", "written only: scores, details", write, kinds=("page",), together=("page",))


def write(tracks: Sequence[Track], *, kind: str, media: str) -> str:
    """The page of `longshot view` with one video's tracks inside; it opens from a disk and asks no server.

    The video itself stays beside it, at `media`; without that, or when it is gone, the words still work.
    """
    ordered = coarse_first(tracks)
    duration = max((track.duration or 0.0 for track in ordered), default=0.0)
    page = {
        "id": ordered[0].video,
        "name": next((track.name for track in ordered if track.name), ordered[0].video),
        "duration": duration,
        "size": None,
        "media": _address(media) if media else None,
        "mediaNote": "" if media else "This page was written without a video; the words work.",
        "levels": levels_of(ordered),
    }
    return _page({"mode": "file", "video": None, "page": page}, title=str(page["name"] or "Longshot"))


def levels_of(tracks: Sequence[Track]) -> list[dict[str, Any]]:
    """The levels as the page wants them, coarse first: captions are [start, end, text, title or null, id]."""
    return [
        {
            "level": track.level,
            "label": label_of(track.level),
            "source": str(track.source),
            "note": track.source.note,
            "captions": [
                [caption.span.start, caption.span.end, caption.text, _title(caption.details), track.id_of(index)]
                for index, caption in enumerate(track)
            ],
        }
        for track in coarse_first(tracks)
    ]


def _title(details: Any) -> str | None:
    title = details.get("title")
    return str(title) if title else None


def _page(data: dict[str, Any], *, title: str) -> str:
    style, script = (f"\n{_own_file(name)}" for name in ("page.css", "page.js"))
    policy = _POLICY.format(script=_digest(script), style=_digest(style))
    charset = '<meta charset="utf-8">'
    parts = {
        charset: f'{charset}\n<meta http-equiv="Content-Security-Policy" content="{policy}">',
        "<title>Longshot</title>": f"<title>{_text(title)}</title>",
        '<link rel="stylesheet" href="/page.css">': f"<style>{style}</style>",
        '<script src="/page.js"></script>': f"<script>{script}</script>",
        '{"mode": "server", "video": null}': embedded(data),
    }
    # In one pass, so that nothing that is put in is looked at again.
    wanted = re.compile("|".join(map(re.escape, parts)))
    page, count = wanted.subn(lambda found: parts[found[0]], _own_file("page.html"))
    assert count == len(parts), "page.html has each of its places once"
    return page


def _own_file(name: str) -> str:
    return (files("longshot") / "page" / name).read_text(encoding="utf-8")


def _digest(text: str) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


def embedded(data: Any) -> str:
    """JSON that can stand inside a script element: no text in it can end the element or begin a comment.

    Numbers that are not finite become null, and lone surrogates the sign for a character that is none.
    """
    said = json.dumps(_finite(data), ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    for mark in "<>&\u2028\u2029\x7f":
        said = said.replace(mark, f"\\u{ord(mark):04x}")
    return said.encode("utf-8", "replace").decode()


def _finite(value: Any) -> Any:
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {key: _finite(one) for key, one in value.items()}
    return [_finite(one) for one in value] if isinstance(value, list) else value


def _text(said: str) -> str:
    """Text of the title element; control characters are no HTML."""
    shown = "".join(one if one.isprintable() else "\N{REPLACEMENT CHARACTER}" for one in said)
    return shown.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def _address(media: str) -> str:
    """The video's address as a link: a path is quoted, so that "a#1.mp4" or "javascript:" is a file's name."""
    if re.match(r"https?://", media):
        return quote(media, safe="/:?=&%@+,;~[]!$'()*")
    return quote(media.replace("\\", "/"), errors="replace")
