"""The other end of `longshot.workers`: runs inside an environment of its own, and never imports longshot.

Started as `python -I serve.py FAMILY.py`. A message is 8 bytes with the length of a JSON header (big-endian), the
header, then the arrays that it lists ("arrays": [[dtype, shape], ...]) as raw bytes, one behind the other. Needs
Python 3.9 and numpy; what else is needed is the family's own.
"""

from __future__ import annotations

import importlib.util
import json
import os
import platform
import struct
import sys
import threading
import time
import traceback
from pathlib import Path
from queue import SimpleQueue
from typing import Any, BinaryIO

import numpy as np

PROTOCOL = 1
# Kinds of numpy arrays that pass: booleans, whole numbers, floats. Objects would need pickle.
KINDS = "biuf"


def main() -> None:
    """Say hello, then answer until the other end closes."""
    heard = os.fdopen(os.dup(0), "rb")
    said = os.fdopen(os.dup(1), "wb")
    # A print of some library, from Python or from C, must not land between two messages.
    os.dup2(2, 1)
    sys.stdout = sys.stderr
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    threading.Thread(target=_end_with, args=(os.getppid(),), daemon=True).start()
    questions: SimpleQueue[tuple[dict[str, Any], list[Any]]] = SimpleQueue()
    threading.Thread(target=_listen, args=(heard, questions), daemon=True).start()
    write(said, {"protocol": PROTOCOL, "python": platform.python_version(), "numpy": np.__version__}, [])
    family: Any = None
    model: Any = None
    while True:
        header, arrays = questions.get()
        try:
            values = header["values"]
            if header["ask"] == "load":
                family = family or _family(Path(sys.argv[1]))
                model = family.load(values)
                told, made = dict(model.about), []
            elif model is None or header["ask"] not in family.ASKS:
                raise ValueError(f"{header['ask']} cannot be asked")
            else:
                told, made = getattr(model, header["ask"])(values, arrays)
            write(said, {"values": told}, made)
        except Exception as error:  # whatever a family's code raises goes to the other end, which must hear something
            traceback.print_exc()
            line = " ".join(str(error).split()) or "(no message)"
            write(said, {"error": {"kind": type(error).__name__, "message": line}}, [])


def write(pipe: BinaryIO, header: dict[str, Any], arrays: list[Any]) -> None:
    """One message. Raises ValueError for an array that cannot pass, before anything is written."""
    plain = [np.ascontiguousarray(array) for array in arrays]
    for array in plain:
        if array.dtype.kind not in KINDS:
            raise ValueError(f"an array of {array.dtype} cannot pass")
    # ascontiguousarray makes a row of a single number; the shape that came is the one that counts.
    shapes = [[array.dtype.str, list(np.shape(came))] for array, came in zip(plain, arrays)]  # noqa: B905, for 3.9
    text = json.dumps({**header, "arrays": shapes}).encode()
    pipe.write(struct.pack(">Q", len(text)) + text)
    for array in plain:
        pipe.write(array.reshape(-1).view(np.uint8).data)
    pipe.flush()


def read(pipe: BinaryIO) -> tuple[dict[str, Any], list[Any]]:
    """One message. Raises EOFError where the pipe ends."""
    (length,) = struct.unpack(">Q", _exactly(pipe, 8))
    header = json.loads(bytes(_exactly(pipe, length)))
    arrays = []
    for kind, shape in header["arrays"]:
        dtype = np.dtype(kind)
        count = int(np.prod(shape, dtype=np.int64))
        arrays.append(np.frombuffer(_exactly(pipe, count * dtype.itemsize), dtype=dtype).reshape(shape))
    return header, arrays


def _exactly(pipe: BinaryIO, size: int) -> bytearray:
    held = bytearray(size)
    view = memoryview(held)
    filled = 0
    while filled < size:
        came = pipe.readinto(view[filled:])  # type: ignore[attr-defined]
        if not came:
            raise EOFError("the pipe ended")
        filled += came
    return held


def _listen(pipe: BinaryIO, questions: SimpleQueue[tuple[dict[str, Any], list[Any]]]) -> None:
    """Questions into a queue; ends the process with the pipe, also in the middle of an answer."""
    try:
        while True:
            questions.put(read(pipe))
    except EOFError:
        os._exit(0)


def _end_with(parent: int) -> None:
    """Ends the process when its parent is gone, even where somebody else still holds the pipe open."""
    while os.getppid() == parent:
        time.sleep(1.0)
    os._exit(0)


def _family(path: Path) -> Any:
    # Behind everything installed, so that no name of ours hides a package.
    sys.path.append(str(path.parent))
    spec = importlib.util.spec_from_file_location(f"family_{path.stem}", path)
    if spec is None or spec.loader is None:
        raise ValueError(f"{path} is no Python file")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


if __name__ == "__main__":
    main()
