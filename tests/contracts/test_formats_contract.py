"""What every file on the formats shelf promises; a new file is checked by being there."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import longshot.formats
from longshot import registry
from longshot.contracts import Format
from longshot.errors import FormatError, UsageError
from longshot.timeline import Caption, Source, Span, Track

SHELF = Path(longshot.formats.__file__).parent
NAMES = sorted(registry.choices("formats"))
DOCS = SHELF.parents[2] / "docs" / "formats.md"
TEXTS = (
    "A door opens.",
    "two\nlines",
    "<b>&amp; --> {\\an8} \\",
    "",
    "=1+1",
    '"quoted", and; [more] *stars*',
    "né 你好 \u2028 x",
)


def track_of(level: str = "segment", texts: tuple[str, ...] = TEXTS) -> Track:
    captions = tuple(Caption(Span(12.5 * i, 12.5 * (i + 1)), text) for i, text in enumerate(texts))
    return Track("3f2a9c", level, Source("describe", "observer", "1", {"every": 0.5}), captions, "talk.mp4")


@pytest.fixture(params=NAMES)
def way(request: pytest.FixtureRequest) -> Format:
    loaded = registry.load("formats", request.param)
    assert isinstance(loaded, Format)
    assert loaded.name == request.param
    return loaded


def test_it_introduces_itself(way: Format) -> None:
    summary = registry.choices("formats")[way.name].summary
    assert 10 < len(summary) <= 110 and way.suffix in summary
    assert way.suffix.startswith(".") and way.suffix == way.suffix.lower()
    assert way.kinds and set(way.together) <= set(way.kinds)
    assert way.write or way.read
    assert (way.read is None) == (way.likeness is None)


def test_no_two_share_an_ending() -> None:
    suffixes = [registry.load("formats", name).suffix for name in NAMES]
    assert len(set(suffixes)) == len(suffixes)


def test_it_stands_in_the_table_of_the_docs(way: Format) -> None:
    rows = [line for line in DOCS.read_text(encoding="utf-8").splitlines() if line.startswith(f"| `{way.name}` |")]
    assert len(rows) == 1
    assert f"`{way.suffix}`" in rows[0]
    assert all(f"`{kind}`" in rows[0] for kind in way.kinds if len(way.kinds) > 1)


def test_it_writes_the_same_text_each_time(way: Format) -> None:
    if way.write is None:
        with pytest.raises(UsageError):
            way.text_of([track_of()])
        return
    for kind in way.kinds:
        text = way.text_of([track_of()], kind=kind, media="in/talk.mp4")
        assert text == way.text_of([track_of()], kind=kind, media="in/talk.mp4")
        assert text.endswith("\n") and "A door opens." in text
        text.encode("utf-8")


def test_it_writes_several_levels_where_it_says_so(way: Format) -> None:
    for kind in way.kinds if way.write else ():
        if kind in way.together:
            assert way.text_of([track_of(), track_of("clip")], kind=kind)
        else:
            with pytest.raises(UsageError, match="segment, clip"):
                way.text_of([track_of(), track_of("clip")], kind=kind)


def test_it_writes_an_empty_track_or_says_why_not(way: Format) -> None:
    for kind in way.kinds if way.write else ():
        try:
            assert isinstance(way.text_of([track_of(texts=())], kind=kind), str)
        except UsageError as error:
            assert "\n" not in str(error)


def test_it_reads_what_it_writes(way: Format) -> None:
    if way.write is None or way.read is None or way.likeness is None:
        return
    for kind in way.kinds:
        text = way.text_of([track_of(texts=("A door opens.", "two\nlines", "é"))], kind=kind)
        others = [registry.load("formats", name) for name in NAMES if name != way.name]
        assert way.likeness(text) > max(other.likeness(text) for other in others if other.likeness)
        reading = way.read(text)
        assert reading.format == way.name and not reading.trouble
        assert [(c.span.start, c.text) for c in reading.captions] == [
            (0.0, "A door opens."), (12.5, "two\nlines"), (25.0, "é")
        ]  # fmt: skip


@settings(max_examples=50)
@given(st.text(max_size=80))
def test_it_reads_anything_or_raises_a_format_error(text: str) -> None:
    for name in NAMES:
        way = registry.load("formats", name)
        if way.read is None:
            continue
        try:
            assert way.read(text).tracks
        except FormatError as error:
            assert str(error) and "\n" not in str(error)


@pytest.mark.parametrize("name", NAMES)
def test_it_imports_no_other_format(name: str) -> None:
    path = SHELF / f"{name}.py"
    if not path.exists():
        return
    tree = ast.parse(path.read_text(encoding="utf-8"))
    imported = {node.module or "" for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    assert not imported & {f"longshot.formats.{other}" for other in NAMES}
    assert not any(
        module.startswith(("longshot.cli", "longshot.captioning", "longshot.library")) for module in imported
    )
