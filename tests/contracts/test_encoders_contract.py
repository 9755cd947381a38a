"""What every encoder must keep, on tiny checkpoints. A builder in tests/tiny/<file of the shelf>.py joins by existing.

A builder is a function `name(folder: Path, ..., seed: int = 0) -> Path` with a default for all but the folder.
"""

from __future__ import annotations

import functools
import importlib.util
import inspect
import json
import logging
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from longshot import registry
from longshot.contracts import Encoder, Frames, Loading, PictureEncoder
from longshot.errors import ModelError, UsageError
from longshot.models import encoder_engine, open_encoder
from longshot.timeline import Source

NAMES = sorted(registry.choices("encoders"))
# Files of the shelf whose tiny checkpoints are written by a module of another name.
WRITTEN_BY = {"eol": "care", "longclip": "videoclip", "videoclip_xl": "videoclip"}
# They run their authors' code in workers; tests/test_workers.py has what can be said of them.
IN_WORKERS = {"jina_clip", "mm_embed"}
# No checkpoint is behind it; tests/test_fingerprint.py has what can be said of it.
WITHOUT_WEIGHTS = {"fingerprint"}
# Folders that another file of the shelf opens by itself: this one is asked for by name.
BY_NAME = {"minilm": "minilm:"}
ON_CPU = Loading(device="cpu")
TEXTS = (
    "A man slices tomatoes on a wooden board.",
    "a",
    "",
    " \n\t",
    "番茄 🍅 Größe naïve Ⅷ\u200b",
    "<|endoftext|></s> <image> [SEP]",
    "Smoke rolls over the ground, and the rocket rises. " * 40,
)


def builders() -> dict[str, Callable[[Path], Path]]:
    """Every builder of every file on the shelf, by "file:name"."""
    found = {}
    for file in NAMES:
        name = f"tests.tiny.{WRITTEN_BY.get(file, file)}"
        if importlib.util.find_spec(name) is None:  # told by a test below
            continue
        module = importlib.import_module(name)
        for name, value in vars(module).items():
            if inspect.isfunction(value) and value.__module__ == module.__name__ and is_builder(name, value):
                found[name.removeprefix("write_")] = value
    return found


def is_builder(name: str, value: Callable[..., object]) -> bool:
    takes = inspect.signature(value).parameters
    needed = [one for one, parameter in takes.items() if parameter.default is parameter.empty]
    return not name.startswith("_") and needed == ["folder"] and "seed" in takes


BUILDERS = builders()


@functools.cache
def opened(folder: Path) -> Encoder:
    return open_encoder(spelt(folder), loading=ON_CPU)


def spelt(folder: Path) -> str:
    """The name by which a folder is opened."""
    return BY_NAME.get(folder.name, "") + str(folder)


@pytest.fixture(scope="module")
def folder(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return BUILDERS[request.param](tmp_path_factory.mktemp("encoder") / request.param.replace("_", "-"))


each = pytest.mark.parametrize("folder", sorted(BUILDERS), indirect=True)


def clip(count: int, height: int, width: int, *, seed: int) -> Frames:
    pixels = np.random.default_rng(seed).integers(0, 256, (count, height, width, 3), dtype=np.uint8)
    pixels.flags.writeable = False
    return Frames(pixels, 1.5 + np.arange(count) / 2)


CLIPS = (
    clip(3, 40, 64, seed=1),
    clip(1, 64, 40, seed=2),
    clip(11, 32, 32, seed=3),
    clip(2, 90, 160, seed=4),
)


def assert_unit_rows(rows: np.ndarray, count: int, encoder: Encoder) -> None:
    assert rows.shape == (count, encoder.dimension)
    assert rows.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(rows, axis=1), 1, atol=1e-5)


def sees(encoder: Encoder) -> bool:
    """Whether it has vectors for frames; one for texts only has no height that it wants."""
    return encoder.height > 0


@pytest.mark.parametrize("name", NAMES)
def test_a_file_says_what_it_is_and_needs(name: str) -> None:
    choice = registry.choices("encoders")[name]
    assert choice.summary.endswith(".")
    assert choice.extra in ("models", "encoders", "offline") or name in WITHOUT_WEIGHTS
    for family in registry.families("encoders"):
        assert family.checked in ("published weights", "tiny weights", "not")
        assert family.licence and family.frames


def test_every_file_has_a_tiny_checkpoint() -> None:
    written = {value.__module__.removeprefix("tests.tiny.") for value in BUILDERS.values()}
    assert {WRITTEN_BY.get(name, name) for name in NAMES} - written == IN_WORKERS | WITHOUT_WEIGHTS


@each
def test_it_says_who_it_is(folder: Path) -> None:
    encoder = opened(folder)
    assert isinstance(encoder, Encoder)
    source = encoder.source
    assert isinstance(source, Source)
    assert source.model == str(folder)
    assert source.revision
    assert json.loads(json.dumps(dict(source.settings))) == dict(source.settings)
    assert encoder.dimension > 0
    assert encoder.frames >= 1


@each
def test_texts_of_any_kind_give_unit_rows_in_order(folder: Path) -> None:
    encoder = opened(folder)
    rows = encoder.encode_text(TEXTS)
    assert_unit_rows(rows, len(TEXTS), encoder)
    np.testing.assert_array_equal(encoder.encode_text(TEXTS), rows)
    for text, row in zip(TEXTS, rows, strict=True):
        np.testing.assert_allclose(encoder.encode_text([text])[0], row, atol=1e-5)
    assert np.abs(rows[0] - rows[1]).max() > 1e-4
    assert_unit_rows(encoder.encode_text([]), 0, encoder)


@each
def test_a_text_that_is_cut_is_said_to_be(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    """`text_limit`, where an encoder has one, counts tokens; 0 is no limit."""
    encoder = opened(folder)
    limit = getattr(encoder, "text_limit", 0)
    assert isinstance(limit, int)
    with caplog.at_level(logging.WARNING, "longshot"):
        encoder.encode_text(["a"])
        assert not caplog.records
        encoder.encode_text(["the rocket rises " * 120])
    assert not limit or len(caplog.records) == 1


@each
def test_clips_of_any_size_and_length_give_unit_rows_in_order(folder: Path) -> None:
    encoder = opened(folder)
    if not sees(encoder):
        with pytest.raises(UsageError) as caught:
            encoder.encode_frames(CLIPS)
        assert "\n" not in str(caught.value)
        return
    rows = encoder.encode_frames(CLIPS)
    assert_unit_rows(rows, len(CLIPS), encoder)
    np.testing.assert_array_equal(encoder.encode_frames(CLIPS), rows)
    for shown, row in zip(CLIPS, rows, strict=True):
        np.testing.assert_allclose(encoder.encode_frames([shown])[0], row, atol=1e-5)
    np.testing.assert_allclose(encoder.encode_frames(CLIPS[::-1]), rows[::-1], atol=1e-5)
    assert np.abs(rows[0] - rows[3]).max() > 1e-4
    assert_unit_rows(encoder.encode_frames([]), 0, encoder)


@each
def test_a_clip_without_frames_has_no_vector(folder: Path) -> None:
    with pytest.raises(UsageError):
        opened(folder).encode_frames([CLIPS[0], CLIPS[0][:0]])


@each
def test_pictures_are_what_clips_of_one_frame_are(folder: Path) -> None:
    encoder = opened(folder)
    if not isinstance(encoder, PictureEncoder) or not sees(encoder):
        return
    rows = encoder.encode_pictures([one.pixels[0] for one in CLIPS])
    assert_unit_rows(rows, len(CLIPS), encoder)
    np.testing.assert_allclose(encoder.encode_frames([one[:1] for one in CLIPS]), rows, atol=1e-5)


@each
def test_an_unknown_pooling_is_refused(folder: Path) -> None:
    with pytest.raises(UsageError, match="best"):
        open_encoder(spelt(folder), loading=ON_CPU, pooling="best")


@each
def test_pickled_and_torn_weights_are_refused(folder: Path, tmp_path: Path) -> None:
    copied = Path(shutil.copytree(folder, tmp_path / folder.name))
    for path in copied.rglob("*.safetensors"):
        path.write_bytes(path.read_bytes()[:-40])
    with pytest.raises(ModelError, match="torn"):
        open_encoder(spelt(copied), loading=ON_CPU)
    again = Path(shutil.copytree(folder, tmp_path / "again" / folder.name))
    for path in list(again.rglob("*.safetensors")):
        path.rename(path.with_suffix(".bin"))
    with pytest.raises(ModelError, match="pickled"):
        open_encoder(spelt(again), loading=ON_CPU)


@each
def test_missing_weights_are_named(folder: Path, tmp_path: Path) -> None:
    from safetensors.torch import load_file, save_file

    copied = Path(shutil.copytree(folder, tmp_path / folder.name))
    path = max(copied.rglob("*.safetensors"), key=lambda one: one.stat().st_size)
    held = load_file(path)
    gone = sorted(name for name in held if ".0." in name and name.endswith(".weight"))[0]
    del held[gone]
    save_file(held, path, {"format": "pt"})
    with pytest.raises(ModelError, match="missing") as caught:
        open_encoder(spelt(copied), loading=ON_CPU)
    # A file's name for a weight may differ from the model's before the numbered layer.
    assert gone.split(".0.")[1] in str(caught.value)


@each
def test_its_name_leads_to_its_file(folder: Path) -> None:
    engine, rest = encoder_engine(spelt(folder), ON_CPU)
    assert engine in NAMES
    assert rest == str(folder)
