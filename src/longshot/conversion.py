"""Pickled weights become safetensors, once, without running anything that the pickle says.

    convert(Path("VideoCLIP-XL"), Path("VideoCLIP-XL-safe"))     # a folder, or one .bin, .pt, .pth or .ckpt file

Files are opened with PyTorch's restricted unpickler, which knows tensors and plain containers. One that needs more is
refused, and the class that it asks for named. What comes out:

    weights     their own names, without "module." or "_orig_mod." where every name begins with it. A weight that shares
                memory with another is written out twice. Optimizer states and all else that is no weight stay behind.
    files       JSON, vocabularies, templates and licences beside the weights; no Python files.
    config.json with the architecture for layouts that are published without one (see `_LAYOUTS`), and CLIP's tokenizer
                from OpenAI's list of merges where a layout needs it. It is written last: a folder with a config.json is
                complete.

Files appear whole or not at all, and a second call goes on where a killed one stopped. This module imports torch.
"""

from __future__ import annotations

import argparse
import gzip
import json
import os
import pickle
import pickletools
import re
import shutil
import struct
import warnings
import zipfile
import zlib
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from longshot.errors import LongshotError, ModelError, UsageError
from longshot.library import write_text

_PICKLED = (".bin", ".pt", ".pth", ".ckpt")
# Pickles that lie beside weights and are none.
_NO_WEIGHTS = re.compile(r"(training_args|optimizer|scheduler|rng_state.*|random_states.*)\.(bin|pt|pth)$")
_BESIDE = re.compile(
    r"(.*\.(json|model|jinja|tiktoken|safetensors)|(vocab|merges|special).*\.txt|(LICEN[SC]E|README).*)$"
)
_OLD_INDEX = re.compile(r".*\.(bin|pt|pth)\.index\.json$")
_SHARD = re.compile(r"-(\d{5})-of-(\d{5})\.\w+$")
# Where training scripts put the weights of a checkpoint that also holds other things.
_INSIDE = ("state_dict", "model_state_dict", "model", "module")
_WRAPPERS = ("module.", "_orig_mod.")
# Layouts by two weights that no other has together: those are published without a config.json, or with one that says
# CLIPModel. "*" stands for anything.
_LAYOUTS = {
    "VideoCLIP_XL": (r"text_model\.positional_embedding_res", r"vision_model\.vision_encoder\.temporal_positional_.*"),
    "LongCLIP": (r"positional_embedding_res", r"visual\.conv1\.weight"),
    "LanguageBindVideo": (r"vision_model\.encoder\..*layers\.0\.temporal_embedding", r"text_projection\.weight"),
    "InternVideo2_Stage2": (r"vision_encoder\.clip_projector\.cross_attn\.q\.weight", r"text_proj\.weight"),
}
_OPENAI_WORDS = {"VideoCLIP_XL": "text_model.token_embedding.weight", "LongCLIP": "token_embedding.weight"}
_MERGES = "bpe_simple_vocab_16e6.txt.gz"
# What broken bytes can make an unpickler raise.
_UNREADABLE = (
    *(pickle.UnpicklingError, EOFError, RuntimeError, ValueError, LookupError, TypeError, AttributeError),
    *(AssertionError, OverflowError, struct.error, OSError, zipfile.BadZipFile),
)
_GLOBAL = re.compile(r"GLOBAL ([\w.]+) (?:was not an allowed|whose module)")


def convert(old: Path, new: Path) -> list[str]:
    """Write the weights of `old`, a folder or a file, to the folder `new` as safetensors.

    Gives one line for each thing that was done. Raises UsageError for folders that cannot be meant, and ModelError for
    weights that cannot be read, or not without running what they say.
    """
    folder = old if old.is_dir() else old.parent
    groups = _pickles(old)
    _check_new(old, new)
    _check_room(old, new, groups)
    new.mkdir(parents=True, exist_ok=True)
    said: list[str] = []
    shapes: dict[str, tuple[int, ...]] = {}
    for place, paths in groups.items():
        found = _convert_group(old, paths, new / place, said)
        if place == Path("."):
            shapes = found
    for path in _beside(old, folder):
        if path != folder / "config.json":
            _replace(new / path.relative_to(folder), partial(shutil.copyfile, path))
            said.append(f"{path.relative_to(folder)}: copied")
    architecture = _layout(shapes)
    if architecture in _OPENAI_WORDS:
        said += _write_clip_words(old, new, shapes[_OPENAI_WORDS[architecture]][0])
    return [*said, _write_config(folder, new, architecture)]


def _pickles(old: Path) -> dict[Path, list[Path]]:
    """The pickled weights by the folder they lie in, below `old`; where there are safetensors too, those count."""
    if not old.exists():
        raise UsageError(f"{old}: there is no such file or folder")
    if old.is_file():
        if old.suffix == ".safetensors":
            raise UsageError(f"{old}: is a safetensors file already; nothing needs to be converted")
        return {Path("."): [old]}
    held = sorted(path for path in _files(old) if path.suffix in _PICKLED and not _NO_WEIGHTS.match(path.name))
    groups: dict[Path, list[Path]] = {}
    for path in held:
        if not any(path.parent.glob("*.safetensors")):
            groups.setdefault(path.parent.relative_to(old), []).append(path)
    if not groups:
        safe = any(path.suffix == ".safetensors" for path in _files(old))
        why = "it holds safetensors, which need none" if safe else f"no file in it ends in {', '.join(_PICKLED)}"
        raise UsageError(f"{old}: there are no weights to convert: {why}")
    for paths in groups.values():
        _check_shards(old, paths)
    return groups


def _files(folder: Path) -> Iterable[Path]:
    """The files below a folder; hidden ones, and those in hidden folders, are none of ours."""
    found = (path for path in folder.rglob("*") if path.is_file())
    return (path for path in found if not any(part.startswith(".") for part in path.relative_to(folder).parts))


def _check_shards(old: Path, paths: list[Path]) -> None:
    if len(paths) == 1 and not _SHARD.search(paths[0].name):
        return
    parts = [match.groups() if (match := _SHARD.search(path.name)) else ("", "") for path in paths]
    if ("", "") in parts:
        names = ", ".join(path.name for path in paths[:3])
        raise UsageError(f"{old}: holds {len(paths)} files of weights ({names}): name the one that is meant")
    wanted = {f"{number:05}" for number in range(1, int(parts[0][1]) + 1)}
    absent = sorted(wanted - {number for number, _ in parts})
    if absent or len({total for _, total in parts}) > 1:
        raise ModelError(old, f"{len(absent)} of {len(wanted)} files of weights are missing (number {absent[0]})")


def _check_new(old: Path, new: Path) -> None:
    here, there = (old if old.is_dir() else old.parent).resolve(), new.resolve()
    if here == there or (old.is_dir() and here in there.parents):
        raise UsageError(f"{new}: give a folder outside {here}, which stays as it is")
    if new.exists() and not new.is_dir():
        raise UsageError(f"{new}: is a file; give a new folder")


def _check_room(old: Path, new: Path, groups: Mapping[Path, list[Path]]) -> None:
    needed = sum(path.stat().st_size for paths in groups.values() for path in paths)
    made = sum(path.stat().st_size for path in new.rglob("*.safetensors")) if new.is_dir() else 0
    existing = next(path for path in (new, *new.resolve().parents) if path.exists())
    free = shutil.disk_usage(existing).free
    if needed - made > free:
        raise ModelError(old, f"needs {(needed - made) / 1e9:.1f} GB more in {new}, and {free / 1e9:.1f} GB are free")


def _convert_group(old: Path, paths: list[Path], new: Path, said: list[str]) -> dict[str, tuple[int, ...]]:
    """One set of weights: a file, or all its shards with an index. Gives the shape of every weight."""
    new.mkdir(parents=True, exist_ok=True)
    shapes: dict[str, tuple[int, ...]] = {}
    homes: dict[str, str] = {}
    size = 0
    for path in paths:
        shard = _SHARD.search(path.name)
        out = new / (f"model-{shard[1]}-of-{shard[2]}.safetensors" if shard else "model.safetensors")
        mark = f"{path.name} {path.stat().st_size}"
        held = _made(out, mark)
        if held is None:
            said.append(_convert_file(old, path, out, mark))
            held = _made(out, mark) or {}
        else:
            said.append(f"{path.name}: converted before")
        shapes |= held
        homes |= dict.fromkeys(held, out.name)
        size += out.stat().st_size
    if len(set(homes.values())) > 1:
        index = {"metadata": {"total_size": size}, "weight_map": homes}
        write_text(new / "model.safetensors.index.json", _as_json(index))
    return shapes


def _made(out: Path, mark: str) -> dict[str, tuple[int, ...]] | None:
    """The shapes in a file that an earlier call finished; None when there is none. Raises UsageError for another's."""
    if not out.exists():
        return None
    try:
        with safe_open(out, "pt") as file:
            source = (file.metadata() or {}).get("converted_from")
            held = {name: tuple(file.get_slice(name).get_shape()) for name in file.keys()}  # noqa: SIM118
    except SafetensorError as error:
        raise UsageError(f"{out}: is there already and cannot be read ({error}); give a new folder") from error
    if source != mark:
        raise UsageError(f"{out}: is there already and was not made from {mark.split()[0]}; give a new folder")
    return held


def _convert_file(old: Path, path: Path, out: Path, mark: str) -> str:
    tensors, left = _state(old, path, _opened(old, path))
    shared = _apart(tensors)
    _replace(out, lambda part: save_file(tensors, part, {"format": "pt", "converted_from": mark}))
    parts = [f"{path.name} -> {out.name}: {len(tensors)} weights, {out.stat().st_size / 1e9:.2f} GB"]
    if shared:
        parts.append(f"{shared} shared ones written out twice")
    if left:
        parts.append(f"left out: {', '.join(left[:5])}{', …' if len(left) > 5 else ''}")
    return "; ".join(parts)


def _opened(old: Path, path: Path) -> Any:
    """What the file holds, by the restricted unpickler. Raises ModelError."""
    try:
        if zipped := zipfile.is_zipfile(path):
            with zipfile.ZipFile(path) as archive:
                program = any(name.endswith("constants.pkl") for name in archive.namelist())
            if program:
                raise ModelError(old, f"{path.name} is a TorchScript program, not weights; it is not opened")
        # Arguments of a training script are a plain record, and often lie beside the weights.
        with warnings.catch_warnings(), torch.serialization.safe_globals([argparse.Namespace]):
            # Its hints are for those who wrote the file.
            warnings.simplefilter("ignore", UserWarning)
            return torch.load(path, map_location="cpu", weights_only=True, mmap=zipped)
    except _UNREADABLE as error:
        raise ModelError(old, _why(path, error)) from error


def _why(path: Path, error: BaseException) -> str:
    reason = str(error)
    if asked := _GLOBAL.findall(reason) or _asked(path):
        return (
            f"{path.name} needs {asked[0]} to be unpickled, and that could run any program; it is not opened. "
            "Where you trust it, save its state_dict() with torch and convert that"
        )
    first = reason.rpartition("WeightsUnpickler error:")[2].strip().partition("\n")[0] or type(error).__name__
    return f"{path.name} is torn, or holds no weights ({first[:120]}); fetch it again"


def _asked(path: Path) -> list[str]:
    """What else than tensors a pickle asks for, by name: its opcodes are read, and nothing is run."""
    found: list[str] = []
    strings: list[str] = []
    try:
        for code, value, _ in pickletools.genops(path.read_bytes()[: 1 << 20]):
            if code.name == "STACK_GLOBAL":
                found.append(".".join(strings[-2:]))
            elif code.name in ("GLOBAL", "INST"):
                found.append(str(value).replace(" ", "."))
            elif isinstance(value, str):
                strings.append(value)
    except (ValueError, IndexError, EOFError, struct.error):
        # No pickle, or one that was cut off: what it asked for before that counts.
        pass
    return [name for name in found if not name.startswith(("torch.", "collections.OrderedDict", "argparse.Namespace"))]


def _state(old: Path, path: Path, held: Any) -> tuple[dict[str, torch.Tensor], list[str]]:
    """The weights by name, and the names of what lay beside them. Raises ModelError when there are none."""
    if not isinstance(held, Mapping):
        raise ModelError(old, f"{path.name} holds a {type(held).__name__}, and weights by name were looked for")
    left: list[str] = []
    if not any(isinstance(value, torch.Tensor) for value in held.values()):
        for name in _INSIDE:
            inside = held.get(name)
            if isinstance(inside, Mapping) and any(isinstance(value, torch.Tensor) for value in inside.values()):
                left = [str(key) for key in held if key != name]
                held = inside
                break
        else:
            parts = ", ".join(map(str, list(held)[:5])) or "nothing"
            raise ModelError(
                old, f"{path.name} holds no weights: {parts}; they were looked for in {', '.join(_INSIDE)}"
            )
    tensors = {str(name): value.detach() for name, value in held.items() if isinstance(value, torch.Tensor)}
    left += [str(name) for name, value in held.items() if not isinstance(value, torch.Tensor)]
    for name, tensor in tensors.items():
        if tensor.layout != torch.strided or tensor.is_quantized or tensor.is_complex() or tensor.is_meta:
            kind = tensor.dtype if tensor.layout == torch.strided else tensor.layout
            raise ModelError(old, f"{path.name}: {name} is {kind}, which safetensors cannot hold")
    for wrapper in _WRAPPERS:
        if all(name.startswith(wrapper) for name in tensors):
            tensors = {name.removeprefix(wrapper): tensor for name, tensor in tensors.items()}
    return tensors, left


def _apart(tensors: dict[str, torch.Tensor]) -> int:
    """Give each weight memory of its own, in place; how many shared theirs."""
    seen: set[int] = set()
    shared = 0
    for name, tensor in tensors.items():
        alone = tensor.contiguous()
        memory = alone.untyped_storage()
        twice = memory.data_ptr() in seen and alone.numel() > 0
        if twice or memory.nbytes() != alone.nbytes:
            alone = alone.clone()
        shared += twice
        seen.add(memory.data_ptr())
        tensors[name] = alone
    return shared


def _beside(old: Path, folder: Path) -> list[Path]:
    """The files to copy: all of a folder; of a file's folder only where that is a checkpoint's."""
    if old.is_dir():
        found = list(_files(folder))
    else:
        found = [path for path in folder.iterdir() if path.is_file()] if (folder / "config.json").exists() else []
    return sorted(path for path in found if _BESIDE.match(path.name) and not _OLD_INDEX.match(path.name))


def _layout(shapes: Mapping[str, Any]) -> str:
    """The architecture whose weights these are, of those in `_LAYOUTS`; "" for others."""
    for architecture, patterns in _LAYOUTS.items():
        if all(any(re.fullmatch(pattern, name) for name in shapes) for pattern in patterns):
            return architecture
    return ""


def _write_config(folder: Path, new: Path, architecture: str) -> str:
    """config.json, from the old one and the layout of the weights."""
    path = folder / "config.json"
    config: dict[str, Any] = {}
    if path.exists():
        try:
            config = json.loads(path.read_text(encoding="utf-8"))
        except ValueError as error:
            raise ModelError(folder, f"config.json cannot be read as JSON ({error})") from error
    if not path.exists() and not architecture:
        return "config.json: there is none, and the layout is not known here; put one beside the weights to open them"
    if architecture:
        config = {**config, "architectures": [architecture]}
        write_text(new / "config.json", _as_json(config))
        return f"config.json: architecture {architecture}, told by the weights"
    _replace(new / "config.json", partial(shutil.copyfile, path))
    return "config.json: copied"


def _write_clip_words(old: Path, new: Path, words: int) -> list[str]:
    """CLIP's vocab.json and merges.txt from OpenAI's list of merges, for as many words as the weights have."""
    if (new / "vocab.json").exists() or (new / "tokenizer.json").exists():
        return []
    package = find_spec("open_clip")
    installed = [Path(package.origin).parent / _MERGES] if package and package.origin else []
    here = old.rglob(_MERGES) if old.is_dir() else old.parent.glob(_MERGES)
    path = next((path for path in (*here, *installed) if path.is_file()), None)
    if path is None:
        return [
            f"vocab.json, merges.txt: {_MERGES} is neither in the folder nor installed with open_clip; "
            "copy both files from openai/clip-vit-large-patch14"
        ]
    try:
        lines = gzip.decompress(path.read_bytes()).decode("utf-8").splitlines()[1:]
    except (OSError, EOFError, ValueError, zlib.error) as error:
        raise ModelError(old, f"{path.name} cannot be read ({error}); fetch it again") from error
    letters = [chr(code) for code in (*range(33, 127), *range(161, 173), *range(174, 324))]
    merges = lines[: max(0, words - 2 * len(letters) - 2)]
    marks = ["<|startoftext|>", "<|endoftext|>"]
    known = [*letters, *(f"{one}</w>" for one in letters), *("".join(line.split()) for line in merges), *marks]
    if len(known) != words:
        raise ModelError(old, f"{path.name} gives {len(known)} words, and the weights have {words}: another CLIP's?")
    write_text(new / "merges.txt", "\n".join(["#version: 0.2", *merges, ""]))
    write_text(new / "vocab.json", _as_json({word: number for number, word in enumerate(known)}))
    return [f"vocab.json, merges.txt: {words} words, from {path.name}"]


def _replace(path: Path, write: Callable[[Path], object]) -> None:
    """Put a file in its place once it is written whole. Raises LongshotError when the disk refuses."""
    part = path.with_name(f".{path.name}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write(part)
        with part.open("rb") as file:
            os.fsync(file.fileno())
        os.replace(part, path)
    except (OSError, SafetensorError) as error:
        part.unlink(missing_ok=True)
        raise LongshotError(f"{path}: cannot be written: {error}; choose another folder") from error


def _as_json(value: object) -> str:
    return json.dumps(value, ensure_ascii=False, indent=2) + "\n"
