"""MiniCPM-V 2.6: against a plain computation on the published layout, written from it."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from torch.nn.functional import conv2d, gelu, layer_norm, linear

from longshot.contracts import Exchange, Frames, Loading, Prompt
from longshot.errors import ModelError
from longshot.models import chat_engine, open_chat_model
from tests.test_chat_families import ASKED, HALF, TIMES, frames_of, seen
from tests.test_internvl import speak
from tests.tiny.internvl import DEEP, TEXT
from tests.tiny.minicpmv import write_minicpmv26

WORDS = 8
# 100 x 137 at about 448 x 448 in its shape is 382 x 523, in multiples of 14: 27 x 37 patches.
SIZE, ROWS, COLUMNS = (100, 137), 27, 37


def clip() -> Frames:
    return frames_of(TIMES, size=SIZE)


def see(tensors: dict[str, torch.Tensor], pixels: torch.Tensor) -> torch.Tensor:
    """Frames (T, 3, h, w) as the language model sees them: (T * 64, D)."""

    def weights(name: str) -> tuple[torch.Tensor, torch.Tensor]:
        return tensors[f"{name}.weight"], tensors[f"{name}.bias"]

    x = conv2d(pixels, *weights("vpm.embeddings.patch_embedding"), stride=14).flatten(2).transpose(1, 2)
    # Of the 70 x 70 learned places, those at the same fraction of the picture.
    places = torch.tensor(
        [row * 70 // ROWS * 70 + column * 70 // COLUMNS for row in range(ROWS) for column in range(COLUMNS)]
    )
    x = x + tensors["vpm.embeddings.position_embedding.weight"][places]
    for layer in range(DEEP):
        at = f"vpm.encoder.layers.{layer}"
        rows = layer_norm(x, (16,), *weights(f"{at}.layer_norm1"), eps=1e-6)
        q, k, v = (
            linear(rows, *weights(f"{at}.self_attn.{name}_proj")).unflatten(2, (2, 8)).transpose(1, 2) for name in "qkv"
        )
        mixed = ((q @ k.mT / math.sqrt(8)).softmax(-1) @ v).transpose(1, 2).flatten(2)
        x = x + linear(mixed, *weights(f"{at}.self_attn.out_proj"))
        rows = layer_norm(x, (16,), *weights(f"{at}.layer_norm2"), eps=1e-6)
        wide = gelu(linear(rows, *weights(f"{at}.mlp.fc1")), approximate="tanh")
        x = x + linear(wide, *weights(f"{at}.mlp.fc2"))
    x = layer_norm(x, (16,), *weights("vpm.post_layernorm"), eps=1e-6)

    values = linear(x, tensors["resampler.kv_proj.weight"])
    values = layer_norm(values, (TEXT,), *weights("resampler.ln_kv"), eps=1e-6)
    code = np.empty((ROWS, COLUMNS, TEXT), dtype=np.float32)
    for row in range(ROWS):
        for column in range(COLUMNS):
            angles = [place / 10_000 ** (step / (TEXT // 4)) for place in (column, row) for step in range(TEXT // 4)]
            across, down = np.split(np.array(angles), 2)
            code[row, column] = np.concatenate([np.sin(across), np.cos(across), np.sin(down), np.cos(down)])
    keys = values + torch.from_numpy(code).reshape(-1, TEXT)
    asked = layer_norm(tensors["resampler.query"], (TEXT,), *weights("resampler.ln_q"), eps=1e-6)
    in_weights = tensors["resampler.attn.in_proj_weight"].chunk(3)
    in_biases = tensors["resampler.attn.in_proj_bias"].chunk(3)
    q, k, v = (linear(*rows) for rows in zip((asked, keys, values), in_weights, in_biases, strict=True))
    mixed = linear((q @ k.mT / math.sqrt(TEXT)).softmax(-1) @ v, *weights("resampler.attn.out_proj"))
    found = layer_norm(mixed, (TEXT,), *weights("resampler.ln_post"), eps=1e-6) @ tensors["resampler.proj"]
    return found.flatten(0, 1)


def test_it_answers_as_its_own_arithmetic_does(tmp_path):
    engine: Any = open_chat_model(str(write_minicpmv26(tmp_path)), settings={"max_new_tokens": WORDS})
    held = load_file(tmp_path / "model.safetensors")
    language = {name.replace("llm.", "language_model."): value for name, value in held.items()}
    tokenizer = engine.preparer.tokenizer

    def words(text: str) -> list[int]:
        return tokenizer(text, add_special_tokens=False)["input_ids"]

    place = tokenizer.convert_tokens_to_ids("<unk>")
    ids = words("<|im_start|>system\nYou are a helpful assistant.<|im_end|>\n<|im_start|>user\n")
    for _ in TIMES:
        ids += [*words("<image>"), *[place] * 64, *words("</image>\n")]
    ids += words(f"{ASKED}<|im_end|>\n<|im_start|>assistant\n")

    (reply,) = engine.generate([Prompt(ASKED, clip())])
    made = engine.preparer.prepare(Prompt(ASKED, clip()), room=0, settings=engine.settings).inputs
    assert made["input_ids"][0].tolist() == ids
    pictures = see(held, seen(clip(), (14 * ROWS, 14 * COLUMNS), HALF))
    said, first = list(ids), None
    for _ in range(reply.tokens_out):
        x = held["llm.model.embed_tokens.weight"][torch.tensor(said)].clone()
        x[torch.tensor(said) == place] = pictures
        last = speak(language, x, old=False)[-1]
        first = last if first is None else first
        said.append(int((held["llm.lm_head.weight"] @ last).argmax()))
    assert reply.text == tokenizer.decode(said[len(ids) :], skip_special_tokens=True).strip()
    np.testing.assert_allclose(engine.embed([Prompt(ASKED, clip())])[0], first, atol=1e-4)


def test_a_prompt_gets_the_same_beside_others(tmp_path):
    engine = open_chat_model(str(write_minicpmv26(tmp_path)), settings={"max_new_tokens": WORDS})
    prompts = [
        Prompt(ASKED, clip()),
        Prompt("Who?", frames_of((1.0, 2.5), size=SIZE, seed=1)),
        Prompt("What is a <unk> here?", frames_of((0.5,)), "You watch.", (Exchange("What?", "A man."),)),
        Prompt("A man slices tomatoes."),
    ]
    together = engine.generate(prompts)
    assert [reply.reason for reply in together] == [""] * 4
    assert together == [engine.generate([prompt])[0] for prompt in prompts]
    assert together[2].note == "control tokens written as text: <unk>"
    assert "".join(engine.stream(prompts[0])).strip() == together[0].text


def test_it_runs_no_python(tmp_path):
    folder = write_minicpmv26(tmp_path)
    for name in ("configuration_minicpm", "modeling_minicpmv", "tokenization_minicpmv_fast"):
        (folder / f"{name}.py").write_text("raise SystemExit('this must not run')\n")
    assert chat_engine(str(folder), Loading()) == ("minicpmv", str(folder))
    assert open_chat_model(str(folder), settings={"max_new_tokens": 2}).generate([Prompt("Hi")])[0].tokens_out


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"version": 4.5}, "is MiniCPM-V 4.5"),
        ({"version": None}, "None"),
        ({"vision_config": {"hidden_size": 16}}, "its config.json names no num_hidden_layers"),
    ],
)
def test_other_versions_and_half_a_config_are_refused(tmp_path, changes, said):
    with pytest.raises(ModelError, match=said):
        open_chat_model(str(write_minicpmv26(tmp_path, **changes)))


def test_a_missing_weight_is_named(tmp_path):
    from safetensors.torch import save_file

    folder = write_minicpmv26(tmp_path)
    held = load_file(folder / "model.safetensors")
    del held["resampler.proj"]
    save_file(held, folder / "model.safetensors")
    with pytest.raises(ModelError, match=r"model\.resampler\.proj"):
        open_chat_model(str(folder))
