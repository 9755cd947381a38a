"""Encoders of single pictures, each against the arithmetic of its paper written out here."""

from __future__ import annotations

import logging
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image

from longshot.contracts import Frames, Loading, PictureEncoder
from longshot.encoders import _pictures, blip, clip, siglip
from longshot.errors import ModelError, UsageError
from longshot.models import encoder_engine
from tests import plain
from tests.tiny import blip as tiny_blip
from tests.tiny import clip as tiny_clip
from tests.tiny import siglip as tiny_siglip

ON_CPU = Loading(device="cpu")
TEXTS = ("A man slices tomatoes", "the man in the smoke", "a")


def picture(seed: int, height: int = 32, width: int = 32) -> NDArray[np.uint8]:
    """Smooth shapes with some noise: scaling it is not a lottery."""
    rng = np.random.default_rng(seed)
    coarse = Image.fromarray(rng.integers(0, 256, (5, 6, 3), dtype=np.uint8))
    return np.asarray(coarse.resize((width, height), Image.Resampling.BICUBIC))


def clip_of(count: int, *, seed: int = 0, height: int = 32, width: int = 32) -> Frames:
    pixels = np.stack([picture(seed + place, height, width) for place in range(count)])
    return Frames(pixels, np.arange(count) / 2)


def mean_of(rows: list[NDArray[np.float64]]) -> NDArray[np.float64]:
    return plain.unit(torch.from_numpy(np.mean(rows, axis=0)))


# --- CLIP ---------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def clip_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_clip.write_clip(tmp_path_factory.mktemp("clip"))


def clip_picture(w: plain.Weights, pixels: NDArray[np.uint8], *, act=plain.quick_gelu) -> NDArray[np.float64]:
    name = "vision_model."
    x = plain.patches(w[name + "embeddings.patch_embedding.weight"], plain.scaled(pixels))
    x = torch.cat([w[name + "embeddings.class_embedding"][None], x])
    x = plain.norm(w, name + "pre_layrnorm", x + w[name + "embeddings.position_embedding.weight"])
    x = plain.before_norm(w, name + "encoder.layers.", x, heads=4, act=act)
    return plain.unit(plain.linear(w, "visual_projection", plain.norm(w, name + "post_layernorm", x[0])))


def clip_text(w: plain.Weights, ids: list[int], *, at: int, act=plain.quick_gelu) -> NDArray[np.float64]:
    name = "text_model."
    x = w[name + "embeddings.token_embedding.weight"][ids]
    x = x + w[name + "embeddings.position_embedding.weight"][: len(ids)]
    x = plain.before_norm(w, name + "encoder.layers.", x, heads=3, act=act, causal=True)
    return plain.unit(plain.linear(w, "text_projection", plain.norm(w, name + "final_layer_norm", x[at])))


def clip_ids(text: str, limit: int = 77) -> list[int]:
    """Start, words, end, with the words cut so that the end stays."""
    tokenizer = tiny_clip.clip_tokenizer()
    words = tokenizer(text, add_special_tokens=False)["input_ids"]
    return [tokenizer.bos_token_id, *words[: limit - 2], tokenizer.eos_token_id]


def test_clip_is_the_arithmetic_of_its_paper(clip_folder: Path) -> None:
    assert encoder_engine(str(clip_folder), ON_CPU) == ("clip", str(clip_folder))
    encoder = clip.load(str(clip_folder), loading=ON_CPU)
    w = plain.weights_of(clip_folder)
    shown = clip_of(3)
    each = [clip_picture(w, frame) for frame in shown.pixels]
    np.testing.assert_allclose(encoder.encode_pictures(shown.pixels), each, atol=1e-5)
    np.testing.assert_allclose(encoder.encode_frames([shown])[0], mean_of(each), atol=1e-5)
    told = [clip_text(w, ids := clip_ids(text), at=len(ids) - 1) for text in TEXTS]
    np.testing.assert_allclose(encoder.encode_text(TEXTS), told, atol=1e-5)
    assert (encoder.dimension, encoder.height, encoder.text_limit) == (20, 32, 77)


def test_a_long_text_is_cut_before_its_end_token_and_that_is_said(
    clip_folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    encoder = clip.load(str(clip_folder), loading=ON_CPU)
    long = "smoke in the pan on the man " * 30
    ids = clip_ids(long)
    assert len(ids) == 77
    with caplog.at_level(logging.WARNING, "longshot"):
        (row,) = encoder.encode_text([long])
    np.testing.assert_allclose(row, clip_text(plain.weights_of(clip_folder), ids, at=76), atol=1e-5)
    assert "1 of 1 texts are longer than its 77 tokens" in caplog.text
    caplog.clear()
    encoder.encode_text(["the man " * 37, "a"])  # 74 words and two marks
    assert not caplog.records


def test_a_long_clip_reads_248_tokens_whatever_its_tokenizer_says(tmp_path: Path) -> None:
    folder = tiny_clip.write_clip(tmp_path, positions=248)
    encoder = clip.load(str(folder), loading=ON_CPU)
    ids = clip_ids("smoke in the pan on the man " * 9, limit=248)
    assert 77 < len(ids) < 248
    (row,) = encoder.encode_text(["smoke in the pan on the man " * 9])
    np.testing.assert_allclose(row, clip_text(plain.weights_of(folder), ids, at=len(ids) - 1), atol=1e-5)


def test_an_old_config_reads_the_highest_token(tmp_path: Path) -> None:
    folder = tiny_clip.write_clip(tmp_path, old_end=True)
    told = clip.load(str(folder), loading=ON_CPU).encode_text(TEXTS)
    w = plain.weights_of(folder)
    np.testing.assert_allclose(
        told, [clip_text(w, ids := clip_ids(text), at=len(ids) - 1) for text in TEXTS], atol=1e-5
    )


def test_an_end_token_that_is_never_written_is_refused(tmp_path: Path) -> None:
    folder = tiny_clip.write_clip(tmp_path)
    text = {**clip_config(folder)["text_config"], "eos_token_id": 7}
    tiny_clip.edit_config(folder, text_config=text)
    with pytest.raises(ModelError, match="a text ends with token 7"):
        clip.load(str(folder), loading=ON_CPU)


def clip_config(folder: Path) -> dict:
    import json

    return json.loads((folder / "config.json").read_text())


def test_clip_crops_the_middle_as_pillow_would(clip_folder: Path) -> None:
    encoder = clip.load(str(clip_folder), loading=ON_CPU)
    wide = picture(5, 48, 96)
    half = Image.fromarray(wide).resize((64, 32), Image.Resampling.BICUBIC)
    middle = np.asarray(half.crop((16, 0, 48, 32)))
    squeezed = np.asarray(Image.fromarray(wide).resize((32, 32), Image.Resampling.BICUBIC))
    w = plain.weights_of(clip_folder)
    (row,) = encoder.encode_pictures([wide])
    assert row @ clip_picture(w, middle) > 0.9999
    assert row @ clip_picture(w, squeezed) < 0.99


def test_metaclip2_ends_with_token_two(tmp_path: Path) -> None:
    folder = tiny_clip.write_metaclip2(tmp_path)
    encoder = clip.load(str(folder), loading=ON_CPU)
    w = plain.weights_of(folder)
    ids = encoder._towers.tokenizer(TEXTS[1])["input_ids"]
    assert ids[0] == 0 and ids[-1] == 2 and max(ids) > 2
    act = {"gelu": plain.gelu, "quick_gelu": plain.quick_gelu}[clip_config(folder)["text_config"]["hidden_act"]]
    told = clip_text(w, ids, at=len(ids) - 1, act=act)
    np.testing.assert_allclose(encoder.encode_text(TEXTS)[1], told, atol=1e-5)
    np.testing.assert_allclose(
        encoder.encode_pictures([picture(1)])[0], clip_picture(w, picture(1), act=act), atol=1e-5
    )


def test_chinese_clip_reads_bert_at_its_first_token(tmp_path: Path) -> None:
    folder = tiny_clip.write_chinese_clip(tmp_path)
    encoder = clip.load(str(folder), loading=ON_CPU)
    assert encoder.text_limit == 52
    w = plain.weights_of(folder)
    said = ["一个人在切番茄", "A man", "番茄" * 60]
    for text, row in zip(said, encoder.encode_text(said), strict=True):
        ids = encoder._towers.tokenizer(text, truncation=True, max_length=52)["input_ids"]
        assert (ids[0], ids[-1]) == (2, 3)
        state = plain.bert(w, "text_model.", ids, heads=3)[0]
        np.testing.assert_allclose(row, plain.unit(plain.linear(w, "text_projection", state)), atol=1e-5)
    np.testing.assert_allclose(encoder.encode_pictures([picture(1)])[0], clip_picture(w, picture(1)), atol=1e-5)


# --- SigLIP ---------------------------------------------------------------------------------------------------------


def siglip_head(w: plain.Weights, x: torch.Tensor) -> NDArray[np.float64]:
    x = plain.before_norm(w, "vision_model.encoder.layers.", x, heads=3, act=plain.tanh_gelu, eps=1e-6)
    x = plain.norm(w, "vision_model.post_layernorm", x, 1e-6)
    return plain.unit(plain.attention_pooled(w, "vision_model.head.", x, heads=3))


def siglip_picture(w: plain.Weights, pixels: NDArray[np.uint8]) -> NDArray[np.float64]:
    name = "vision_model.embeddings."
    x = plain.patches(w[name + "patch_embedding.weight"], plain.scaled(pixels, plain.HALF, plain.HALF))
    return siglip_head(w, x + w[name + "patch_embedding.bias"] + w[name + "position_embedding.weight"])


def siglip_text(w: plain.Weights, ids: list[int]) -> NDArray[np.float64]:
    """All 64 places see each other, padding too, and the last one is read."""
    assert len(ids) == 64
    name = "text_model."
    x = w[name + "embeddings.token_embedding.weight"][ids] + w[name + "embeddings.position_embedding.weight"]
    x = plain.before_norm(w, name + "encoder.layers.", x, heads=4, act=plain.tanh_gelu, eps=1e-6)
    return plain.unit(plain.linear(w, name + "head", plain.norm(w, name + "final_layer_norm", x, 1e-6)[-1]))


def test_siglip_fills_texts_up_with_their_end_token(tmp_path: Path) -> None:
    import sentencepiece

    folder = tiny_siglip.write_siglip(tmp_path)
    encoder = siglip.load(str(folder), loading=ON_CPU)
    w = plain.weights_of(folder)
    pieces = sentencepiece.SentencePieceProcessor(model_file=str(folder / "spiece.model"))
    said = ("a man slices tomatoes", "the rocket rises from the pad " * 9)
    for text, row in zip(said, encoder.encode_text([said[0].title() + "!", said[1]]), strict=True):
        ids = pieces.encode(text.strip())[:63]
        np.testing.assert_allclose(row, siglip_text(w, [*ids, *[1] * (64 - len(ids))]), atol=1e-5)
    shown = clip_of(2)
    each = [siglip_picture(w, frame) for frame in shown.pixels]
    np.testing.assert_allclose(encoder.encode_pictures(shown.pixels), each, atol=1e-5)
    np.testing.assert_allclose(encoder.encode_frames([shown])[0], mean_of(each), atol=1e-5)
    assert (encoder.dimension, encoder.height, encoder.text_limit) == (24, 32, 64)


def siglip2_ids(text: str) -> list[int]:
    """Lower case, then Gemma's pieces, an end token, and padding on the right."""
    tokenizer = tiny_siglip.gemma_tokenizer()
    ids = tokenizer(text.lower(), add_special_tokens=False)["input_ids"][:63]
    return [*ids, 1, *[0] * (63 - len(ids))]


def test_siglip2_makes_lower_case_and_masks_nothing(tmp_path: Path) -> None:
    folder = tiny_siglip.write_siglip2(tmp_path)
    encoder = siglip.load(str(folder), loading=ON_CPU)
    w = plain.weights_of(folder)
    said = ("A Man Slices Tomatoes", "a", "SMOKE " * 80)
    assert siglip2_ids(said[0])[-1] == 0 and siglip2_ids(said[2])[-1] == 1
    told = [siglip_text(w, siglip2_ids(text)) for text in said]
    np.testing.assert_allclose(encoder.encode_text(said), told, atol=1e-5)
    np.testing.assert_allclose(encoder.encode_pictures([picture(3)])[0], siglip_picture(w, picture(3)), atol=1e-5)


def naflex_picture(w: plain.Weights, pixels: NDArray[np.uint8]) -> NDArray[np.float64]:
    """Patches of 8 pixels row by row, each as its pixels in reading order; the 4 x 4 places are stretched to fit."""
    name = "vision_model.embeddings."
    values = plain.scaled(pixels, plain.HALF, plain.HALF)
    rows, columns = values.shape[1] // 8, values.shape[2] // 8
    pieces = [
        values[:, 8 * row : 8 * row + 8, 8 * column : 8 * column + 8].permute(1, 2, 0).reshape(-1)
        for row in range(rows)
        for column in range(columns)
    ]
    grid = w[name + "position_embedding.weight"].reshape(4, 4, -1).permute(2, 0, 1)[None]
    places = torch.nn.functional.interpolate(grid, (rows, columns), mode="bilinear", antialias=True)
    x = plain.linear(w, name + "patch_embedding", torch.stack(pieces))
    return siglip_head(w, x + places[0].flatten(1).T)


def test_siglip2_sees_natural_shapes(tmp_path: Path) -> None:
    folder = tiny_siglip.write_naflex(tmp_path)
    assert encoder_engine(str(folder), ON_CPU) == ("siglip", str(folder))
    encoder = siglip.load(str(folder), loading=ON_CPU)
    w = plain.weights_of(folder)
    shown = [picture(1), picture(2, 16, 48), picture(3, 48, 16)]
    each = [naflex_picture(w, one) for one in shown]
    np.testing.assert_allclose(encoder.encode_pictures(shown), each, atol=1e-5)
    told = [siglip_text(w, siglip2_ids(text)) for text in TEXTS]
    np.testing.assert_allclose(encoder.encode_text(TEXTS), told, atol=1e-5)
    assert (encoder.dimension, encoder.height, encoder.text_limit) == (24, 32, 64)


# --- BLIP -----------------------------------------------------------------------------------------------------------


def test_blip_projects_the_first_token_of_both_towers(tmp_path: Path) -> None:
    folder = tiny_blip.write_blip(tmp_path)
    assert encoder_engine(str(folder), ON_CPU) == ("blip", str(folder))
    encoder = blip.load(str(folder), loading=ON_CPU)
    w = plain.weights_of(folder)

    def see(pixels: NDArray[np.uint8]) -> NDArray[np.float64]:
        name = "vision_model.embeddings."
        x = plain.patches(w[name + "patch_embedding.weight"], plain.scaled(pixels)) + w[name + "patch_embedding.bias"]
        x = torch.cat([w[name + "class_embedding"][0], x]) + w[name + "position_embedding"][0]
        x = plain.before_norm(w, "vision_model.encoder.layers.", x, heads=4, act=plain.gelu)
        return plain.unit(plain.linear(w, "vision_proj", plain.norm(w, "vision_model.post_layernorm", x[0])))

    shown = clip_of(2)
    each = [see(frame) for frame in shown.pixels]
    np.testing.assert_allclose(encoder.encode_frames([shown])[0], mean_of(each), atol=1e-5)
    said = (*TEXTS, "tomatoes on the table " * 9)
    for text, row in zip(said, encoder.encode_text(said), strict=True):
        words = tiny_blip.tokenizer()(text, add_special_tokens=False)["input_ids"][:62]
        state = plain.bert(w, "text_encoder.", [2, *words, 3], heads=3)[0]
        np.testing.assert_allclose(row, plain.unit(plain.linear(w, "text_proj", state)), atol=1e-5)
    assert (encoder.dimension, encoder.height, encoder.text_limit) == (16, 32, 64)


# --- what all of them share -----------------------------------------------------------------------------------------


class Counting:
    """Towers that put the mean colour of a picture first, and remember how they were asked."""

    dimension, height, text_limit = 3, 32, 4

    def __init__(self, most: int = 10**6) -> None:
        self.asked: list[int] = []
        self.most = most

    def read(self, texts):
        return torch.tensor([[1.0, len(text), 0.0] for text in texts])

    def see(self, pictures):
        self.asked.append(len(pictures))
        if len(pictures) > self.most:
            raise torch.OutOfMemoryError("full")
        return torch.tensor(np.array([one.reshape(-1, 3).mean(axis=0) + 1 for one in pictures]), dtype=torch.float32)

    def count(self, texts):
        return [len(text.split()) for text in texts]


def encoder_of(towers: Counting, *, pooling: str = "", batch: int = 4) -> _pictures.PicturesEncoder:
    checkpoint = SimpleNamespace(name="counting", revision="1")
    return _pictures.PicturesEncoder(towers, checkpoint, loading=Loading(device="cpu", batch=batch), pooling=pooling)


def test_frames_of_all_clips_share_batches() -> None:
    towers = Counting()
    clips = [clip_of(3), clip_of(1, seed=9, height=20), clip_of(6, seed=20)]
    rows = encoder_of(towers).encode_frames(clips)
    assert towers.asked == [4, 4, 2]
    assert rows.shape == (3, 3)
    one = encoder_of(Counting(), batch=1)
    np.testing.assert_allclose(rows, [one.encode_frames([clip])[0] for clip in clips], atol=1e-6)


def test_pooling_policies() -> None:
    shown = clip_of(3)
    each = encoder_of(Counting()).encode_pictures(shown.pixels)
    towers = Counting()
    np.testing.assert_array_equal(encoder_of(towers, pooling="first").encode_frames([shown])[0], each[0])
    assert towers.asked == [1]
    kept = encoder_of(Counting(), pooling="max")
    assert kept.source.settings["pooling"] == "max"
    with pytest.raises(UsageError, match="one vector a frame: ask encode_pictures"):
        kept.encode_frames([shown])
    with pytest.raises(UsageError, match="no pooling called 'best'"):
        encoder_of(Counting(), pooling="best")


def test_when_memory_ends_it_goes_on_with_half(caplog: pytest.LogCaptureFixture) -> None:
    towers = Counting(most=1)
    rows = encoder_of(towers).encode_pictures(clip_of(4).pixels)
    assert towers.asked == [4, 2, 1, 1, 2, 1, 1]
    np.testing.assert_array_equal(rows, encoder_of(Counting()).encode_pictures(clip_of(4).pixels))


def test_what_is_no_picture_is_refused() -> None:
    encoder = encoder_of(Counting())
    with pytest.raises(UsageError, match=r"uint8 \(H, W, 3\), got float64 \(32, 32, 3\)"):
        encoder.encode_pictures([np.zeros((32, 32, 3))])
    with pytest.raises(UsageError, match="without frames"):
        encoder.encode_frames([Frames(np.zeros((0, 4, 4, 3), np.uint8), np.zeros(0))])


def test_vectors_that_are_no_numbers_are_the_models_fault() -> None:
    towers = Counting()
    towers.read = lambda texts: torch.full((len(texts), 3), float("nan"))
    with pytest.raises(ModelError, match="counting: a vector of zeros, or with a number that is not finite"):
        encoder_of(towers).encode_text(["a"])


def test_it_is_a_picture_encoder() -> None:
    assert isinstance(encoder_of(Counting()), PictureEncoder)
