"""Folders of weights: find one, read what it says of itself, and refuse what is not safe to load.

    checkpoint = find("Qwen/Qwen2-VL-2B-Instruct@main")     # a hub id, or a folder
    checkpoint.architecture                                 # "Qwen2VLForConditionalGeneration"
    checkpoint.check()                                      # ModelError for pickles, torn files, missing shards

Nothing here imports an engine: a folder is judged by its file names, its JSON and the headers of its weights.
"""

from __future__ import annotations

import functools
import hashlib
import json
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from longshot.errors import MissingPackage, ModelError

_PICKLED = (".bin", ".pt", ".pth", ".ckpt", ".pkl", ".pickle")
# What sits beside weights in a pickle's clothes and is never loaded.
_HARMLESS = re.compile(r"(training_args|optimizer|scheduler|rng_state.*|random_states.*)\.(bin|pt|pth|pkl)$")
# Pickles are not fetched from the hub, so nothing here shows whether there are some.
_BY_HAND = "; if the hub has pickled ones: hf download {id} --local-dir OLD, then longshot convert OLD NEW"
_HUB_ID = re.compile(r"[\w.-]+(/[\w.-]+)?$")


@dataclass(frozen=True)
class Checkpoint:
    """A folder of weights. name: as it was asked for, without a revision. config: its config.json, {} without one."""

    folder: Path
    name: str
    config: Mapping[str, Any] = field(default_factory=dict)

    @property
    def architecture(self) -> str:
        """The first of the config's `architectures`; "" when it names none."""
        named = self.config.get("architectures") or [""]
        return str(named[0])

    @cached_property
    def revision(self) -> str:
        """What distinguishes these weights: 12 hex digits over the JSON files and the headers and sizes of the weights.

        Tensors are not read: two finetunes of one size differ in their first and last megabyte too, which are.
        """
        digest = hashlib.blake2b(digest_size=6)
        for path in sorted([*self.folder.glob("*.json"), *self.weights]):
            digest.update(f"{path.name}:{path.stat().st_size}:".encode())
            with path.open("rb") as file:
                digest.update(file.read(1 << 20))
                file.seek(max(0, path.stat().st_size - (1 << 20)))
                digest.update(file.read(1 << 20))
        return digest.hexdigest()

    @cached_property
    def weights(self) -> tuple[Path, ...]:
        """The safetensors files at the top of the folder, sorted."""
        return tuple(sorted(self.folder.glob("*.safetensors")))

    def tensors(self) -> dict[str, tuple[str, tuple[int, ...]]]:
        """Every tensor with its type and shape, from the headers alone. Raises ModelError for a torn file."""
        found: dict[str, tuple[str, tuple[int, ...]]] = {}
        for path in self.weights:
            for name, (kind, shape) in _header(path, self.name).items():
                found[name] = (kind, shape)
        return found

    def check(self) -> None:
        """Refuse a folder whose weights cannot or must not be read. Raises ModelError."""
        self._check_index()
        if self.weights:
            self.tensors()
            return
        _refuse_pickles(self.folder, self.name)
        hint = "" if Path(self.name).expanduser().is_dir() else _BY_HAND.format(id=self.name)
        raise ModelError(self.name, f"there are no weights in {self.folder}: *.safetensors were looked for{hint}")

    def check_code(self, *, allowed: bool, why: str) -> None:
        """Refuse Python files beside the weights unless the user allows them. `why`: what they would be needed for."""
        asked = sorted({str(target).split("--")[-1].split(".")[0] for target in _targets(self.config.get("auto_map"))})
        if allowed:
            return
        files = some([f"{name}.py" for name in asked]) or "none named"
        raise ModelError(
            self.name,
            f"{why} needs the Python files that come with it ({files}, revision {self.revision}); "
            "read them, then allow them: --remote-code",
        )

    def read_json(self, name: str) -> dict[str, Any]:
        """A JSON file of the folder; {} when there is none. Raises ModelError when it cannot be read."""
        path = self.folder / name
        return _json(path, self.name) if path.exists() else {}

    def modules(self) -> list[dict[str, Any]]:
        """The rows of modules.json, as sentence-transformers write it. Raises ModelError when it is absent or unlike
        one.
        """
        try:
            rows = json.loads((self.folder / "modules.json").read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise ModelError(self.name, f"has no modules.json that can be read ({error})") from error
        if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
            raise ModelError(self.name, "its modules.json is no list of modules")
        return rows

    def _check_index(self) -> None:
        index = self.read_json("model.safetensors.index.json")
        wanted = set(map(str, index.get("weight_map", {}).values()))
        absent = sorted(wanted - {path.name for path in self.weights})
        if absent:
            raise ModelError(
                self.name,
                f"{len(absent)} of {len(wanted)} weight files are missing ({some(absent)}); fetch the others too",
            )


@functools.cache
def find(name: str, *, fetch: bool = True) -> Checkpoint:
    """The checkpoint behind a folder or a hub id, with "@revision" behind the id if need be.

    fetch: whether an id may be fetched from the hub; without it only what is already in the hub's cache counts. Raises
    ModelError for what is neither, and MissingPackage when an id is given and huggingface_hub is not installed.
    """
    path = Path(name).expanduser()
    if path.is_dir():
        return _read(path, name)
    if path.exists():
        raise ModelError(name, "is a file; a model is a folder with a config.json and *.safetensors, or a hub id")
    id, _, revision = name.partition("@")
    if re.match(r"[\w.-]+:\d+(/|$)", name):
        raise ModelError(name, f"is no folder; the address of a server begins with http:// or https://: http://{name}")
    if name.startswith((".", "/", "~")) or not _HUB_ID.match(id):
        raise ModelError(name, "there is no such folder, and no hub id looks like that (owner/name)")
    return _read(_fetched(id, revision, fetch=fetch), id)


def _read(folder: Path, name: str) -> Checkpoint:
    config = folder / "config.json"
    marks = ("modules.json", "open_clip_config.json", "model_index.json", "config_sentence_transformers.json")
    if not config.exists() and not any((folder / mark).exists() for mark in marks):
        _refuse_pickles(folder, name)
        held = sorted(entry.name for entry in folder.iterdir())
        hint = "" if Path(name).expanduser().is_dir() else _BY_HAND.format(id=name)
        raise ModelError(name, f"is no checkpoint: it has no config.json (it holds {some(held) or 'nothing'}){hint}")
    return Checkpoint(folder, name, _json(config, name) if config.exists() else {})


def _fetched(id: str, revision: str, *, fetch: bool) -> Path:
    try:
        from huggingface_hub import snapshot_download
        from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError
    except ImportError as error:
        raise MissingPackage("huggingface_hub", "models") from error
    patterns = ["*.json", "*.safetensors", "*.model", "*.txt", "*.jinja", "*.tiktoken"]
    offline = not fetch or os.environ.get("HF_HUB_OFFLINE", "") in ("1", "ON", "YES", "TRUE")
    try:
        return Path(snapshot_download(id, revision=revision or None, allow_patterns=patterns, local_files_only=offline))
    except LocalEntryNotFoundError as error:
        where = "and fetching is off" if offline else "and the hub cannot be reached"
        raise ModelError(id, f"there is no folder of that name, it is not in the hub's cache, {where}") from error
    except HfHubHTTPError as error:
        raise ModelError(id, f"the hub did not give it: {str(error).splitlines()[0]}") from error
    except (OSError, ValueError) as error:
        raise ModelError(id, f"could not be fetched: {error}") from error


def _header(path: Path, name: str) -> dict[str, tuple[str, tuple[int, ...]]]:
    """The tensors of a safetensors file; its first 8 bytes are the length of a JSON header, little-endian."""
    size = path.stat().st_size
    with path.open("rb") as file:
        length = int.from_bytes(file.read(8), "little")
        if size < 8 or length > size - 8:
            raise ModelError(name, f"{path.name} is torn or no safetensors file ({size} bytes); fetch it again")
        try:
            rows = json.loads(file.read(length))
            tensors = {key: row for key, row in rows.items() if key != "__metadata__"}
            end = max((row["data_offsets"][1] for row in tensors.values()), default=0)
            found = {key: (str(row["dtype"]), tuple(row["shape"])) for key, row in tensors.items()}
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise ModelError(name, f"{path.name} is no safetensors file: its header cannot be read") from error
    if 8 + length + end > size:
        raise ModelError(name, f"{path.name} is torn: {size} bytes of {8 + length + end} are there; fetch it again")
    return found


def _refuse_pickles(folder: Path, name: str) -> None:
    pickled = [p.name for p in sorted(folder.iterdir()) if p.suffix in _PICKLED and not _HARMLESS.match(p.name)]
    if pickled:
        raise ModelError(
            name,
            f"its weights are pickled ({some(pickled)}), and opening those can run any program; "
            f"convert them once: longshot convert {folder} {folder}-safe",
        )


def _json(path: Path, name: str) -> dict[str, Any]:
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ModelError(name, f"{path.name} cannot be read as JSON ({error})") from error
    if not isinstance(value, dict):
        raise ModelError(name, f"{path.name} should hold a JSON object, and holds a {type(value).__name__}")
    return value


def _targets(auto_map: Any) -> list[Any]:
    if not isinstance(auto_map, dict):
        return []
    return [one for value in auto_map.values() for one in (value if isinstance(value, list) else [value]) if one]


def some(names: Sequence[str]) -> str:
    """The first three names, with dots when there are more."""
    return ", ".join(names[:3]) + (", …" if len(names) > 3 else "")
