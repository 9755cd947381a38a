"""What people set: options as KEY=VALUE, for loading a model and for what it generates; where things are kept."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import fields
from pathlib import Path
from typing import Any

from longshot.contracts import Loading
from longshot.errors import UsageError


def loading_of(sets: Sequence[str], device: str, remote_code: bool) -> tuple[Loading, dict[str, Any]]:
    """`--set` sorted into how a checkpoint is loaded and how it generates."""
    settings = settings_of(sets)
    how = {name: settings.pop(name) for name in ("dtype", "attention", "bits", "batch") if name in settings}
    for name in ("bits", "batch"):
        if not isinstance(how.get(name, 0), int):
            raise UsageError(f"--set {name}= is a whole number, got {how[name]}")
    return Loading(device=device or "auto", remote_code=remote_code, **how), settings


def settings_of(texts: Sequence[str]) -> dict[str, Any]:
    """{"temperature": 0.7} of ["temperature=0.7"]; the last of one name counts."""
    return dict(map(setting, texts))


def setting(text: str) -> tuple[str, Any]:
    """("temperature", 0.7) of "temperature=0.7": numbers and true/false as such, the rest as text."""
    name, equals, value = text.partition("=")
    if not equals or not re.fullmatch(r"[A-Za-z_][\w.]*", name):
        raise UsageError(f"--set takes KEY=VALUE such as max_new_tokens=200, got {text!r}")
    if value.casefold() in ("true", "false"):
        return name, value.casefold() == "true"
    for kind in (int, float):
        with suppress(ValueError):
            return name, kind(value)
    return name, value


def is_server(name: str) -> bool:
    """Whether a model's name is that of a server: an address, or endpoint:NAME."""
    return name.startswith(("http://", "https://", "endpoint:"))


def check_loading(name: str, loading: Loading) -> None:
    """Refuse to say how a server is to load its model: it does that by itself. Raises UsageError."""
    if not is_server(name):
        return
    said = [field.name for field in fields(loading) if getattr(loading, field.name) != field.default]
    if said:
        raise UsageError(f"{name} is a server, which loads its model by itself: leave out {', '.join(said)}")


def cache_folder() -> Path:
    """Where things are kept that no option gives a place: answers that were paid for, videos of the demos."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "longshot"
