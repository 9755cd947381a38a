"""Models whose published code needs other packages than ours: a process of their own, in an environment of their own.

    setup("jina_clip")                                      # longshot worker setup jina_clip
    with Worker("jina_clip") as worker:
        about = worker.load({"model": "jinaai/jina-clip-v2", ...})
        values, arrays = worker.ask("encode_text", {"texts": ["a man slicing tomatoes"]})

What passes between the two is JSON and raw numpy buffers, never a pickle; `environments/serve.py` is the other end and
describes a message. An environment is `environments/NAME.txt` (exact pins) installed into a folder of the user's data.
"""

from __future__ import annotations

import collections
import contextlib
import fcntl
import hashlib
import json
import logging
import os
import re
import shutil
import signal
import struct
import subprocess
import sys
import tempfile
import threading
import weakref
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Self

import numpy as np
from numpy.typing import NDArray

from longshot import pooling as policies
from longshot.checkpoints import Checkpoint
from longshot.contracts import Finish, Frames, Loading, Prompt, Reply
from longshot.errors import Busy, ModelError, UsageError
from longshot.pooling import unit
from longshot.timeline import Source

ENVIRONMENTS = Path(__file__).parent / "environments"
PROTOCOL = 1
LOADING_SECONDS = 1800.0
"""How long a model may take to load; weights may have to be fetched."""
ANSWER_SECONDS = 900.0
"""How long one answer may take."""
_MOST_HEADER = 1 << 26
_DEATHS = 3
_log = logging.getLogger(__name__)

Message = tuple[dict[str, Any], list[NDArray[Any]]]


class WorkerError(ModelError):
    """A worker that died, hung or spoke nonsense; it is started anew when it is asked again."""


# Environments


def names() -> tuple[str, ...]:
    """The environments that can be set up."""
    return tuple(sorted(path.stem for path in ENVIRONMENTS.glob("*.txt")))


def folder_of(name: str, *, folder: Path | None = None) -> Path:
    """Where an environment lies, there or not. folder: that of all environments, the user's data folder without it.

    Raises UsageError for an unknown name.
    """
    if name not in names():
        raise UsageError(f"no worker called {name!r}: there are {', '.join(names())}")
    return (folder or _home()) / name


def installed(name: str, *, folder: Path | None = None) -> bool:
    """Whether an environment is there, whole, and as its lock file says now."""
    mark = folder_of(name, folder=folder) / "installed.json"
    try:
        return bool(json.loads(mark.read_text(encoding="utf-8")).get("lock") == _digest(name))
    except (OSError, ValueError):
        return False


def setup(name: str, folder: Path | None = None, progress: Callable[[str], None] | None = None) -> Path:
    """Install an environment from its lock file, and say where it lies; at once when it is there already.

    It is built in a folder beside its place and renamed when it is whole: a kill half-way leaves nothing that would be
    taken for an environment, and the next call clears it away. progress: hears what is being done, line by line.
    Raises UsageError (no such worker, no Python that fits), Busy and ModelError (pip failed, and its last line).
    """
    place = folder_of(name, folder=folder)
    with _alone(name, place.parent):
        for leftover in place.parent.glob(f".{name}.*"):
            shutil.rmtree(leftover, ignore_errors=True)
        if installed(name, folder=folder):
            return place
        build = Path(tempfile.mkdtemp(prefix=f".{name}.", dir=place.parent))
        try:
            _install(name, build, progress or _log.info)
            if place.exists():
                place.rename(build.with_name(f"{build.name}.old"))
            build.rename(place)
        finally:
            for leftover in place.parent.glob(f".{name}.*"):
                shutil.rmtree(leftover, ignore_errors=True)
    return place


def remove(name: str, *, folder: Path | None = None) -> bool:
    """Delete an environment; whether there was one. Raises UsageError and Busy."""
    place = folder_of(name, folder=folder)
    if not place.exists():
        return False
    with _alone(name, place.parent):
        # Under another name first: half an environment must not look like one.
        gone = place.with_name(f".{name}.old")
        place.rename(gone)
        shutil.rmtree(gone)
    return True


def _home() -> Path:
    if given := os.environ.get("LONGSHOT_WORKERS"):
        return Path(given)
    return Path(os.environ.get("XDG_DATA_HOME") or Path.home() / ".local" / "share") / "longshot" / "workers"


def _lock(name: str) -> str:
    return (ENVIRONMENTS / f"{name}.txt").read_text(encoding="utf-8")


def _digest(name: str) -> str:
    return hashlib.sha256(_lock(name).encode()).hexdigest()


@contextlib.contextmanager
def _alone(name: str, root: Path) -> Iterator[None]:
    """Only one process builds or deletes an environment; the lock goes with the process."""
    root.mkdir(parents=True, exist_ok=True)
    with (root / f"{name}.lock").open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise Busy(f"{root / name}: another process is setting it up or removing it") from error
        yield


def _install(name: str, build: Path, progress: Callable[[str], None]) -> None:
    python = _python_for(name)
    progress(f"{name}: an environment with {python}")
    # Not copied from ours: a virtual environment's settings must not leak into another.
    env = {key: value for key, value in os.environ.items() if key not in ("PYTHONPATH", "PYTHONHOME", "VIRTUAL_ENV")}
    _run(name, [python, "-m", "venv", str(build)], env, progress)
    pip = [str(build / "bin" / "python"), "-m", "pip", "install", "--no-input", "--disable-pip-version-check"]
    # The lock is complete, and nothing is built: a source archive runs its own program when it is installed.
    lock = str(ENVIRONMENTS / f"{name}.txt")
    _run(name, [*pip, "--no-deps", "--only-binary", ":all:", "-r", lock], env, progress)
    mark = {"lock": _digest(name), "python": python}
    (build / "installed.json").write_text(json.dumps(mark), encoding="utf-8")


def _run(name: str, command: Sequence[str], env: Mapping[str, str], progress: Callable[[str], None]) -> None:
    last = collections.deque[str](maxlen=1)
    with subprocess.Popen(
        command, env=env, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as process:
        assert process.stdout is not None
        for line in process.stdout:
            if line.strip():
                progress(line.rstrip())
                if not line.startswith("WARNING"):
                    last.append(line.strip())
    if process.returncode:
        said = last[0] if last else f"{command[0]} ended with {process.returncode}"
        raise ModelError(name, f"its environment cannot be installed: {said}")


def _python_for(name: str) -> str:
    """A Python that the lock's first line allows ("# python 3.9 3.12"): this one, else one on the path."""
    found = re.match(r"# python (\d+)\.(\d+) (\d+)\.(\d+)", _lock(name))
    if found is None:
        raise UsageError(f"{name}.txt does not begin with the Pythons that it is for")
    first, last = (int(found[1]), int(found[2])), (int(found[3]), int(found[4]))
    if first <= sys.version_info[:2] <= last:
        return sys.executable
    for minor in range(last[1], first[1] - 1, -1):
        there = shutil.which(f"python{last[0]}.{minor}")
        # A name on the path may be a stand-in for a Python that is not installed.
        if there and not subprocess.run([there, "-c", ""], capture_output=True, check=False).returncode:
            return there
    span = f"{first[0]}.{first[1]} to {last[0]}.{last[1]}"
    raise UsageError(f"{name} needs a Python from {span}, and there is none on the path: install one, then repeat")


# Processes


class Worker:
    """A worker process, started when it is first asked, and again after it died.

    Calls from several threads wait for each other. It ends with `close`, or with this process however that ends.
    """

    def __init__(
        self, name: str, *, python: Path | None = None, family: Path | None = None, seconds: float = ANSWER_SECONDS
    ) -> None:
        """python, family: another interpreter and another family file than those of the environment `name`.

        seconds: how long one answer may take. Raises UsageError for an environment that is not installed.
        """
        if python is None:
            if not installed(name):
                raise UsageError(f"{name} needs an environment of its own, once: longshot worker setup {name}")
            python = folder_of(name) / "bin" / "python"
        self.name = name
        self.seconds = seconds
        self._command = [str(python), "-I", str(ENVIRONMENTS / "serve.py"), str(family or ENVIRONMENTS / f"{name}.py")]
        self._process: subprocess.Popen[bytes] | None = None
        self._words: collections.deque[str] = collections.deque(maxlen=1)
        self._loaded: dict[str, Any] | None = None
        self._deaths = 0
        self._mutex = threading.Lock()
        self._end: Callable[[], Any] = lambda: None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @property
    def pid(self) -> int:
        """Of the process; 0 when none runs."""
        return self._process.pid if self._process and self._process.poll() is None else 0

    def load(self, options: Mapping[str, Any]) -> dict[str, Any]:
        """Have the family's model loaded; what it says of itself. Raises ModelError."""
        with self._mutex:
            self._loaded = dict(options)
            return self._load()

    def ask(
        self, what: str, values: Mapping[str, Any], arrays: Sequence[NDArray[Any]] = ()
    ) -> tuple[dict[str, Any], list[NDArray[Any]]]:
        """One question and its answer. Raises WorkerError when the process dies, ModelError when it says no."""
        with self._mutex:
            if not self.pid:
                if self._deaths >= _DEATHS:
                    raise ModelError(self.name, f"its worker died {self._deaths} times in a row: {self._last()}")
                if self._loaded is not None:
                    self._load()
            told, made = self._exchange({"ask": what, "values": dict(values)}, arrays, self.seconds)
            self._deaths = 0
            return told, made

    def close(self) -> None:
        """End the process; it may be asked again, and starts again."""
        with self._mutex:
            self._end()
            self._process = None

    def _load(self) -> dict[str, Any]:
        told, _ = self._exchange({"ask": "load", "values": self._loaded}, (), LOADING_SECONDS)
        return told

    def _start(self) -> subprocess.Popen[bytes]:
        env = {key: value for key, value in os.environ.items() if key not in ("PYTHONPATH", "PYTHONHOME")}
        try:
            # A session of its own: Ctrl-C is for this process, which then ends the worker.
            process = subprocess.Popen(
                self._command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                env=env,
                start_new_session=True,
            )
        except OSError as error:
            raise ModelError(self.name, f"its worker cannot be started: {error}") from error
        self._words.clear()
        listener = threading.Thread(target=_pass_on, args=(process.stderr, self.name, self._words), daemon=True)
        listener.start()
        self._end = weakref.finalize(self, _finish, process, listener)
        self._process = process
        return process

    def _exchange(self, header: dict[str, Any], arrays: Sequence[NDArray[Any]], seconds: float) -> Message:
        """Write and read with a limit: a process that does not answer in time is killed, which ends the waiting."""
        fresh = not self.pid
        process = self._start() if fresh else self._process
        assert process is not None and process.stdin is not None and process.stdout is not None
        late = threading.Event()

        def give_up() -> None:
            late.set()
            process.kill()

        timer = threading.Timer(seconds, give_up)
        timer.daemon = True
        timer.start()
        try:
            if fresh:
                self._greet(_read(process.stdout))
            _write(process.stdin, header, arrays)
            answer, made = _read(process.stdout)
        except (EOFError, BrokenPipeError, ValueError, struct.error) as error:
            self._deaths += 1
            raise WorkerError(self.name, self._cause(process, late, seconds, error)) from error
        except BaseException:
            # An answer that nobody waits for would be taken for that to the next question.
            self._end()
            raise
        finally:
            timer.cancel()
        if "error" in answer:
            kind, message = answer["error"].get("kind", ""), answer["error"].get("message", "")
            raise ModelError(self.name, f"{kind}: {message}")
        return dict(answer["values"]), made

    def _greet(self, hello: Message) -> None:
        spoken = hello[0].get("protocol")
        if spoken != PROTOCOL:
            self._end()
            raise ModelError(
                self.name,
                f"its worker speaks protocol {spoken}, and this is {PROTOCOL}: longshot worker setup {self.name}",
            )
        _log.info("%s: worker on Python %s, numpy %s", self.name, hello[0].get("python"), hello[0].get("numpy"))

    def _cause(self, process: subprocess.Popen[bytes], late: threading.Event, seconds: float, error: Exception) -> str:
        """Why there is no answer, in one line."""
        nonsense = isinstance(error, ValueError | struct.error)
        self._end()
        if late.is_set():
            return f"its worker gave no answer in {seconds:g} s and was ended{self._last()}"
        if nonsense:
            return f"its worker wrote what is no message ({error}) and was ended{self._last()}"
        code = process.returncode
        known = {int(one): one.name for one in signal.Signals}
        how = f"was killed by {known.get(-code, f'signal {-code}')}" if code < 0 else f"ended with {code}"
        return f"its worker {how}{self._last()}"

    def _last(self) -> str:
        return f"; its last line: {self._words[0]}" if self._words else ""


def _finish(process: subprocess.Popen[bytes], listener: threading.Thread) -> None:
    """End a process: by closing its pipe, then by force."""
    if process.stdin is not None:
        with contextlib.suppress(BrokenPipeError):
            process.stdin.close()
    try:
        process.wait(timeout=3.0)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    listener.join(timeout=3.0)
    if process.stdout is not None:
        process.stdout.close()


def _pass_on(pipe: IO[bytes], name: str, words: collections.deque[str]) -> None:
    """What a worker writes to its stderr, into the log."""
    with pipe:
        for raw in pipe:
            if line := raw.decode(errors="replace").strip():
                words.append(line)
                _log.info("%s: %s", name, line)


def _write(pipe: IO[bytes], header: Mapping[str, Any], arrays: Sequence[NDArray[Any]]) -> None:
    for array in arrays:
        if array.dtype.kind not in "biuf":
            raise UsageError(f"an array of {array.dtype} cannot be sent to a worker")
    shapes = [[array.dtype.str, list(array.shape)] for array in arrays]
    text = json.dumps({**header, "arrays": shapes}).encode()
    pipe.write(struct.pack(">Q", len(text)) + text)
    for array in arrays:
        pipe.write(np.ascontiguousarray(array).reshape(-1).view(np.uint8).data)
    pipe.flush()


def _read(pipe: IO[bytes]) -> Message:
    """One message. Raises EOFError where the pipe ends, ValueError for what is no message."""
    (length,) = struct.unpack(">Q", _exactly(pipe, 8))
    if length > _MOST_HEADER:
        raise ValueError(f"a header of {length} bytes")
    header = json.loads(bytes(_exactly(pipe, length)))
    if not isinstance(header, dict):
        raise ValueError("a header that is no object")
    arrays = []
    for kind, shape in header.get("arrays", ()):
        dtype = np.dtype(kind)
        if dtype.kind not in "biuf":
            raise ValueError(f"an array of {dtype}")
        count = int(np.prod(shape, dtype=np.int64))
        arrays.append(np.frombuffer(_exactly(pipe, count * dtype.itemsize), dtype=dtype).reshape(shape))
    return header, arrays


def _exactly(pipe: IO[bytes], size: int) -> bytearray:
    held = bytearray(size)
    view = memoryview(held)
    filled = 0
    while filled < size:
        came = pipe.readinto(view[filled:])  # type: ignore[attr-defined]
        if not came:
            raise EOFError("the pipe ended")
        filled += came
    return held


# Models


def options_of(checkpoint: Checkpoint, loading: Loading, *, revision: str = "", **more: Any) -> dict[str, Any]:
    """What a family's `load` is told: the model, where it goes, and `more`.

    A model from the hub goes by its id, so that the Python files of its revision are found there too. Raises UsageError
    for quantised weights, ModelError for weights that must not be read (pickles, torn files) and when remote code is
    not allowed (the files and the revision are named).
    """
    checkpoint.check_code(allowed=loading.remote_code, why="it runs in a worker of its own, and there it")
    if loading.bits:
        raise UsageError(f"{checkpoint.name} runs in a worker, which loads no quantised weights: leave --bits away")
    checkpoint.check()
    local = Path(checkpoint.name).expanduser().is_dir()
    return {
        "model": str(checkpoint.folder.resolve()) if local else checkpoint.name,
        "revision": revision,
        "device": loading.device,
        "dtype": loading.dtype,
        **more,
    }


class WorkerEncoder:
    """A `PictureEncoder` whose vectors come from a worker that answers "encode_text" and "encode_pictures"."""

    # No frame knows of another, so any number will do; eight show most of a clip.
    frames = 8

    def __init__(
        self,
        worker: Worker,
        options: Mapping[str, Any],
        checkpoint: Checkpoint,
        *,
        pooling: str = "",
        batch: int = 0,
        settings: Mapping[str, Any] | None = None,
    ) -> None:
        """settings: what changes the vectors besides the pooling. Raises ModelError when it cannot be loaded."""
        self.pooling = policies.check(pooling or "mean")
        self.worker = worker
        about = worker.load(options)
        self.dimension = int(about["dimension"])
        self.height = int(about["height"])
        self._batch = batch or 16
        made = {"dtype": about.get("dtype", ""), "pooling": self.pooling, **(settings or {})}
        self.source = Source("embed", checkpoint.name, checkpoint.revision, made)

    def encode_text(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Unit rows (N, D)."""
        return self._rows(
            len(texts), lambda some: self.worker.ask("encode_text", {"texts": [str(texts[place]) for place in some]})
        )

    def encode_pictures(self, pixels: Sequence[NDArray[np.uint8]]) -> NDArray[np.float32]:
        """Unit rows (N, D)."""
        return self._rows(
            len(pixels), lambda some: self.worker.ask("encode_pictures", {}, [pixels[place] for place in some])
        )

    def encode_frames(self, clips: Sequence[Frames]) -> NDArray[np.float32]:
        """Unit rows (N, D), pooled from those of the frames. Raises UsageError for a clip without frames."""
        if any(not len(clip) for clip in clips):
            raise UsageError("a clip without frames has no vector")
        rows = self.encode_pictures([picture for clip in clips for picture in clip.pixels])
        ends = np.cumsum([len(clip) for clip in clips], dtype=np.int64)
        pooled = [policies.pool(part, self.pooling) for part in np.split(rows, ends)[:-1]]
        return np.stack(pooled) if pooled else np.zeros((0, self.dimension), np.float32)

    def _rows(self, count: int, ask: Callable[[range], Message]) -> NDArray[np.float32]:
        parts = []
        for first in range(0, count, self._batch):
            some = range(first, min(count, first + self._batch))
            _, arrays = ask(some)
            if len(arrays) != 1 or arrays[0].shape != (len(some), self.dimension):
                shapes = ", ".join(str(array.shape) for array in arrays)
                raise ModelError(self.worker.name, f"{(len(some), self.dimension)} was expected, and {shapes} came")
            parts.append(arrays[0].astype(np.float32))
        return unit(np.concatenate(parts)) if parts else np.zeros((0, self.dimension), np.float32)


class WorkerChat:
    """A `ChatModel` whose replies come from a worker that answers "generate" and "count_tokens"."""

    slots = 1

    def __init__(
        self,
        worker: Worker,
        options: Mapping[str, Any],
        checkpoint: Checkpoint,
        *,
        batch: int = 1,
        settings: Mapping[str, Any] | None = None,
    ) -> None:
        """settings: all that changes its replies. Raises ModelError when it cannot be loaded."""
        self.worker = worker
        about = worker.load(options)
        self.batch = max(1, batch)
        self.context = int(about.get("context", 0))
        made = {"dtype": about.get("dtype", ""), **(settings or {})}
        self.source = Source("", checkpoint.name, checkpoint.revision, made)

    def count_tokens(self, text: str) -> int:
        """Tokens of a text, by the worker's tokenizer."""
        told, _ = self.worker.ask("count_tokens", {"text": text})
        return int(told["tokens"])

    def generate(self, prompts: Sequence[Prompt]) -> list[Reply]:
        """One reply for each prompt; one at which the worker died has FAILED, with the reason."""
        return [self._reply(prompt) for prompt in prompts]

    def stream(self, prompt: Prompt) -> Iterator[str]:
        """The reply in one piece: a worker sends it when it is whole."""
        reply = self._reply(prompt)
        if reply.finish in (Finish.FAILED, Finish.REFUSED):
            raise ModelError(self.worker.name, reply.reason)
        yield reply.text

    def _reply(self, prompt: Prompt) -> Reply:
        frames: list[NDArray[Any]] = []
        if prompt.frames is not None:
            frames = [prompt.frames.pixels, prompt.frames.times]
        values = {"text": prompt.text, "system": prompt.system, "history": [list(one) for one in prompt.history]}
        try:
            told, _ = self.worker.ask("generate", values, frames)
        except WorkerError as error:
            return Reply("", Finish.FAILED, error.reason)
        except ModelError as error:
            if not self.worker.pid:
                raise
            return Reply("", Finish.FAILED, error.reason)
        return Reply(
            str(told["text"]).strip(),
            Finish.LENGTH if told.get("cut") else Finish.STOP,
            tokens_in=int(told.get("tokens_in", 0)),
            tokens_out=int(told.get("tokens_out", 0)),
        )
