"""CaRe and Tarsier2: sizes, the doubled frames, positions and names of weights, against Qwen2-VL driven by hand."""

from __future__ import annotations

import json
import logging
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file
from torchvision.transforms.v2 import InterpolationMode, functional

from longshot import models
from longshot.chat_models import care, tarsier
from longshot.chat_models._doubled import DoubledDialect, Size, Tarsier2Dialect, bounds
from longshot.chat_models._engine import Engine, Settings
from longshot.contracts import Exchange, Finish, Frames, Prompt
from longshot.errors import ModelError
from tests.tiny.care import QWEN_SPECIALS, qwen_tokenizer, qwen_weights, write_care
from tests.tiny.tarsier import CLIP_MEAN, CLIP_STD, write_tarsier2

REQUEST = "Describe the video in detail."
VIDEO_PAD = QWEN_SPECIALS.index("<|video_pad|>")
SYSTEM = "<|im_start|>system\nYou are a helpful assistant.<|im_end|>\n"


def clip_of(count: int, *, height: int = 270, width: int = 480, seed: int = 0) -> Frames:
    """Smooth pictures, so that two ways of scaling agree."""
    random = np.random.default_rng(seed)
    coarse = random.integers(0, 256, (count, 4, 5, 3), dtype=np.uint8)
    pixels = [np.asarray(Image.fromarray(one).resize((width, height), Image.Resampling.BICUBIC)) for one in coarse]
    return Frames(np.stack(pixels), np.arange(count, dtype=np.float64) / 2)


@pytest.fixture(scope="module")
def care_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_care(tmp_path_factory.mktemp("care") / "some-name")


@pytest.fixture(scope="module")
def tarsier2_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tarsier2(tmp_path_factory.mktemp("tarsier2") / "Tarsier2-Recap-7b")


@pytest.fixture(scope="module")
def care_model(care_folder: Path) -> Engine:
    opened = models.open_chat_model(str(care_folder), settings={"max_new_tokens": 12})
    assert isinstance(opened, care.Care)
    return opened


@pytest.fixture(scope="module")
def tarsier2_model(tarsier2_folder: Path) -> Engine:
    opened = models.open_chat_model(str(tarsier2_folder), settings={"max_new_tokens": 12})
    assert isinstance(opened, tarsier.Tarsier2)
    return opened


@pytest.fixture(scope="module")
def stock() -> torch.nn.Module:
    """A stock Qwen2-VL with the weights of both tiny checkpoints, each put into its place by name, here."""
    from transformers import Qwen2VLConfig, Qwen2VLForConditionalGeneration

    config, weights = qwen_weights(len(qwen_tokenizer()))
    model = Qwen2VLForConditionalGeneration(Qwen2VLConfig.from_dict(config)).float().eval()
    places = {
        **{key: f"model.{key}" for key in weights if key.startswith("visual.")},
        **{key: f"model.language_model.{key[6:]}" for key in weights if key.startswith("model.")},
        "lm_head.weight": "lm_head.weight",
    }
    model.load_state_dict({places[key]: value for key, value in weights.items()})
    return model


def patches(pictures: np.ndarray) -> np.ndarray:
    """uint8 (T, h, w, 3), shown twice each -> (T * h/14 * w/14, 1176): windows of 2 x 2, colour, time, row, column."""
    scaled = ((pictures / 255 - CLIP_MEAN) / CLIP_STD).transpose(0, 3, 1, 2)
    rows = []
    for picture in scaled:
        for top in range(0, picture.shape[1], 28):
            for left in range(0, picture.shape[2], 28):
                for y in (top, top + 14):
                    for x in (left, left + 14):
                        one = picture[:, y : y + 14, x : x + 14]
                        rows.append(np.stack([one, one], axis=1).reshape(-1))
    return np.stack(rows).astype(np.float32)


def positions(ids: list[int], grid: tuple[int, int, int]) -> torch.Tensor:
    """M-RoPE's (3, 1, L): words count on, a video's tokens have time, row and column from where it begins."""
    found: list[tuple[int, int, int]] = []
    here = 0
    video = [(t, y, x) for t in range(grid[0]) for y in range(grid[1] // 2) for x in range(grid[2] // 2)]
    seen = False
    for id in ids:
        if id == VIDEO_PAD and not seen:
            found += [(here + t, here + y, here + x) for t, y, x in video]
            here, seen = max(max(row) for row in found) + 1, True
        elif id != VIDEO_PAD:
            found.append((here, here, here))
            here += 1
    return torch.tensor(found).T[:, None]


def by_hand(text: str, pictures: np.ndarray | None) -> dict[str, torch.Tensor]:
    """What a forward takes, from the text with <|video_pad|> once and pictures (T, h, w, 3) at their final size."""
    tokenizer = qwen_tokenizer()
    if pictures is None:
        return {"input_ids": torch.tensor([tokenizer(text)["input_ids"]])}
    count, height, width = pictures.shape[:3]
    grid = (count, height // 14, width // 14)
    tokens = count * grid[1] * grid[2] // 4
    ids = tokenizer(text.replace("<|video_pad|>", "<|video_pad|>" * tokens))["input_ids"]
    return {
        "input_ids": torch.tensor([ids]),
        "position_ids": positions(ids, grid),
        "pixel_values_videos": torch.from_numpy(patches(pictures)),
        "video_grid_thw": torch.tensor([grid]),
    }


def state(model: torch.nn.Module, inputs: dict[str, torch.Tensor]) -> np.ndarray:
    with torch.inference_mode():
        return model.model(**inputs).last_hidden_state[0, -1].numpy()


def at_care_size(frames: Frames, height: int, width: int) -> np.ndarray:
    pixels = torch.from_numpy(frames.pixels).permute(0, 3, 1, 2)
    small = functional.resize(pixels, [height, width], interpolation=InterpolationMode.BICUBIC, antialias=True)
    return small.permute(0, 2, 3, 1).numpy()


@pytest.mark.parametrize(
    ("height", "width", "shown", "tokens"),
    [
        (360, 640, (336, 616), 264),
        (720, 1280, (336, 616), 264),
        (1080, 1920, (336, 616), 264),
        (480, 640, (392, 532), 266),
        (240, 320, (280, 392), 140),
        (480, 480, (476, 476), 289),
        (1280, 720, (616, 336), 264),
    ],
)
def test_care_sizes(care_model: Engine, height: int, width: int, shown: tuple[int, int], tokens: int) -> None:
    dialect = care_model.preparer.dialect
    assert isinstance(dialect, DoubledDialect)
    assert dialect.shown(Size(height, width), dialect.most(32)) == shown
    plan = dialect.plan(Frames(np.zeros((3, height, width, 3), np.uint8), np.arange(3.0)), most=0, settings=Settings())
    assert plan.tokens == 3 * tokens


def test_tarsier2_sizes(tarsier2_model: Engine) -> None:
    dialect = tarsier2_model.preparer.dialect
    assert isinstance(dialect, Tarsier2Dialect)
    assert dialect.shown(Size(720, 1280), dialect.most(16)) == (504, 896)
    frames = Frames(np.zeros((16, 720, 1280, 3), np.uint8), np.arange(16.0))
    assert dialect.plan(frames, most=0, settings=Settings()).tokens == 16 * 576 == 9_216
    assert [dialect.most(count) for count in (1, 20, 21, 40)] == [460_800, 460_800, 449_389, 235_929]
    # To 460,800 pixels first (600 x 768), then to the nearest multiples of 28: in one step 588 x 756 would come out.
    assert dialect.shown(Size(1000, 1280), 460_800) == (588, 756)
    assert dialect.shown(Size(1040, 1280), 460_800) == (616, 756)
    assert dialect.shown(Size(90, 160), 460_800) == (84, 168)


def test_limits_of_every_release() -> None:
    old = {"min_pixels": 3136, "max_pixels": 12845056}
    assert bounds(old) == bounds({"size": old}) == (3136, 12845056)
    assert bounds({"size": {"shortest_edge": 4, "longest_edge": 9}}) == (4, 9)


@pytest.mark.parametrize("count", [1, 2, 5])
def test_every_frame_is_a_patch_of_time(care_model: Engine, count: int) -> None:
    prompt = Prompt(REQUEST, frames=clip_of(count))
    inputs = care_model.preparer.prepare(prompt, room=0, settings=care_model.settings).inputs
    ((t, h, w),) = inputs["video_grid_thw"].tolist()
    assert (t, h, w) == (count, 270 // 28 * 2 + 2, 480 // 28 * 2)
    assert int((inputs["input_ids"] == VIDEO_PAD).sum()) == count * h * w // 4
    halves = inputs["pixel_values_videos"].reshape(-1, 3, 2, 14, 14)
    assert torch.equal(halves[:, :, 0], halves[:, :, 1])
    assert len(halves) == count * h * w
    assert not torch.equal(halves[: h * w], halves[-h * w :]) or count == 1


@pytest.mark.parametrize("count", [1, 3])
def test_care_as_by_hand(care_model: Engine, stock: torch.nn.Module, count: int) -> None:
    frames = clip_of(count, height=720, width=1280)
    text = (
        f"{SYSTEM}<|im_start|>user\n<|vision_start|><|video_pad|><|vision_end|>\n{REQUEST}<|im_end|>\n"
        "<|im_start|>assistant\n"
    )
    inputs = by_hand(text, at_care_size(frames, 336, 616))
    (ours,) = care_model.embed([Prompt(REQUEST, frames=frames)])
    np.testing.assert_allclose(ours, state(stock, inputs), atol=1e-5)


def test_care_text_as_by_hand(care_model: Engine, stock: torch.nn.Module) -> None:
    text = f"{SYSTEM}<|im_start|>user\nWho?<|im_end|>\n<|im_start|>assistant\n"
    (ours,) = care_model.embed([Prompt("Who?")])
    np.testing.assert_allclose(ours, state(stock, by_hand(text, None)), atol=1e-6)


def test_tarsier2_as_by_hand(tarsier2_model: Engine, stock: torch.nn.Module) -> None:
    random = np.random.default_rng(1)
    frames = Frames(random.integers(0, 256, (2, 720, 1280, 3), dtype=np.uint8), np.arange(2.0))
    text = (
        f"{SYSTEM}<|im_start|>user\n<|vision_start|><|video_pad|><|vision_end|>{REQUEST}<|im_end|>\n"
        "<|im_start|>assistant\n"
    )
    twice = [
        Image.fromarray(one).resize((905, 509), Image.Resampling.BICUBIC).resize((896, 504), Image.Resampling.BICUBIC)
        for one in frames.pixels
    ]
    inputs = by_hand(text, np.stack([np.asarray(one) for one in twice]))
    prompt = Prompt(REQUEST, frames=frames)
    prepared = tarsier2_model.preparer.prepare(prompt, room=0, settings=tarsier2_model.settings).inputs
    assert torch.equal(prepared["input_ids"], inputs["input_ids"])
    # The second step is torchvision's here and Pillow's in the hand's: a level or two of 255 apart, 0.015 each.
    apart = (prepared["pixel_values_videos"] - inputs["pixel_values_videos"]).abs()
    assert apart.max() < 0.04 and apart.mean() < 0.005
    inputs["pixel_values_videos"] = prepared["pixel_values_videos"]
    (ours,) = tarsier2_model.embed([prompt])
    np.testing.assert_allclose(ours, state(stock, inputs), atol=1e-5)


def test_care_captions_as_by_hand(care_model: Engine, stock: torch.nn.Module) -> None:
    """Greedy, each token's score divided or multiplied by 1.2 where the prompt or the caption has had it."""
    frames = clip_of(2, height=96, width=128)
    text = (
        f"{SYSTEM}<|im_start|>user\n<|vision_start|><|video_pad|><|vision_end|>\n{REQUEST}<|im_end|>\n"
        "<|im_start|>assistant\n"
    )
    inputs = by_hand(text, at_care_size(frames, 280, 392))
    said: list[int] = []
    while len(said) < 12 and (not said or said[-1] not in (2, 0)):
        with torch.no_grad():
            scores = stock(**inputs).logits[0, -1]
        had = inputs["input_ids"][0].unique()
        scores[had] = torch.where(scores[had] > 0, scores[had] / 1.2, scores[had] * 1.2)
        said.append(int(scores.argmax()))
        inputs["input_ids"] = torch.cat([inputs["input_ids"], torch.tensor([[said[-1]]])], 1)
        inputs["position_ids"] = torch.cat([inputs["position_ids"], inputs["position_ids"][..., -1:] + 1], -1)
    (reply,) = care_model.generate([Prompt(REQUEST, frames=frames)])
    assert reply.text == qwen_tokenizer().decode(said, skip_special_tokens=True).strip()
    assert care_model.source.settings == {"dtype": "float32", "max_new_tokens": 12, "repetition_penalty": 1.2}


@pytest.mark.parametrize("name", ["care_model", "tarsier2_model"])
def test_a_batch_gives_each_what_it_gets_alone(name: str, request: pytest.FixtureRequest) -> None:
    model = request.getfixturevalue(name)
    prompts = [
        Prompt(REQUEST, frames=clip_of(3, height=60, width=90)),
        Prompt("Who?"),
        Prompt("And then?", frames=clip_of(1, height=90, width=60), history=(Exchange("Who?", "A man."),)),
        Prompt("A man slices tomatoes on a wooden board. What happens first, and what happens then?"),
    ]
    alone = [model.generate([prompt])[0] for prompt in prompts]
    assert model.generate(prompts) == alone
    assert len({reply.text for reply in alone}) == 4
    states = np.concatenate([model.embed([prompt]) for prompt in prompts])
    np.testing.assert_allclose(model.embed(prompts), states, atol=1e-5)


def test_frames_that_do_not_fit_get_smaller_then_fewer(care_folder: Path) -> None:
    settings = {"max_new_tokens": 1, "visual_tokens": 600}
    frames = clip_of(4, height=720, width=1280)
    (reply,) = models.open_chat_model(str(care_folder), settings=settings).generate([Prompt("Who?", frames=frames)])
    assert reply.note.startswith("frames reduced to ") and reply.tokens_in < 640
    settings["visual_tokens"] = 300
    (reply,) = models.open_chat_model(str(care_folder), settings=settings).generate([Prompt("Who?", frames=frames)])
    assert reply.note.startswith("2 of 4 frames used")
    settings["visual_tokens"] = 100
    (reply,) = models.open_chat_model(str(care_folder), settings=settings).generate([Prompt("Who?", frames=frames)])
    assert reply.finish is Finish.FAILED and "one frame takes 120 visual tokens at the least" in reply.reason


def test_names_of_2024_are_all_placed(
    tarsier2_folder: Path, tarsier2_model: Engine, stock: torch.nn.Module, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        models.open_chat_model(str(tarsier2_folder))
    assert "no place" not in caplog.text
    names = set(load_file(tarsier2_folder / "model.safetensors"))
    assert {"vision_tower.blocks.0.attn.qkv.weight", "language_model.lm_head.weight"} < names
    held = tarsier2_model.model.state_dict()
    assert held.keys() == stock.state_dict().keys()
    assert all(torch.equal(held[key], value) for key, value in stock.state_dict().items())


@pytest.mark.parametrize("nested", [False, True])
def test_tarsier2_config_is_flattened(tarsier2_folder: Path, nested: bool) -> None:
    config = json.loads((tarsier2_folder / "config.json").read_text())
    flat, _ = qwen_weights(len(qwen_tokenizer()))
    if nested:
        # Another way to write the same: whole Qwen2VLConfigs in both places.
        whole = {**config["text_config"], "vision_config": {**flat["vision_config"]}}
        config = {**config, "text_config": whole, "vision_config": whole}
    found = tarsier.flattened(config)
    assert found["model_type"] == "qwen2_vl"
    assert found["vision_config"] == {key: value for key, value in flat["vision_config"].items() if key != "model_type"}
    for key in ("hidden_size", "num_hidden_layers", "rope_scaling", "vocab_size", "video_token_id"):
        assert found[key] == flat[key]


@pytest.mark.parametrize(
    ("name", "architecture", "engine"),
    [
        ("anything", "CaReModel", "care"),
        ("CaRe-7B-Stage-1", "Qwen2VLForConditionalGeneration", "care"),
        ("care-7b", "Qwen2VLForConditionalGeneration", "care"),
        ("Qwen2-VL-7B-Instruct", "Qwen2VLForConditionalGeneration", "transformers"),
        ("careful", "Qwen2VLForConditionalGeneration", "transformers"),
    ],
)
def test_care_is_told_by_architecture_or_name(tmp_path: Path, name: str, architecture: str, engine: str) -> None:
    from longshot.contracts import Loading

    (tmp_path / name).mkdir()
    (tmp_path / name / "config.json").write_text(json.dumps({"architectures": [architecture]}))
    assert models.chat_engine(str(tmp_path / name), Loading()) == (engine, str(tmp_path / name))


def test_what_cannot_be_opened_is_named(care_folder: Path, tarsier2_folder: Path, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="is no CaRe: its model_type is llava"):
        models.open_chat_model(f"care:{tarsier2_folder}")
    bare = tmp_path / "CaRe-7B"
    bare.mkdir()
    (bare / "config.json").write_text((care_folder / "config.json").read_text())
    with pytest.raises(ModelError, match="lacks a tokenizer"):
        models.open_chat_model(str(bare))
    (bare / "tokenizer.json").write_text((care_folder / "tokenizer.json").read_text())
    with pytest.raises(ModelError, match="has no chat template"):
        models.open_chat_model(str(bare))
    (bare / "chat_template.json").write_text((care_folder / "chat_template.json").read_text())
    with pytest.raises(ModelError, match=r"lacks preprocessor_config\.json"):
        models.open_chat_model(str(bare))
    (bare / "preprocessor_config.json").write_text((care_folder / "preprocessor_config.json").read_text())
    with pytest.raises(ModelError, match="there are no weights"):
        models.open_chat_model(str(bare))
    config = json.loads((care_folder / "config.json").read_text())
    (bare / "config.json").write_text(json.dumps({**config, "video_token_id": 3}))
    # A checkpoint is read once in a process; under another name it is another.
    bare.rename(tmp_path / "CaRe-8B")
    with pytest.raises(ModelError, match=r"gives <\|video_pad\|> the id 7, config.json says 3"):
        models.open_chat_model(str(tmp_path / "CaRe-8B"))
