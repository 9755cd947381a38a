from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import longshot


def test_every_public_name_loads_and_is_typed_for_editors():
    for name in longshot.__all__:
        assert getattr(longshot, name) is not None
    tree = ast.parse(Path(longshot.__file__).read_text())
    typed = {alias.asname for node in ast.walk(tree) if isinstance(node, ast.ImportFrom) for alias in node.names}
    assert typed - {None} == set(longshot.__all__) - {"__version__"}


def test_an_unknown_name_is_an_attribute_error():
    assert not hasattr(longshot, "shorten")


def test_importing_costs_nothing():
    code = "import longshot, sys; print(sorted({'numpy', 'av', 'torch', 'rich', 'typer'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout == "[]\n"
