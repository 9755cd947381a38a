"""Worker processes with a family that needs no packages: what passes, what breaks, and what is left behind."""

from __future__ import annotations

import ast
import dataclasses
import gc
import hashlib
import io
import json
import logging
import os
import signal
import subprocess
import sys
import time
import zipfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

from longshot import checkpoints, models, registry, workers
from longshot.checkpoints import Checkpoint
from longshot.contracts import ChatModel, Exchange, Finish, Frames, Loading, PictureEncoder, Prompt
from longshot.errors import Busy, ModelError, UsageError
from longshot.workers import Worker, WorkerChat, WorkerEncoder, WorkerError

FAKE = Path(__file__).parent / "fake_worker.py"
HERE = Path(sys.executable)
CHECKPOINT = Checkpoint(Path("."), "somebody/something", {"auto_map": {"AutoModel": "owner/code--modeling_it.It"}})


@pytest.fixture
def worker() -> Iterator[Worker]:
    with Worker("fake", python=HERE, family=FAKE, seconds=20.0) as one:
        one.load({"model": "x"})
        yield one


def gone(pid: int, *, within: float = 6.0) -> bool:
    """Whether a process ends in time (a zombie that nobody collects has ended too)."""
    until = time.monotonic() + within
    while time.monotonic() < until:
        try:
            state = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rsplit(")", 1)[1].split()[0]
        except (FileNotFoundError, ProcessLookupError):
            return True
        if state == "Z":
            return True
        time.sleep(0.05)
    return False


def test_arrays_of_every_kind_come_back_as_they_went(worker: Worker) -> None:
    rng = np.random.default_rng(0)
    sent = [
        rng.integers(0, 256, (2, 3, 5, 3), dtype=np.uint8),
        rng.normal(size=(4, 7)).astype(np.float32),
        rng.normal(size=3).astype(">f8"),
        np.float16([1.5, np.inf, np.nan]),
        np.array([True, False]),
        np.array(-7, dtype=np.int64),
        np.zeros((0, 1024), np.float32),
        rng.normal(size=(6, 4))[::2, ::-1],
    ]
    told, came = worker.ask("echo", {"text": "naïve 日本 \n\0", "list": [1, None, 2.5]}, sent)
    assert told["values"] == {"text": "naïve 日本 \n\0", "list": [1, None, 2.5]}
    assert told["shapes"] == [list(array.shape) for array in sent]
    for one, other in zip(sent, came, strict=True):
        assert (one.dtype, one.shape) == (other.dtype, other.shape)
        np.testing.assert_array_equal(one, other)
    assert came[0].flags.writeable
    _, (turned,) = worker.ask("echo", {"turn": True}, sent[:1])
    np.testing.assert_array_equal(turned, sent[0].T)


def test_an_array_larger_than_any_pipe_passes(worker: Worker) -> None:
    large = np.random.default_rng(1).integers(0, 256, (64, 480, 640, 3), dtype=np.uint8)
    _, (came,) = worker.ask("echo", {}, [large])
    assert hashlib.sha256(came).digest() == hashlib.sha256(large).digest()


def test_objects_do_not_pass_either_way(worker: Worker) -> None:
    with pytest.raises(UsageError, match="array of object cannot be sent"):
        worker.ask("echo", {}, [np.array([{}], dtype=object)])
    with pytest.raises(ModelError, match="an array of object cannot pass"):
        worker.ask("objects", {})
    assert worker.ask("echo", {"a": 1})[0]["values"] == {"a": 1}


def test_an_error_comes_back_as_one_line_and_the_worker_lives_on(worker: Worker) -> None:
    pid = worker.pid
    with pytest.raises(ModelError, match=r"^fake: KeyError: 'two\\nlines'$"):
        worker.ask("fail", {})
    with pytest.raises(ModelError, match="__init__ cannot be asked"):
        worker.ask("__init__", {})
    assert worker.ask("pid", {})[0]["pid"] == worker.pid == pid
    with pytest.raises(ModelError, match="RuntimeError: no such weights"):
        worker.load({"model": "broken"})


def test_prints_go_to_the_log(worker: Worker, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "longshot.workers")
    worker.ask("noise", {})
    worker.close()
    assert all(f"fake: a print of {whose}" in caplog.text for whose in ("Python", "C", "a child"))


@pytest.mark.parametrize(
    ("number", "said"), [(signal.SIGKILL, "was killed by SIGKILL"), (signal.SIGSEGV, "by SIGSEGV"), (0, "ended with 3")]
)
def test_a_death_is_told_with_its_signal_and_last_line(worker: Worker, number: int, said: str) -> None:
    pid = worker.pid
    with pytest.raises(WorkerError, match=f"{said}; its last line: about to fall over"):
        worker.ask("die", {"signal": int(number)})
    # It starts anew, with the same model.
    assert worker.ask("pid", {})[0]["pid"] not in (0, pid)


def test_a_worker_that_only_dies_is_given_up(worker: Worker) -> None:
    for _ in range(3):
        with pytest.raises(WorkerError):
            worker.ask("die", {"signal": 0})
    with pytest.raises(ModelError, match="died 3 times in a row"):
        worker.ask("echo", {})


def test_a_hang_ends_with_its_time(worker: Worker) -> None:
    pid = worker.pid
    worker.seconds = 0.5
    began = time.monotonic()
    with pytest.raises(WorkerError, match=r"no answer in 0.5 s and was ended; its last line: thinking"):
        worker.ask("hang", {})
    assert time.monotonic() - began < 5
    assert gone(pid)
    worker.seconds = 20.0
    assert worker.ask("echo", {})


def test_nonsense_in_the_pipe_is_told(worker: Worker) -> None:
    # The worker's own copy of the pipe: the first file that is a pipe and neither stdin, stdout nor stderr.
    fds = sorted(int(fd) for fd in os.listdir(f"/proc/{worker.pid}/fd"))
    ours = os.readlink(f"/proc/self/fd/{worker._process.stdout.fileno()}")  # type: ignore[union-attr]
    (fd,) = [fd for fd in fds if os.readlink(f"/proc/{worker.pid}/fd/{fd}") == ours]
    with pytest.raises(WorkerError, match="what is no message"):
        worker.ask("nonsense", {"fd": fd})


def test_it_ends_with_its_object() -> None:
    one = Worker("fake", python=HERE, family=FAKE)
    one.load({})
    pid = one.pid
    del one
    gc.collect()
    assert gone(pid)


@pytest.mark.parametrize("what", ["echo", "hang"])
def test_it_ends_with_a_parent_that_is_killed(what: str, tmp_path: Path) -> None:
    program = (
        "import sys, threading\n"
        "from pathlib import Path\n"
        "from longshot.workers import Worker\n"
        f"one = Worker('fake', python=Path(sys.executable), family=Path({str(FAKE)!r}))\n"
        "one.load({})\n"
        "Path(sys.argv[1]).write_text(str(one.pid))\n"
        f"one.ask({what!r}, {{}})\n"
        "threading.Event().wait(60)\n"
    )
    note = tmp_path / "pid"
    with subprocess.Popen([sys.executable, "-c", program, str(note)], stderr=subprocess.DEVNULL) as parent:
        until = time.monotonic() + 20
        while not (note.exists() and note.read_text()) and time.monotonic() < until:
            time.sleep(0.05)
        pid = int(note.read_text())
        time.sleep(0.3)
        parent.kill()
    assert gone(pid)


def test_another_protocol_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(workers, "PROTOCOL", 2)
    with Worker("fake", python=HERE, family=FAKE) as one, pytest.raises(ModelError, match="speaks protocol 1"):
        one.load({})
    with pytest.raises(ModelError, match="cannot be started"):
        Worker("fake", python=tmp_path / "python", family=FAKE).load({})


def test_a_worker_as_an_encoder(worker: Worker) -> None:
    encoder = WorkerEncoder(worker, {"model": "x"}, CHECKPOINT, batch=2, settings={"instruction": "none"})
    assert isinstance(encoder, PictureEncoder)
    assert (encoder.dimension, encoder.height) == (4, 64)
    assert encoder.source.settings == {"dtype": "float32", "pooling": "mean", "instruction": "none"}
    texts = ["a", "bbb", "cc"]
    rows = np.array([[len(text), 1, 0, 0] for text in texts], dtype=np.float64)
    np.testing.assert_allclose(encoder.encode_text(texts), rows / np.linalg.norm(rows, axis=1)[:, None], atol=1e-6)
    frames = np.random.default_rng(2).integers(0, 256, (3, 8, 10, 3), dtype=np.uint8)
    rows = np.array([[*frame.mean(axis=(0, 1)), 1] for frame in frames])
    mean = (rows / np.linalg.norm(rows, axis=1)[:, None]).mean(axis=0)
    clips = [Frames(frames, np.arange(3.0)), Frames(frames[:1], np.zeros(1))]
    made = encoder.encode_frames(clips)
    np.testing.assert_allclose(made[0], mean / np.linalg.norm(mean), atol=1e-6)
    np.testing.assert_allclose(made[1], rows[0] / np.linalg.norm(rows[0]), atol=1e-6)
    assert encoder.encode_text([]).shape == encoder.encode_frames([]).shape == (0, 4)
    with pytest.raises(UsageError, match="without frames"):
        encoder.encode_frames([clips[0][:0]])
    encoder.dimension = 5
    with pytest.raises(ModelError, match=r"\(1, 5\) was expected, and \(1, 4\) came"):
        encoder.encode_text(["a"])


def test_a_worker_as_a_chat_model(worker: Worker) -> None:
    chat = WorkerChat(worker, {"model": "x"}, CHECKPOINT, settings={"max_new_tokens": 5})
    assert isinstance(chat, ChatModel)
    assert (chat.batch, chat.slots, chat.context, chat.count_tokens("one two")) == (1, 1, 1000, 2)
    clip = Frames(np.zeros((2, 4, 4, 3), np.uint8), np.array([0.5, 1.5]))
    asked = [
        Prompt("what?", frames=clip, system="be brief", history=(Exchange("a", "b"),)),
        Prompt("fail"),
        Prompt("die"),
        Prompt("long"),
    ]
    full, failed, died, cut = chat.generate(asked)
    assert full.text == "be brief|[['a', 'b']]|what?|(2, 4, 4, 3) at [0.5, 1.5]"
    assert (full.finish, full.tokens_in, full.tokens_out) == (Finish.STOP, 5, 2)
    assert (failed.finish, failed.reason) == (Finish.FAILED, "ValueError: cannot say")
    assert died.finish is Finish.FAILED
    assert "ended with 1" in died.reason
    assert cut.finish is Finish.LENGTH
    assert "".join(chat.stream(Prompt("what?"))) == chat.generate([Prompt("what?")])[0].text
    with pytest.raises(ModelError, match="cannot say"):
        list(chat.stream(Prompt("fail")))


def test_remote_code_needs_leave_in_a_worker_too(tmp_path: Path) -> None:
    save_file({"w": np.zeros(1, np.float32)}, tmp_path / "model.safetensors")
    checkpoint = dataclasses.replace(CHECKPOINT, folder=tmp_path)
    with pytest.raises(ModelError, match=r"needs the Python files that come with it \(modeling_it.py, revision"):
        workers.options_of(checkpoint, Loading())
    options = workers.options_of(checkpoint, Loading(remote_code=True, dtype="float16"), revision="v1", more=3)
    assert options == {
        "model": "somebody/something",
        "revision": "v1",
        "device": "auto",
        "dtype": "float16",
        "more": 3,
    }
    with pytest.raises(UsageError, match="quantised"):
        workers.options_of(checkpoint, Loading(remote_code=True, bits=4))


# Environments


@pytest.fixture
def locks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of locks with one, for a package in a folder of wheels; workers live beside it."""
    folder = tmp_path / "locks"
    folder.mkdir()
    (folder / "tiny.txt").write_text("# python 3.9 3.99\ntinything==1.0\n", encoding="utf-8")
    monkeypatch.setattr(workers, "ENVIRONMENTS", folder)
    monkeypatch.setenv("LONGSHOT_WORKERS", str(tmp_path / "workers"))
    return folder


def wheel(folder: Path) -> None:
    """tinything 1.0, which holds one number."""
    folder.mkdir()
    info = "tinything-1.0.dist-info"
    with zipfile.ZipFile(folder / "tinything-1.0-py3-none-any.whl", "w") as file:
        file.writestr("tinything.py", "NUMBER = 41\n")
        file.writestr(f"{info}/METADATA", "Metadata-Version: 2.1\nName: tinything\nVersion: 1.0\n")
        file.writestr(
            f"{info}/WHEEL", "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        )
        file.writestr(f"{info}/RECORD", f"tinything.py,,\n{info}/METADATA,,\n{info}/WHEEL,,\n{info}/RECORD,,\n")


def test_every_lock_pins_and_has_its_family() -> None:
    assert workers.names()
    for name in workers.names():
        first, *lines = (workers.ENVIRONMENTS / f"{name}.txt").read_text(encoding="utf-8").splitlines()
        assert first.startswith("# python 3.")
        pins = [line for line in lines if line and not line.startswith("#")]
        assert all(line.split(";")[0].count("==") == 1 for line in pins)
        assert any(line.startswith("numpy==") for line in pins)
        assert (workers.ENVIRONMENTS / f"{name}.py").exists()


def test_what_runs_in_a_worker_is_python_3_9() -> None:
    for path in workers.ENVIRONMENTS.glob("*.py"):
        tree = ast.parse(path.read_text(encoding="utf-8"), feature_version=(3, 9))
        assert any(isinstance(node, ast.ImportFrom) and node.module == "__future__" for node in tree.body)


def test_what_is_not_installed_says_how(locks: Path) -> None:
    assert workers.names() == ("tiny",)
    assert not workers.installed("tiny")
    assert not workers.remove("tiny")
    with pytest.raises(UsageError, match="longshot worker setup tiny"):
        Worker("tiny")
    with pytest.raises(UsageError, match="no worker called 'tiy': there are tiny"):
        workers.setup("tiy")


def test_a_python_that_does_not_fit_is_named(locks: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (locks / "tiny.txt").write_text("# python 3.1 3.2\ntinything==1.0\n", encoding="utf-8")
    with pytest.raises(UsageError, match=r"needs a Python from 3\.1 to 3\.2"):
        workers.setup("tiny")
    assert not list(workers.folder_of("tiny").parent.glob(".tiny*"))


def test_only_one_sets_up(locks: Path) -> None:
    with workers._alone("tiny", workers.folder_of("tiny").parent), pytest.raises(Busy):
        workers.setup("tiny")


@pytest.mark.slow
def test_an_environment_from_a_lock_whole_or_not_at_all(
    locks: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path / "wheels"))
    (tmp_path / "wheels-later").mkdir()
    with pytest.raises(ModelError, match=r"cannot be installed: ERROR: No matching distribution found for tinything"):
        workers.setup("tiny")
    place = workers.folder_of("tiny")
    assert not place.exists()
    assert not list(place.parent.glob(".tiny*"))
    # What a killed setup leaves: a folder beside the place.
    (place.parent / ".tiny.killed").mkdir()
    wheel(tmp_path / "wheels")
    heard: list[str] = []
    assert workers.setup("tiny", progress=heard.append) == place
    assert workers.installed("tiny")
    assert any("tinything" in line for line in heard)
    assert [path.name for path in sorted(place.parent.iterdir())] == ["tiny", "tiny.lock"]
    number = subprocess.run(
        [place / "bin" / "python", "-I", "-c", "import tinything; print(tinything.NUMBER)"],
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    assert number == "41\n"
    assert workers.setup("tiny", progress=heard.append) == place
    # Another lock is another environment.
    (locks / "tiny.txt").write_text("# python 3.9 3.99\n# changed\ntinything==1.0\n", encoding="utf-8")
    assert not workers.installed("tiny")
    workers.setup("tiny")
    assert workers.installed("tiny")
    assert workers.remove("tiny")
    assert not place.exists()


def test_messages_are_as_described() -> None:
    """The layout in the docstring of serve.py, byte by byte."""
    pipe = io.BytesIO()
    workers._write(pipe, {"ask": "echo"}, [np.array([[1, 2]], dtype="<i2")])
    length = int.from_bytes(pipe.getvalue()[:8], "big")
    header = json.loads(pipe.getvalue()[8 : 8 + length])
    assert header == {"ask": "echo", "arrays": [["<i2", [1, 2]]]}
    assert pipe.getvalue()[8 + length :] == b"\x01\x00\x02\x00"


# Families


@pytest.mark.parametrize(
    ("architecture", "engine", "told"),
    [
        ("JinaCLIPModel", "jina_clip", {"task": "retrieval.query"}),
        (
            "NVMMEmbedModel",
            "mm_embed",
            {"instruction": "Find me an everyday image that matches the given caption."},
        ),
    ],
)
def test_a_family_asks_for_leave_then_for_its_environment_then_runs(
    architecture: str, engine: str, told: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LONGSHOT_WORKERS", str(tmp_path / "workers"))
    folder = tmp_path / "model"
    folder.mkdir()
    config = {"architectures": [architecture], "auto_map": {"AutoModel": "owner/code--modeling_it.It"}}
    (folder / "config.json").write_text(json.dumps(config), encoding="utf-8")
    (folder / "pytorch_model.bin").write_bytes(b"pickle")
    with pytest.raises(ModelError, match=r"modeling_it\.py, revision .*--remote-code"):
        models.open_encoder(str(folder))
    leave = Loading(remote_code=True)
    with pytest.raises(ModelError, match="its weights are pickled"):
        models.open_encoder(str(folder), loading=leave)
    save_file({"w": np.zeros(1, np.float32)}, folder / "model.safetensors")
    checkpoints.find.cache_clear()
    with pytest.raises(UsageError, match=f"longshot worker setup {engine}"):
        models.open_encoder(str(folder), loading=leave)
    module = registry.module("encoders", engine)
    monkeypatch.setattr(module, "Worker", lambda name: Worker(name, python=HERE, family=FAKE))
    encoder = models.open_encoder(str(folder), loading=leave)
    with encoder.worker as worker:
        options = worker.load(worker._loaded)["options"]
        assert options == {"model": str(folder), "revision": "", "device": "auto", "dtype": "auto", **told}
        assert encoder.source.settings.items() >= told.items()
        assert encoder.encode_text(["a", "b"]).shape == (2, 4)
