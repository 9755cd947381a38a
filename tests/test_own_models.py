"""A user's own model by subclass, and the API that the seeds have."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from importlib.metadata import EntryPoint
from pathlib import Path

import numpy as np
import pytest
import torch

import longshot
from longshot import AutoCaptioner, AutoEncoder, Captioner, VideoEncoder, checkpoints, own_models
from longshot.captioning.describe import describe
from longshot.contracts import ChatModel, Encoder, Frames, Prompt
from longshot.errors import LongshotError, ModelError, UsageError
from longshot.models import open_chat_model, open_encoder
from tests.videos import write_video


@pytest.fixture(autouse=True)
def forgotten() -> Iterator[None]:
    known = dict(own_models._known)
    checkpoints.find.cache_clear()
    yield
    own_models._known.clear()
    own_models._known.update(known)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    home = tmp_path / "mine"
    home.mkdir()
    (home / "config.json").write_text(json.dumps({"architectures": ["MyVideoModel"]}))
    return home


def both() -> type:
    class Mine(Captioner, VideoEncoder):
        ARCHITECTURE = "MyVideoModel"

        def __init__(self, folder: Path, *, loading: object) -> None:
            self.folder = folder

        def describe(self, videos: Sequence[np.ndarray], prompt: str = "") -> list[str]:
            return [f" {prompt[:8]}: {len(video)} frames, {video.mean():.0f} bright " for video in videos]

        def encode_vision(self, videos: Sequence[np.ndarray]) -> torch.Tensor:
            return torch.tensor([[video.mean(), 3.0, 4.0] for video in videos])

        def encode_text(self, texts: Sequence[str]) -> np.ndarray:
            return np.array([[len(text), 1, 0] for text in texts])

    return Mine


def test_the_seeds_calls_reach_ones_own_class(folder: Path) -> None:
    both()
    frames = np.full((4, 8, 6, 3), 10, np.uint8)
    captioner = AutoCaptioner.from_pretrained(folder)
    assert captioner.describe(frames[None], prompt="Describe it") == ["Describe: 4 frames, 10 bright"]
    assert captioner.describe([frames, frames[:2]])[1].endswith("2 frames, 10 bright")
    encoder = AutoEncoder.from_pretrained(str(folder))
    v, t = encoder.encode_vision(frames[None]), encoder.encode_text("ab")
    assert v.shape == t.shape == (1, 3)
    np.testing.assert_allclose(v[0], np.array([10, 3, 4]) / 125**0.5, rtol=1e-6)
    np.testing.assert_allclose(t[0], np.array([2, 1, 0]) / 5**0.5, rtol=1e-6)
    assert v.dtype == np.float32


def test_it_keeps_the_contracts(folder: Path) -> None:
    both()
    model, encoder = open_chat_model(str(folder)), open_encoder(str(folder))
    assert isinstance(model, ChatModel) and isinstance(encoder, Encoder)
    assert encoder.dimension == 3 and encoder.encode_frames([]).shape == (0, 3)
    clip = Frames(np.zeros((2, 4, 4, 3), np.uint8), np.array([0.0, 1.0]))
    replies = model.generate([Prompt("one", clip), Prompt("no frames"), Prompt("two", clip)])
    assert [reply.text for reply in replies] == ["one: 2 frames, 0 bright", "", "two: 2 frames, 0 bright"]
    assert replies[1].finish == "failed" and "no frames" in replies[1].reason


def test_it_describes_videos(folder: Path, tmp_path: Path) -> None:
    both()
    write_video(tmp_path / "film.mp4", count=20)
    (caption,) = describe(tmp_path / "film.mp4", model=str(folder), speech="none", screen=False)
    assert "8 frames" in caption.text


def test_a_module_that_is_imported_again_replaces_its_class_and_another_may_not() -> None:
    both()
    both()
    with pytest.raises(LongshotError, match="two classes claim the architecture 'MyVideoModel'"):
        type("Other", (Captioner,), {"ARCHITECTURE": "MyVideoModel"})


def test_a_subclass_that_inherits_its_architecture_is_not_registered() -> None:
    mine = both()
    type("Child", (mine,), {})
    assert own_models.own_class("MyVideoModel", Captioner) is mine


def test_a_package_offers_its_class_as_an_entry_point(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def offer(value: str) -> None:
        point = EntryPoint(name="MyVideoModel", value=value, group="longshot.models")
        monkeypatch.setattr(own_models, "entry_points", lambda **wanted: [point])

    offer("tests.test_own_models:Offered")
    assert isinstance(AutoCaptioner.from_pretrained(folder).model.captioner, Offered)  # type: ignore[attr-defined]
    own_models._known.clear()
    offer("tests.test_own_models:folder")
    with pytest.raises(LongshotError, match="is no Captioner or VideoEncoder"):
        open_chat_model(str(folder))
    offer("tests.nowhere:Offered")
    with pytest.raises(LongshotError, match="cannot be imported"):
        open_chat_model(str(folder))


class Offered(Captioner):
    def __init__(self, folder: Path, *, loading: object) -> None:
        pass

    def describe(self, videos: Sequence[np.ndarray]) -> list[str]:
        return ["words"] * len(videos)


def test_rows_that_are_wrong_are_refused(folder: Path) -> None:
    mine = both()
    for rows, said in (
        (np.zeros((1, 3)), "no direction"),
        (np.full((1, 3), np.nan), "no direction"),
        (np.ones((2, 3)), r"one row for each of 1 inputs, got \(2, 3\)"),
        (np.ones(3), r"got \(3,\)"),
    ):
        mine.encode_text = lambda self, texts, rows=rows: rows  # type: ignore[attr-defined]
        with pytest.raises(ModelError, match=said):
            AutoEncoder.from_pretrained(folder).encode_text("a")
    mine.describe = lambda self, videos: ["one", "two"]  # type: ignore[attr-defined]
    with pytest.raises(ModelError, match="one str for each of 1 videos"):
        AutoCaptioner.from_pretrained(folder).describe(np.zeros((1, 4, 4, 3), np.uint8))


def test_an_unknown_architecture_comes_with_the_nearest(folder: Path) -> None:
    (folder / "config.json").write_text(json.dumps({"architectures": ["Qwen2VLForConditionalGenerations"]}))
    with pytest.raises(ModelError, match=r"Qwen2VLForConditionalGenerations is not known.*nearest is Qwen2VLForCond"):
        open_chat_model(str(folder))
    (folder / "config.json").write_text(json.dumps({"auto_map": {"AutoModel": "modeling.M"}}))
    checkpoints.find.cache_clear()
    with pytest.raises(ModelError, match=r"\(none named\) is not known.*--remote-code"):
        open_encoder(str(folder))


def test_the_public_names_are_the_same_things() -> None:
    assert longshot.Captioner is own_models.Captioner


@pytest.mark.parametrize("name", ["", " "])
def test_a_model_without_a_name_is_not_the_folder_one_stands_in(name: str) -> None:
    for opened in (open_chat_model, open_encoder):
        with pytest.raises(UsageError, match="no model is named"):
            opened(name)


def test_an_encoder_asked_to_chat_is_told_so(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(json.dumps({"architectures": ["CLIPModel"]}))
    (tmp_path / "model.safetensors").write_bytes(b"")
    with pytest.raises(ModelError, match="CLIPModel is not known to chat_models: it is an encoder, for"):
        open_chat_model(str(tmp_path))
