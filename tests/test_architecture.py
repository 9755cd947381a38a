"""Imports point down, shelves do not know each other, and the doors open without anything heavy."""

from __future__ import annotations

import ast
import importlib
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

import longshot
from longshot import registry

PACKAGE = Path(longshot.__file__).parent
LAYERS = (
    (
        "words",
        {"errors", "timeline", "contracts", "sampling", "settings", "registry", "clips", "languages", "pooling"}
        | {"prompts", "environments"},
    ),
    (
        "matter",
        {"video", "decoding", "pictures", "audio", "library", "journal", "formats", "motion", "colours", "places"}
        | {"checkpoints", "looks", "arrays", "vectors", "items", "metrics", "meteor", "terms", "tables", "stores"}
        | {"queries"},
    ),
    ("models", {"models", "own_models", "asking", "tensors", "conversion", "workers", "clock_check"}),
    (
        "skill",
        {"segmenters", "transcribers", "readers", "describers", "chat_models", "encoders", "finders", "judges"}
        | {"benchmarks"},
    ),
    ("work", {"captioning", "searching", "scaling", "evaluating"}),
    (
        "doors",
        {
            "cli",
            "cli_eval",
            "cli_library",
            "cli_options",
            "web",
            "saying",
            "terminal",
            "doctor",
            "__init__",
            "__main__",
        },
    ),
)
RANK = {name: rank for rank, (_, names) in enumerate(LAYERS) for name in names}
SHELVES = {"segmenters", "transcribers", "readers", "describers", "chat_models", "encoders", "formats"} | {
    *("finders", "judges", "benchmarks"),
}
# What only files on a shelf may import, because only the registry opens those.
OPTIONAL = {"torch", "torchvision", "transformers", "open_clip", "sentence_transformers", "cv2", "rapidocr"} | {
    *("onnxruntime", "faster_whisper", "pocketsphinx", "scenedetect")
}
# The one module below the shelves that may: only they open it.
ENGINE_ROOM = {"tensors", "conversion"}
# What runs in environments of its own, and never in this process.
ELSEWHERE = {"environments"}
HEAVY = {"numpy", "av", "lancedb", "pyarrow", "starlette", "uvicorn", "torch", "transformers", "cv2", "onnxruntime"} | {
    "httpx"
}

# What metrics may import of others: nothing that opens a file or a connection.
REASONING = {"numpy", "__future__", "collections", "dataclasses", "functools", "itertools", "math", "re", "string"} | {
    *("typing", "enum", "statistics", "unicodedata", "operator", "bisect", "fractions", "numbers", "heapq", "types"),
    *("difflib", "copy", "contextlib", "abc", "warnings"),
    # To rank in threads, and to give pages of a matrix back that its owner mapped.
    *("concurrent", "os", "mmap"),
}

FILES = sorted(path for path in PACKAGE.rglob("*.py"))


def part_of(path: Path) -> str:
    """The top-level part of the package that a file belongs to: "video", "captioning"."""
    first = path.relative_to(PACKAGE).parts[0]
    return first.removesuffix(".py")


@cache
def imports_of(path: Path) -> list[tuple[int, str]]:
    """Every imported module with its line, those for type checking left out."""
    return list(_imports(ast.parse(path.read_text(encoding="utf-8"))))


def _imports(node: ast.AST) -> Iterator[tuple[int, str]]:
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.If) and ast.unparse(child.test) == "TYPE_CHECKING":
            continue
        if isinstance(child, ast.Import):
            yield from ((child.lineno, alias.name) for alias in child.names)
        elif isinstance(child, ast.ImportFrom):
            assert child.level == 0, "imports are written out in full"
            yield from _imported_from(child)
        yield from _imports(child)


def _imported_from(node: ast.ImportFrom) -> Iterator[tuple[int, str]]:
    module = node.module or ""
    for alias in node.names:
        is_module = module == "longshot" and alias.name in RANK
        yield node.lineno, f"longshot.{alias.name}" if is_module else module


def ours(path: Path) -> Iterator[tuple[str, str, tuple[str, ...]]]:
    """Imports of our own modules: where ("cli.py, line 7"), top-level part, the whole path below the package."""
    for line, module in imports_of(path):
        names = tuple(module.split("."))
        if names[0] == "longshot" and len(names) > 1:
            yield f"{path.relative_to(PACKAGE)}, line {line}: imports {module}", names[1], names[1:]


def test_every_part_has_its_layer() -> None:
    unknown = {part_of(path) for path in FILES} - set(RANK)
    assert not unknown, "say in LAYERS where a new part belongs"
    assert set(registry.SHELVES) == SHELVES


def test_imports_point_down() -> None:
    upward = [
        f"{where}, from {LAYERS[RANK[part_of(path)]][0]} up to {LAYERS[RANK[part]][0]}"
        for path in FILES
        for where, part, _ in ours(path)
        if RANK[part] > RANK[part_of(path)]
    ]
    assert not upward


def test_shelves_do_not_import_each_other() -> None:
    # Formats lie below the skills: a transcriber reads subtitles.
    found = [
        where
        for path in FILES
        for where, part, _ in ours(path)
        if {part, part_of(path)} <= SHELVES and part not in (part_of(path), "formats")
    ]
    assert not found


def test_only_the_registry_opens_the_files_on_a_shelf() -> None:
    found = [
        where
        for path in FILES
        for where, part, names in ours(path)
        if part in SHELVES and part != part_of(path) and len(names) > 1 and not names[1].startswith("_")
    ]
    assert not found


def test_optional_packages_are_imported_on_shelves_only() -> None:
    found = [
        f"{path.relative_to(PACKAGE)}, line {line}: imports {module}"
        for path in FILES
        for line, module in imports_of(path)
        if module.split(".")[0] in OPTIONAL and part_of(path) not in SHELVES | ENGINE_ROOM | ELSEWHERE
    ]
    assert not found
    found = [
        where
        for path in FILES
        for where, part, _ in ours(path)
        # `longshot convert` opens its module when it is called, and only then.
        if part in ENGINE_ROOM and part_of(path) not in SHELVES | {"cli"}
    ]
    assert not found


def test_metrics_know_numbers_only() -> None:
    """No model, no file, no network: numpy, what Python computes with, and the words of measuring."""
    ours_too = {f"longshot.{name}" for name in ("items", "journal", "errors", "timeline", "metrics")}
    found = [
        f"{path.relative_to(PACKAGE)}, line {line}: imports {module}"
        for path in sorted((PACKAGE / "metrics").glob("*.py"))
        for line, module in imports_of(path)
        if ".".join(module.split(".")[:2]) not in ours_too and module.split(".")[0] not in REASONING
    ]
    assert not found
    opening = {"open", "read_text", "write_text", "read_bytes", "write_bytes", "fromfile", "tofile", "load", "save"}
    found = [
        f"{path.relative_to(PACKAGE)}, line {node.lineno}: {ast.unparse(node.func)}()"
        for path in sorted((PACKAGE / "metrics").glob("*.py"))
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Call) and ast.unparse(node.func).split(".")[-1] in opening
    ]
    assert not found


def test_what_runs_elsewhere_is_no_part_of_this_process() -> None:
    assert not [where for path in FILES for where, part, _ in ours(path) if {part, part_of(path)} & ELSEWHERE]


def test_optional_packages_are_declared_where_they_are_imported() -> None:
    for shelf in registry.SHELVES:
        for name, choice in registry.choices(shelf).items():
            path = PACKAGE / shelf / f"{name}.py"
            imported = {module.split(".")[0] for _, module in imports_of(path)} if path.exists() else set()
            assert imported & OPTIONAL <= set(choice.needs), f"{shelf}/{name}: NEEDS is incomplete"


def test_nothing_prints_and_nothing_runs_text() -> None:
    forbidden = {"eval", "exec", "print", "breakpoint", "input"}
    found = [
        f"{path.relative_to(PACKAGE)}, line {node.lineno}: {node.func.id}()"
        for path in FILES
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in forbidden
    ]
    assert not found


def loaded_by(*arguments: str) -> set[str]:
    """The modules that are in memory after a command."""
    program = (
        "import sys\n"
        "from longshot.cli import run\n"
        f"code = run({list(arguments)!r})\n"
        "print(*sys.modules, sep='\\n', file=sys.stderr)\n"
        "sys.exit(code)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    return set(done.stderr.split())


@pytest.mark.parametrize("command", [["--help"], ["--version"], ["recap", "--help"], ["list"], ["list", "--no-json"]])
def test_light_commands_load_nothing_heavy(command: list[str]) -> None:
    loaded = loaded_by(*command)
    assert "longshot.cli" in loaded
    assert not loaded & HEAVY


def test_importing_longshot_costs_nothing() -> None:
    program = "import sys, longshot; print(*sys.modules, sep='\\n')"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    loaded = set(done.stdout.split())
    assert {name for name in loaded if name.startswith("longshot")} == {"longshot"}
    assert not loaded & (HEAVY | {"typer", "rich"})


@pytest.mark.parametrize("name", sorted(longshot.__all__))
def test_every_public_name_is_there(name: str) -> None:
    assert getattr(longshot, name) is not None


def test_no_module_shares_a_name_with_a_public_function() -> None:
    modules = {path.stem for path in PACKAGE.glob("*.py")} | {path.name for path in PACKAGE.iterdir() if path.is_dir()}
    assert not modules & set(longshot.__all__)


def test_every_module_can_be_imported_or_says_what_it_needs() -> None:
    for path in FILES:
        if part_of(path) in SHELVES | ENGINE_ROOM | ELSEWHERE or path.stem == "__main__":
            continue
        importlib.import_module(".".join(("longshot", *path.relative_to(PACKAGE).with_suffix("").parts)))
