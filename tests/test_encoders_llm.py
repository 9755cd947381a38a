"""Encoders made of language models, against a plain computation: tokens by hand, one forward pass, the last place."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import AutoTokenizer, Qwen2VLForConditionalGeneration, Qwen3VLForConditionalGeneration
from transformers.models.qwen2_vl.image_processing_qwen2_vl import Qwen2VLImageProcessor

from longshot import models
from longshot.contracts import Encoder, Frames, Loading, PictureEncoder
from longshot.errors import ModelError, UsageError
from tests.tiny.gme import gme
from tests.tiny.qwen import CLIP_MEAN, CLIP_STD
from tests.tiny.qwen3_vl_embedding import qwen3_vl_embedding

TEXTS = ["A man slices tomatoes.", "Two people wrestle with their arms at a table while others watch."]


def clip_of(count: int, height: int, width: int, *, seed: int = 0) -> Frames:
    rng = np.random.default_rng(seed)
    coarse = rng.integers(0, 256, (count, 4, 4, 3), dtype=np.uint8)
    pixels = coarse.repeat(height // 4, axis=1).repeat(width // 4, axis=2)
    return Frames(pixels, np.array([0.0, 0.52, 1.3, 2.9, 4.0][:count]))


def unit(row: torch.Tensor) -> np.ndarray:
    row = row.double()
    return (row / row.norm()).float().numpy()


@pytest.fixture(scope="module")
def gme_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return gme(tmp_path_factory.mktemp("gme") / "gme-tiny")


@pytest.fixture(scope="module")
def qwen_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return qwen3_vl_embedding(tmp_path_factory.mktemp("qwen") / "qwen3-vl-embedding-tiny")


@pytest.fixture(scope="module")
def gme_encoder(gme_folder: Path) -> Encoder:
    return models.open_encoder(str(gme_folder))


@pytest.fixture(scope="module")
def qwen_encoder(qwen_folder: Path) -> Encoder:
    return models.open_encoder(str(qwen_folder))


class PlainGme:
    """The two halves of a Qwen2-VL put together by hand."""

    def __init__(self, folder: Path) -> None:
        # The head is not in the file: it plays no part here.
        model = Qwen2VLForConditionalGeneration.from_pretrained(folder, dtype=torch.float32).eval()
        self.eyes, self.words = model.model.visual, model.model.language_model
        self.id = AutoTokenizer.from_pretrained(folder)

    def row(self, body: list[int], seen: torch.Tensor | None = None) -> np.ndarray:
        front = self.ids("<|im_start|>system\nYou are a helpful assistant.<|im_end|>\n<|im_start|>user\n")
        ids = torch.tensor([[*front, *body, *self.ids("<|im_end|>\n<|im_start|>assistant\n<|endoftext|>")]])
        embedded = self.words.embed_tokens(ids)
        if seen is not None:
            embedded[ids == self.id.convert_tokens_to_ids("<|image_pad|>")] = seen
        places = torch.arange(ids.shape[1]).expand(3, 1, -1)
        with torch.no_grad():
            return unit(self.words(inputs_embeds=embedded, position_ids=places).last_hidden_state[0, -1])

    def ids(self, text: str) -> list[int]:
        return self.id(text, add_special_tokens=False)["input_ids"]

    @torch.no_grad()
    def picture(self, pixels: np.ndarray) -> np.ndarray:
        cutter = Qwen2VLImageProcessor(
            size={"shortest_edge": 256 * 784, "longest_edge": 1280 * 784}, image_mean=CLIP_MEAN, image_std=CLIP_STD
        )
        made = cutter(images=[pixels], input_data_format="channels_last", return_tensors="pt")
        seen = self.eyes(made["pixel_values"], grid_thw=made["image_grid_thw"]).pooler_output
        pads = self.ids("<|vision_start|>") + self.ids("<|image_pad|>") * len(seen) + self.ids("<|vision_end|>")
        return self.row(pads, seen)


@pytest.fixture(scope="module")
def plain_gme(gme_folder: Path) -> PlainGme:
    return PlainGme(gme_folder)


def test_gme_reads_texts_as_by_hand(gme_encoder: Encoder, plain_gme: PlainGme) -> None:
    expected = np.stack([plain_gme.row(plain_gme.ids(text)) for text in TEXTS])
    np.testing.assert_allclose(gme_encoder.encode_text(TEXTS), expected, atol=2e-6)


def test_gme_sees_each_frame_alone_and_takes_their_mean(gme_encoder: Encoder, plain_gme: PlainGme) -> None:
    clip = clip_of(2, 448, 560)
    rows = np.stack([plain_gme.picture(frame) for frame in clip.pixels])
    assert isinstance(gme_encoder, PictureEncoder)
    np.testing.assert_allclose(gme_encoder.encode_pictures(list(clip.pixels)), rows, atol=2e-6)
    mean = rows.mean(axis=0)
    np.testing.assert_allclose(gme_encoder.encode_frames([clip])[0], mean / np.linalg.norm(mean), atol=2e-6)


def test_gme_enlarges_a_small_frame_to_256_tokens(gme_encoder: Encoder, plain_gme: PlainGme) -> None:
    small = clip_of(1, 64, 64).pixels[0]
    np.testing.assert_allclose(gme_encoder.encode_pictures([small])[0], plain_gme.picture(small), atol=2e-6)


@pytest.mark.parametrize(
    ("name", "architecture", "engine"),
    [
        ("gme-Qwen2-VL-2B-Instruct", "Qwen2VLForConditionalGeneration", "gme"),
        ("mine", "GmeQwen2VL", "gme"),
        ("mine", "Qwen2VLForConditionalGeneration", "eol"),
        ("Qwen3-VL-Embedding-2B", "Qwen3VLForConditionalGeneration", "qwen3_vl_embedding"),
        ("Qwen3-VL-8B-Instruct", "Qwen3VLForConditionalGeneration", "eol"),
        ("mine", "Qwen3VLForEmbedding", "qwen3_vl_embedding"),
        ("MM-Embed", "LlavaNextForConditionalGeneration", "mm_embed"),
    ],
)
def test_a_folder_is_known_by_name_or_architecture(name: str, architecture: str, engine: str, tmp_path: Path) -> None:
    folder = tmp_path / name
    folder.mkdir()
    (folder / "config.json").write_text(json.dumps({"architectures": [architecture]}), encoding="utf-8")
    assert models.encoder_engine(str(folder), Loading())[0] == engine


def test_gme_says_what_it_is(gme_encoder: Encoder, gme_folder: Path) -> None:
    assert gme_encoder.dimension == 64
    assert gme_encoder.source.settings["instruction"] == "You are a helpful assistant."
    assert gme_encoder.source.settings["pooling"] == "mean"
    assert models.encoder_engine(str(gme_folder), Loading())[0] == "gme"


class PlainQwen:
    """A Qwen3-VL as transformers has it, with tokens by hand and frames by its own image half."""

    def __init__(self, folder: Path) -> None:
        self.model = Qwen3VLForConditionalGeneration.from_pretrained(folder, dtype=torch.float32).eval()
        self.id = AutoTokenizer.from_pretrained(folder)

    def ids(self, text: str) -> list[int]:
        return self.id(text, add_special_tokens=False)["input_ids"]

    @torch.no_grad()
    def row(self, body: list[int], kinds: list[int] | None = None, **seen: torch.Tensor) -> np.ndarray:
        front = self.ids("<|im_start|>system\nRepresent the user's input.<|im_end|>\n<|im_start|>user\n")
        back = self.ids("<|im_end|>\n<|im_start|>assistant\n")
        if kinds is not None:
            seen["mm_token_type_ids"] = torch.tensor([[0] * len(front) + kinds + [0] * len(back)])
        ids = torch.tensor([[*front, *body, *back]])
        made = self.model(input_ids=ids, output_hidden_states=True, **seen)
        return unit(made.hidden_states[-1][0, -1])

    def video(self, clip: Frames, rows: int, columns: int) -> np.ndarray:
        """A clip whose frames become rows x columns pixels."""
        from torchvision.transforms.v2 import functional as tvf

        frames = torch.from_numpy(clip.pixels).permute(0, 3, 1, 2)
        frames = tvf.resize(frames, [rows, columns], interpolation=tvf.InterpolationMode.BICUBIC, antialias=True)
        if len(frames) % 2:
            frames = torch.cat([frames, frames[-1:]])
        times = [*clip.times, *clip.times[-1:]][: len(frames)]
        across, down = columns // 16, rows // 16
        scaled = (frames.float() / 255 - 0.5) / 0.5
        # pairs, 2 frames, colours, (down / 2, 2, 16), (across / 2, 2, 16)
        cut = scaled.reshape(len(frames) // 2, 2, 3, down // 2, 2, 16, across // 2, 2, 16)
        patches = cut.permute(0, 3, 6, 4, 7, 2, 1, 5, 8).reshape(-1, 3 * 2 * 16 * 16)
        body: list[int] = []
        kinds: list[int] = []
        pad = self.ids("<|video_pad|>")
        for pair in range(len(frames) // 2):
            before = self.ids(f"<{(times[2 * pair] + times[2 * pair + 1]) / 2:.1f} seconds>")
            here = [*before, *self.ids("<|vision_start|>"), *pad * (across * down // 4), *self.ids("<|vision_end|>")]
            body += here
            kinds += [2 if token == pad[0] else 0 for token in here]
        grid = torch.tensor([[len(frames) // 2, down, across]])
        return self.row(body, kinds, pixel_values_videos=patches, video_grid_thw=grid)


@pytest.fixture(scope="module")
def plain_qwen(qwen_folder: Path) -> PlainQwen:
    return PlainQwen(qwen_folder)


def test_qwen_reads_texts_as_by_hand(qwen_encoder: Encoder, plain_qwen: PlainQwen) -> None:
    expected = np.stack([plain_qwen.row(plain_qwen.ids(text)) for text in [*TEXTS, "NULL"]])
    np.testing.assert_allclose(qwen_encoder.encode_text([*TEXTS, ""]), expected, atol=2e-6)


def test_qwen_sees_a_clip_as_one_video_with_its_times(qwen_encoder: Encoder, plain_qwen: PlainQwen) -> None:
    # 256 x 384 pixels are 96 tokens, below the least of 128, so both sides grow by the root of 128 / 96, rounded up.
    clips = [clip_of(3, 256, 384), clip_of(2, 384, 512, seed=1)]
    expected = np.stack([plain_qwen.video(clips[0], 320, 448), plain_qwen.video(clips[1], 384, 512)])
    np.testing.assert_allclose(qwen_encoder.encode_frames(clips), expected, atol=5e-6)


def test_qwen_sees_other_times_as_another_clip(qwen_encoder: Encoder) -> None:
    clip = clip_of(2, 384, 512)
    later = Frames(clip.pixels, clip.times + 60)
    rows = qwen_encoder.encode_frames([clip, later])
    assert np.abs(rows[0] - rows[1]).max() > 1e-4


def test_qwen_takes_at_most_64_frames(qwen_encoder: Encoder, monkeypatch: pytest.MonkeyPatch) -> None:
    from longshot.encoders import qwen3_vl_embedding as engine

    monkeypatch.setattr(engine, "_MOST_FRAMES", 2)
    clip = clip_of(5, 384, 512)
    ends = Frames(clip.pixels[[0, 4]], clip.times[[0, 4]])
    np.testing.assert_array_equal(qwen_encoder.encode_frames([clip]), qwen_encoder.encode_frames([ends]))


@pytest.mark.parametrize("which", ["gme_encoder", "qwen_encoder"])
def test_a_long_text_keeps_its_end(
    which: str, request: pytest.FixtureRequest, caplog: pytest.LogCaptureFixture
) -> None:
    encoder = request.getfixturevalue(which)
    kept = encoder._states.limit
    encoder._states.limit = 60
    try:
        rows = encoder.encode_text(["tomatoes " * 200, "tomatoes " * 300])
    finally:
        encoder._states.limit = kept
    np.testing.assert_allclose(rows[0], rows[1], atol=1e-6)
    assert "is cut to 60" in caplog.text


@pytest.mark.parametrize("which", ["gme_encoder", "qwen_encoder"])
def test_control_tokens_in_a_text_are_text(which: str, request: pytest.FixtureRequest) -> None:
    encoder = request.getfixturevalue(which)
    rows = encoder.encode_text(["a<|im_end|>b", "a< |im_end|>b"])
    np.testing.assert_allclose(rows[0], rows[1], atol=1e-6)


@pytest.mark.parametrize("which", ["gme_encoder", "qwen_encoder"])
def test_alone_or_in_a_batch_is_the_same(which: str, request: pytest.FixtureRequest) -> None:
    encoder = request.getfixturevalue(which)
    together = encoder.encode_text(TEXTS)
    np.testing.assert_allclose(together, np.concatenate([encoder.encode_text([text]) for text in TEXTS]), atol=2e-6)
    assert encoder.encode_text([]).shape == encoder.encode_frames([]).shape == (0, 64)
    with pytest.raises(UsageError, match="without frames"):
        encoder.encode_frames([clip_of(1, 64, 64)[:0]])


def test_what_is_no_embedding_model_is_refused(gme_folder: Path, qwen_folder: Path) -> None:
    with pytest.raises(ModelError, match="its model_type is qwen2_vl"):
        models.open_encoder(f"qwen3_vl_embedding:{gme_folder}")
    with pytest.raises(UsageError, match="one vector"):
        models.open_encoder(str(qwen_folder), pooling="mean")
