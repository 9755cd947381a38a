"""The Qwen-VL families on tiny weights, against token ids, patches, positions and a greedy loop written out here."""

from __future__ import annotations

import functools
import math
from pathlib import Path

import numpy as np
import pytest
import torch

from longshot import checkpoints
from longshot.chat_models._dialects import metadata, resized, thinned
from longshot.chat_models._engine import Engine, Misfit
from longshot.contracts import Exchange, Finish, Frames, Loading, Prompt
from longshot.models import open_chat_model
from tests.tiny import qwen

NAMES = sorted(qwen.BUILDERS)
SYSTEM = "<|im_start|>system\nYou are a helpful assistant.<|im_end|>\n"
PATCH = {"Qwen2-VL": 14, "Qwen2.5-VL": 14, "Qwen3-VL": 16, "Qwen3.5": 16}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory):
    """Name -> a folder, built once."""
    return functools.cache(lambda name: qwen.BUILDERS[name](tmp_path_factory.mktemp("qwen") / name))


@functools.cache
def opened(folder: Path, **settings: float) -> Engine:
    model = open_chat_model(str(folder), loading=Loading(), settings={"max_new_tokens": 6, **settings})
    assert isinstance(model, Engine)
    return model


def clip(count: int, height: int, width: int, *, seed: int = 0, times: list[float] | None = None) -> Frames:
    pixels = np.random.default_rng(seed).integers(0, 256, (count, height, width, 3), dtype=np.uint8)
    return Frames(pixels, np.array(times if times is not None else [0.5 * k for k in range(count)]))


def patches(frames: np.ndarray, patch: int, mean: tuple[float, ...], std: tuple[float, ...]) -> np.ndarray:
    """One row a patch: two frames deep, in 2 x 2 blocks; each row channel by channel, frame by frame, line by line."""
    values = ((frames / 255.0 - mean) / std).astype(np.float32)
    if len(values) % 2:
        values = np.concatenate([values, values[-1:]])
    rows = []
    for pair in range(len(values) // 2):
        for top in range(0, values.shape[1], 2 * patch):
            for left in range(0, values.shape[2], 2 * patch):
                for y in (top, top + patch):
                    for x in (left, left + patch):
                        cube = values[2 * pair : 2 * pair + 2, y : y + patch, x : x + patch]
                        rows.append(cube.transpose(3, 0, 1, 2).reshape(-1))
    return np.stack(rows)


def ids_of(engine: Engine, text: str) -> list[int]:
    """Token ids, with "V*12" for 12 video places between marks of vision."""
    tokenizer = engine.preparer.tokenizer
    return tokenizer(text, add_special_tokens=False)["input_ids"]


def greedy(engine: Engine, inputs: dict[str, torch.Tensor], count: int) -> list[int]:
    """The likeliest token each time, by whole forward passes of the bare model."""
    made: list[int] = []
    video = engine.model.config.video_token_id
    for _ in range(count):
        ids = torch.cat([inputs["input_ids"], torch.tensor([made], dtype=torch.long)], dim=1)
        kinds = torch.where(ids == video, 2, torch.where(ids == engine.model.config.image_token_id, 1, 0))
        with torch.no_grad():
            logits = engine.model(**{**inputs, "input_ids": ids, "mm_token_type_ids": kinds}, use_cache=False).logits
        made.append(int(logits[0, -1].argmax()))
        if made[-1] in engine._ends:
            break
    return made


def plain(engine: Engine, text: str, frames: Frames, patch: int) -> dict[str, torch.Tensor]:
    """Inputs written out by hand, for frames whose sides need no change."""
    mean, std = (qwen.CLIP_MEAN, qwen.CLIP_STD) if patch == 14 else ((0.5,) * 3, (0.5,) * 3)
    pixels = frames.pixels
    if len(pixels) == 1:
        pixels = np.repeat(pixels, 2, axis=0)
    grid = [math.ceil(len(frames) / 2), pixels.shape[1] // patch, pixels.shape[2] // patch]
    kind = "image" if len(frames) == 1 else "video"
    return {
        "input_ids": torch.tensor([ids_of(engine, text)]),
        "pixel_values" if kind == "image" else "pixel_values_videos": torch.tensor(patches(pixels, patch, mean, std)),
        f"{kind}_grid_thw": torch.tensor([grid]),
    }


@pytest.mark.parametrize("count", [1, 4, 5])
def test_qwen2_vl_is_the_model_on_ids_and_patches_written_by_hand(folder, count: int) -> None:
    engine = opened(folder("Qwen2-VL"), frame_pixels=28 * 28 * 12)
    frames = clip(count, 84, 112, seed=count)
    pad = "<|image_pad|>" if count == 1 else "<|video_pad|>"
    places = pad * (math.ceil(count / 2) * 3 * 4)
    shell = f"<|im_start|>user\n<|vision_start|>{places}<|vision_end|>What happens?<|im_end|>\n<|im_start|>assistant\n"
    inputs = plain(engine, SYSTEM + shell, frames, 14)
    prompt = Prompt("What happens?", frames=frames)
    prepared = engine.preparer.prepare(prompt, room=0, settings=engine.settings).inputs
    assert prepared["input_ids"].tolist() == inputs["input_ids"].tolist()
    for name in ("pixel_values", "pixel_values_videos"):
        if name in inputs:
            torch.testing.assert_close(prepared[name], inputs[name], rtol=0, atol=2e-6)
    made = greedy(engine, inputs, 6)
    reply = engine.generate([prompt])[0]
    assert reply.text == engine.preparer.tokenizer.decode(made, skip_special_tokens=True).strip()
    assert (reply.tokens_in, reply.tokens_out) == (inputs["input_ids"].shape[1], len(made))
    assert reply.note == ""


@pytest.mark.parametrize("count", [3, 4])
def test_qwen2_5_vl_knows_the_seconds_between_its_pairs(folder, count: int) -> None:
    engine = opened(folder("Qwen2.5-VL"), frame_pixels=28 * 28 * 4)
    # Frames 3 s apart: pairs stand 6 s apart, which is 12 positions at 2 a second; the third of three is its own pair.
    frames = clip(count, 56, 56, times=[10.0, 13.0, 16.0, 19.0][:count])
    places = "<|video_pad|>" * 8
    text = f"{SYSTEM}<|im_start|>user\n<|vision_start|>{places}<|vision_end|>Now?<|im_end|>\n<|im_start|>assistant\n"
    inputs = plain(engine, text, frames, 14)
    ids = inputs["input_ids"][0].tolist()
    first = ids.index(engine.model.config.video_token_id)
    before = list(range(first))
    time = [first] * 4 + [first + 12] * 4
    row, column = [first, first, first + 1, first + 1] * 2, [first, first + 1] * 4
    # Behind a video, text goes on from its larger side (2), however long it was.
    after = list(range(first + 2, first + 2 + len(ids) - first - 8))
    positions = torch.tensor([[before + axis + after] for axis in (time, row, column)])
    with torch.no_grad():
        states = engine.model.model(**inputs, position_ids=positions, use_cache=False).last_hidden_state[:, -1]
    prompt = Prompt("Now?", frames=frames)
    np.testing.assert_allclose(engine.embed([prompt]), states.numpy(), rtol=0, atol=2e-5)
    closer = Prompt("Now?", frames=Frames(frames.pixels, np.arange(count) / 2))
    assert np.abs(engine.embed([closer]) - states.numpy()).max() > 1e-4


@pytest.mark.parametrize("name", ["Qwen3-VL", "Qwen3.5"])
def test_qwen3_vl_reads_the_true_time_before_each_pair(folder, name: str) -> None:
    engine = opened(folder(name), frame_pixels=32 * 32 * 6)
    # Variable frame rate: pairs at (0.1 + 0.7) / 2, (5.0 + 5.33) / 2, and the last frame alone at 61.04.
    frames = clip(5, 64, 96, times=[0.1, 0.7, 5.0, 5.33, 61.04])
    pair = "<|vision_start|>" + "<|video_pad|>" * 6 + "<|vision_end|>"
    told = f"<0.4 seconds>{pair}<5.2 seconds>{pair}<61.0 seconds>{pair}"
    text = f"<|im_start|>user\n{told}What happens?<|im_end|>\n<|im_start|>assistant\n"
    inputs = plain(engine, text, frames, 16)
    prompt = Prompt("What happens?", frames=frames)
    prepared = engine.preparer.prepare(prompt, room=0, settings=engine.settings).inputs
    assert prepared["input_ids"].tolist() == inputs["input_ids"].tolist()
    torch.testing.assert_close(prepared["pixel_values_videos"], inputs["pixel_values_videos"], rtol=0, atol=2e-6)
    made = greedy(engine, inputs, 6)
    assert engine.generate([prompt])[0].text == engine.preparer.tokenizer.decode(made, skip_special_tokens=True).strip()


@pytest.mark.parametrize("name", NAMES)
def test_a_batch_gives_what_each_prompt_gets_alone(folder, name: str) -> None:
    engine = opened(folder(name), frame_pixels=6000)
    prompts = [
        Prompt("What happens?", frames=clip(5, 90, 120, seed=1)),
        Prompt("Who is there, and what do they do at the table?"),
        Prompt("Describe.", frames=clip(1, 70, 60, seed=2)),
        Prompt("And then?", frames=clip(2, 200, 60, seed=3), system="Be brief."),
        Prompt("More.", frames=clip(8, 64, 64, seed=4), history=(Exchange("What is it?", "A rocket."),)),
        Prompt("Hi"),
    ]
    together = engine.generate(prompts)
    alone = [engine.generate([prompt])[0] for prompt in prompts]
    assert together == alone
    assert len({reply.text for reply in together}) == len(prompts)
    states = np.concatenate([engine.embed([prompt]) for prompt in prompts])
    np.testing.assert_allclose(engine.embed(prompts), states, rtol=0, atol=1e-5)
    # The logits of the next token, all rows in one padded batch against one row each.
    ready = [engine.preparer.prepare(prompt, room=0, settings=engine.settings) for prompt in prompts]
    with torch.no_grad():
        batched = engine.model(**engine._join(ready)).logits[:, -1]
        single = torch.cat([engine.model(**engine._join([one])).logits[:, -1] for one in ready])
    torch.testing.assert_close(batched, single, rtol=0, atol=1e-4)


@pytest.mark.parametrize("name", NAMES)
def test_visual_tokens_are_what_the_plan_says(folder, name: str) -> None:
    engine = opened(folder(name), frame_pixels=12_000)
    side = 2 * PATCH[name]
    for count, height, width in [(1, 40, 300), (2, 33, 47), (3, 250, 100), (7, 64, 65), (2, 30, 20)]:
        frames = clip(count, height, width)
        for most in (0, 30, 16):
            plan = engine.preparer.dialect.plan(frames, most=most, settings=engine.settings)
            inputs = engine.preparer._inputs(Prompt("?", frames=frames), plan)
            grid = inputs.get("video_grid_thw", inputs.get("image_grid_thw"))[0].tolist()
            seen = (inputs["input_ids"] == engine.model.config.video_token_id).sum()
            seen += (inputs["input_ids"] == engine.model.config.image_token_id).sum()
            assert plan.tokens == seen == math.prod(grid) // 4
            assert not most or seen <= most
            assert seen // grid[0] * side**2 <= 12_000


@pytest.mark.parametrize(
    ("height", "width", "shown", "tokens"),
    [
        (360, 640, (336, 616), 264),
        (720, 1280, (336, 616), 264),
        (1080, 1920, (336, 616), 264),
        (480, 640, (392, 532), 266),
        (240, 320, (280, 392), 140),
        (480, 480, (476, 476), 289),
    ],
)
def test_sizes_of_the_family(height: int, width: int, shown: tuple[int, int], tokens: int) -> None:
    """Computed with the seeds' bounds, 128 tokens and 230,400 pixels."""
    rows, columns = resized(height, width, factor=28, least=128 * 28 * 28, most=230_400)
    assert (rows, columns) == shown
    assert rows // 28 * (columns // 28) == tokens


def test_a_full_size_video_takes_264_tokens_a_pair(folder) -> None:
    engine = opened(folder("Qwen2-VL"), frame_pixels=230_400)
    inputs = engine.preparer.prepare(Prompt("?", frames=clip(4, 360, 640)), room=0, settings=engine.settings).inputs
    assert inputs["video_grid_thw"].tolist() == [[2, 24, 44]]


def test_system_and_history_stand_around_the_first_turn(folder) -> None:
    engine = opened(folder("Qwen2-VL"), frame_pixels=28 * 28 * 4)
    prompt = Prompt("And?", clip(2, 56, 56), "Be brief.", (Exchange("What?", "A man."), Exchange("Who?", "Bob.")))
    ids = engine.preparer.prepare(prompt, room=0, settings=engine.settings).inputs["input_ids"][0]
    assert engine.preparer.tokenizer.decode(ids) == (
        "<|im_start|>system\nBe brief.<|im_end|>\n"
        f"<|im_start|>user\n<|vision_start|>{'<|video_pad|>' * 4}<|vision_end|>What?<|im_end|>\n"
        "<|im_start|>assistant\nA man.<|im_end|>\n<|im_start|>user\nWho?<|im_end|>\n"
        "<|im_start|>assistant\nBob.<|im_end|>\n<|im_start|>user\nAnd?<|im_end|>\n<|im_start|>assistant\n"
    )


@pytest.mark.parametrize("name", NAMES)
def test_names_of_weights_are_those_of_the_hub(folder, name: str) -> None:
    names = set(checkpoints.find(str(folder(name))).tensors())
    picture, words = ("model.visual.", "model.language_model.") if name.startswith("Qwen3") else ("visual.", "model.")
    assert {
        "lm_head.weight",
        f"{picture}patch_embed.proj.weight",
        f"{words}layers.{3 if name == 'Qwen3.5' else 0}.self_attn.q_proj.weight",
    } <= names


def test_frames_are_reduced_then_thinned_and_it_says_so(folder) -> None:
    engine = opened(folder("Qwen2-VL"))
    frames = clip(8, 448, 448)
    prompts = [Prompt("What happens?", frames=frames)]
    whole = engine.generate(prompts)[0]
    assert (whole.note, whole.tokens_in > 4 * 256) == ("", True)
    smaller = opened(folder("Qwen2-VL"), visual_tokens=4 * 196).generate(prompts)[0]
    assert smaller.note == "frames reduced to 784 of 1024 visual tokens"
    fewer = opened(folder("Qwen2-VL"), visual_tokens=300).generate(prompts)[0]
    assert fewer.note == "4 of 8 frames used, frames reduced to 242 of 1024 visual tokens"
    assert fewer.tokens_in == whole.tokens_in - 1024 + 242
    none = opened(folder("Qwen2-VL"), visual_tokens=50).generate(prompts)[0]
    assert none.finish is Finish.FAILED
    assert none.reason == "one frame takes 121 visual tokens at the least, and there is room for 50"


@pytest.mark.parametrize("name", NAMES)
def test_a_long_video_is_made_to_fit_the_context(folder, name: str) -> None:
    engine = opened(folder(name))
    frames = clip(90, 112, 112)
    reply = engine.generate([Prompt("What happens?", frames=frames)])[0]
    assert reply.finish is not Finish.FAILED
    assert "of 90 frames used" in reply.note
    assert 0.9 * 4096 < reply.tokens_in <= 4096 - 6


def test_a_strip_of_a_picture_is_refused_alone(folder) -> None:
    engine = opened(folder("Qwen2-VL"))
    strip, fine = engine.generate([Prompt("?", frames=clip(2, 2, 600)), Prompt("Hi")])
    assert strip.finish is Finish.FAILED
    assert "too narrow" in strip.reason
    assert fine.text
    with pytest.raises(Misfit):
        resized(2, 600, factor=28, least=1, most=10**6)


def test_times_as_metadata() -> None:
    told = metadata(clip(4, 8, 8, times=[0.0, 0.04, 1.0, 7.123456]))
    assert [index / told["fps"] for index in told["frames_indices"]] == [0.0, 0.04, 1.0, 7.123456]


def test_thinned_keeps_the_middles_of_equal_parts() -> None:
    assert thinned(8, 4) == (1, 3, 5, 7)
    assert thinned(3, 5) == (0, 1, 2)
    assert thinned(5, 2) == (1, 3)
