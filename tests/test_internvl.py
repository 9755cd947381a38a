"""Original InternVL checkpoints: against a plain computation on the original tensors, written from their layout."""

from __future__ import annotations

import json
import math
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from torch.nn.functional import conv2d, gelu, layer_norm, linear, silu

from longshot.chat_models import _sentencepiece
from longshot.contracts import Exchange, Loading, Prompt
from longshot.errors import ModelError
from longshot.models import chat_engine, open_chat_model
from tests.test_chat_families import ASKED, IMAGENET, frames_of, seen
from tests.tiny.internvl import DEEP, HEADS, KEYS, QUERIES, SPECIALS, TEXT, WIDTH, write_original

WORDS = 8


def see(tensors: dict[str, torch.Tensor], pixels: torch.Tensor) -> torch.Tensor:
    """Tiles (T, 3, 448, 448) as the language model sees them: (T * 256, D)."""

    def at(name: str, layer: int | None = None) -> torch.Tensor:
        return tensors[f"vision_model.{'embeddings' if layer is None else f'encoder.layers.{layer}'}.{name}"]

    patches = conv2d(pixels, at("patch_embedding.weight"), at("patch_embedding.bias"), stride=14)
    flat = patches.flatten(2).transpose(1, 2)
    x = torch.cat([at("class_embedding").expand(len(flat), -1, -1), flat], dim=1) + at("position_embedding")
    for layer in range(DEEP):
        rows = layer_norm(x, (WIDTH,), at("norm1.weight", layer), at("norm1.bias", layer), 1e-6)
        joint = linear(rows, at("attn.qkv.weight", layer), at("attn.qkv.bias", layer))
        q, k, v = joint.reshape(len(x), 1025, 3, HEADS, WIDTH // HEADS).permute(2, 0, 3, 1, 4)
        mixed = (q @ k.mT / math.sqrt(WIDTH // HEADS)).softmax(-1) @ v
        out = linear(mixed.transpose(1, 2).flatten(2), at("attn.proj.weight", layer), at("attn.proj.bias", layer))
        x = x + at("ls1", layer) * out
        rows = layer_norm(x, (WIDTH,), at("norm2.weight", layer), at("norm2.bias", layer), 1e-6)
        wide = gelu(linear(rows, at("mlp.fc1.weight", layer), at("mlp.fc1.bias", layer)))
        x = x + at("ls2", layer) * linear(wide, at("mlp.fc2.weight", layer), at("mlp.fc2.bias", layer))
    # Squares of 2 x 2 patches side by side in the channels, row by row.
    squares = x[:, 1:].reshape(-1, 16, 2, 16, 2, WIDTH).permute(0, 1, 3, 2, 4, 5).reshape(-1, 4 * WIDTH)
    rows = layer_norm(squares, (4 * WIDTH,), tensors["mlp1.0.weight"], tensors["mlp1.0.bias"])
    wide = gelu(linear(rows, tensors["mlp1.1.weight"], tensors["mlp1.1.bias"]))
    return linear(wide, tensors["mlp1.3.weight"], tensors["mlp1.3.bias"])


def speak(tensors: dict[str, torch.Tensor], x: torch.Tensor, *, old: bool) -> torch.Tensor:
    """The language model over embedded words (L, D): InternLM2 when `old`, else Qwen2."""
    each = TEXT // QUERIES
    steps = torch.arange(len(x))[:, None] / 1e6 ** (torch.arange(0, each, 2) / each)
    cos, sin = (torch.cat([wave, wave], dim=-1)[:, None] for wave in (steps.cos(), steps.sin()))

    def turned(rows: torch.Tensor) -> torch.Tensor:
        first, second = rows.chunk(2, dim=-1)
        return rows * cos + torch.cat([-second, first], dim=-1) * sin

    def normed(rows: torch.Tensor, name: str) -> torch.Tensor:
        scale = (rows.square().mean(-1, keepdim=True) + (1e-5 if old else 1e-6)).rsqrt()
        return rows * scale * tensors[f"language_model.model.{name}.weight"]

    for layer in range(DEEP):
        at = f"language_model.model.layers.{layer}"
        rows = normed(x, f"layers.{layer}.{'attention_norm' if old else 'input_layernorm'}")
        if old:
            groups = linear(rows, tensors[f"{at}.attention.wqkv.weight"]).reshape(len(x), KEYS, -1, each)
            q, k, v = groups[:, :, :-2].flatten(1, 2), groups[:, :, -2], groups[:, :, -1]
        else:
            q, k, v = (
                linear(
                    rows, tensors[f"{at}.self_attn.{n}_proj.weight"], tensors[f"{at}.self_attn.{n}_proj.bias"]
                ).reshape(len(x), -1, each)
                for n in "qkv"
            )
        q, k = turned(q), turned(k)
        k, v = (part.repeat_interleave(QUERIES // KEYS, dim=1) for part in (k, v))
        scores = torch.einsum("qhd,khd->hqk", q, k) / math.sqrt(each)
        scores = scores.masked_fill(torch.ones(len(x), len(x)).triu(1).bool(), -torch.inf)
        mixed = torch.einsum("hqk,khd->qhd", scores.softmax(-1), v).flatten(1)
        x = x + linear(mixed, tensors[f"{at}.{'attention.wo' if old else 'self_attn.o_proj'}.weight"])
        rows = normed(x, f"layers.{layer}.{'ffn_norm' if old else 'post_attention_layernorm'}")
        gate, up, down = (
            tensors[f"{at}.{part}.weight"]
            for part in (
                [f"feed_forward.{part}" for part in ("w1", "w3", "w2")]
                if old
                else [f"mlp.{part}_proj" for part in ("gate", "up", "down")]
            )
        )
        x = x + linear(silu(linear(rows, gate)) * linear(rows, up), down)
    return normed(x, "norm")


@pytest.mark.parametrize("language", ["Qwen2ForCausalLM", "InternLM2ForCausalLM"])
def test_an_original_answers_as_its_own_arithmetic_does(tmp_path, language):
    old = language == "InternLM2ForCausalLM"
    engine: Any = open_chat_model(str(write_original(tmp_path, language=language)), settings={"max_new_tokens": WORDS})
    tensors = load_file(tmp_path / "model.safetensors")
    tokenizer = engine.preparer.tokenizer
    break_ = "" if old else "\n"

    def words(text: str) -> list[int]:
        return tokenizer(text, add_special_tokens=False)["input_ids"]

    place = tokenizer.convert_tokens_to_ids("<IMG_CONTEXT>")
    ids = words("<|im_start|>user\n")
    for number in (1, 2, 3):
        ids += [*words(f"Frame{number}: <img>"), *[place] * 256, *words("</img>\n")]
    ids += words(f"{ASKED}<|im_end|>{break_}<|im_start|>assistant\n")

    (reply,) = engine.generate([Prompt(ASKED, frames_of())])
    table = tensors["language_model.model.tok_embeddings.weight" if old else "language_model.model.embed_tokens.weight"]
    head = tensors["language_model.output.weight" if old else "language_model.lm_head.weight"]
    pictures = see(tensors, seen(frames_of(), (448, 448), IMAGENET))
    said, first = list(ids), None
    for _ in range(reply.tokens_out):
        x = table[torch.tensor(said)].clone()
        x[torch.tensor(said) == place] = pictures
        last = speak(tensors, x, old=old)[-1]
        first = last if first is None else first
        said.append(int((head @ last).argmax()))
    assert reply.tokens_in == len(ids)
    assert reply.text == tokenizer.decode(said[len(ids) :], skip_special_tokens=True).strip()
    np.testing.assert_allclose(engine.embed([Prompt(ASKED, frames_of())])[0], first, atol=1e-4)


def test_an_original_gives_each_prompt_the_same_beside_others(tmp_path):
    engine = open_chat_model(str(write_original(tmp_path)), settings={"max_new_tokens": WORDS})
    prompts = [
        Prompt(ASKED, frames_of()),
        Prompt("Who?", frames_of((1.0, 2.5), size=(64, 90))),
        Prompt("What is a <video> here?", frames_of((0.5,)), "You watch.", (Exchange("What?", "A man."),)),
        Prompt("A man slices tomatoes."),
    ]
    together = engine.generate(prompts)
    assert together == [engine.generate([prompt])[0] for prompt in prompts]
    assert [reply.reason for reply in together] == [""] * 4
    assert "".join(engine.stream(prompts[0])).strip() == together[0].text


def test_a_reply_ends_at_the_end_of_a_turn(tmp_path):
    engine: Any = open_chat_model(str(write_original(tmp_path)))
    assert engine._ends == (engine.preparer.tokenizer.convert_tokens_to_ids("<|im_end|>"),)


def test_an_original_is_chosen_by_its_architecture_and_runs_no_python(tmp_path):
    folder = write_original(tmp_path)
    (folder / "modeling_internvl_chat.py").write_text("raise SystemExit('this must not run')\n")
    (folder / "configuration_internvl_chat.py").write_text("raise SystemExit('this must not run')\n")
    assert chat_engine(str(folder), Loading()) == ("internvl", str(folder))
    assert open_chat_model(str(folder), settings={"max_new_tokens": 2}).generate([Prompt("Hi")])[0].tokens_out


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"template": "vicuna_v1.1"}, "template is 'vicuna_v1.1'"),
        ({"ps_version": "v1"}, "pixel shuffle is 'v1'"),
        ({"use_llm_lora": 16}, "LoRA"),
        ({"llm_config": {"architectures": ["Gemma2ForCausalLM"]}}, "language model is Gemma2ForCausalLM"),
        ({"vision_config": {"image_size": 448, "patch_size": 14}}, "its config.json names no hidden_size"),
    ],
)
def test_what_the_native_classes_do_not_compute_is_refused(tmp_path, changes, said):
    write_original(tmp_path, **changes)
    with pytest.raises(ModelError, match=said):
        open_chat_model(str(tmp_path))


def test_a_missing_weight_is_named(tmp_path):
    folder = write_original(tmp_path)
    held = load_file(folder / "model.safetensors")
    del held["mlp1.3.bias"]
    save_file(held, folder / "model.safetensors")
    with pytest.raises(ModelError, match=r"1 weights are missing \(model\.multi_modal_projector\.linear_2\.bias\)"):
        open_chat_model(str(folder))


def test_a_tokenizer_without_the_marks_is_refused(tmp_path):
    folder = write_original(tmp_path)
    for file in ("tokenizer_config.json", "added_tokens.json"):
        text = (folder / file).read_text()
        (folder / file).write_text(text.replace("<IMG_CONTEXT>", "<OTHER>"))
    with pytest.raises(ModelError, match="its tokenizer has no <IMG_CONTEXT>"):
        open_chat_model(str(folder))


# Pieces of a SentencePiece file with their scores, and what the sentencepiece package (0.2) cuts texts into with them.
PIECES = [("<unk>", 0.0, 2), ("<s>", 0.0, 3), ("</s>", 0.0, 3)]
PIECES += [(f"<0x{byte:02X}>", 0.0, 6) for byte in range(256)]
PIECES += [(text, -float(rank), 1) for rank, text in enumerate(["ab", "\u2581a", "abc", "\u2581ab", "cd", "b\u2581"])]
PIECES += [(text, -10.0 - rank, 1) for rank, text in enumerate("\u2581abcde")]


def message(*fields: tuple[int, Any]) -> bytes:
    """A protocol buffer message of numbers, floats and bytes."""

    def number(value: int) -> bytes:
        return bytes([value & 0x7F | 0x80]) + number(value >> 7) if value > 0x7F else bytes([value])

    made = b""
    for place, value in fields:
        if isinstance(value, float):
            made += number(place << 3 | 5) + struct.pack("<f", value)
        elif isinstance(value, int):
            made += number(place << 3) + number(value)
        else:
            made += number(place << 3 | 2) + number(len(value)) + value
    return made


def pieces_file(path: Path, *, front: bool = False, kind: int = 2) -> Path:
    pieces = [(1, message((1, text.encode()), (2, score), (3, type_))) for text, score, type_ in PIECES]
    trainer = message((3, kind), (35, 1), (40, 0))
    normal = message((1, b"identity"), (3, int(front)), (4, 0))
    path.write_bytes(message(*pieces, (2, trainer), (3, normal)))
    return path


@pytest.mark.parametrize(
    ("front", "text", "pieces"),
    [
        (False, "abcd ab", ["abc", "d", "\u2581ab"]),
        (True, "abcd ab", ["\u2581", "abc", "d", "\u2581ab"]),
        (False, "ab  e\u00e9", ["ab", "\u2581", "\u2581", "e", "<0xC3>", "<0xA9>"]),
        (False, "", []),
    ],
)
def test_a_sentencepiece_file_cuts_as_its_own_package_does(tmp_path, front, text, pieces):
    cut = _sentencepiece.tokenizer(pieces_file(tmp_path / "tokenizer.model", front=front), "x")
    found = cut.encode(text, add_special_tokens=False)
    assert found.tokens == pieces
    assert cut.decode(found.ids) == text


def test_what_is_no_sentencepiece_file_is_refused(tmp_path):
    (tmp_path / "torn").write_bytes(pieces_file(tmp_path / "tokenizer.model").read_bytes()[:40])
    with pytest.raises(ModelError, match="is no SentencePiece file"):
        _sentencepiece.tokenizer(tmp_path / "torn", "x")
    with pytest.raises(ModelError, match="another kind than BPE"):
        _sentencepiece.tokenizer(pieces_file(tmp_path / "tokenizer.model", kind=1), "x")


def test_internlm2s_tokenizer_is_read_from_its_pieces(tmp_path):
    folder = write_original(tmp_path, language="InternLM2ForCausalLM")
    for file in ("vocab.json", "merges.txt"):
        (folder / file).unlink()
    pieces_file(folder / "tokenizer.model")
    added = {token: len(PIECES) + number for number, token in enumerate(SPECIALS)}
    (folder / "added_tokens.json").write_text(json.dumps(added))
    (folder / "tokenizer_config.json").write_text(
        json.dumps({"tokenizer_class": "InternLM2Tokenizer", "bos_token": "<s>", "pad_token": "</s>"})
    )
    engine: Any = open_chat_model(str(folder), settings={"max_new_tokens": 2})
    made = engine.preparer.prepare(Prompt("ab cd"), room=0, settings=engine.settings).inputs["input_ids"][0].tolist()
    tokens = engine.preparer.tokenizer.convert_ids_to_tokens(made)
    assert tokens[:2] == ["<s>", "<|im_start|>"], "the original puts a begin token before everything"
    assert "".join(tokens).startswith("<s><|im_start|><0x75><0x73>e<0x72><0x0A>ab\u2581cd<|im_end|><|im_start|>")
    assert engine.generate([Prompt("ab", frames_of())])[0].tokens_out
