"""Video-text encoders with modules of our own, against plain computations from the raw weights.

The computations here go patch by patch and head by head in float64, from the names in the file, with nothing of the
modules but the weights.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from longshot import checkpoints
from longshot.contracts import Encoder, Frames, Loading, PictureEncoder
from longshot.encoders import internvideo2, languagebind, longclip, videoclip_xl
from longshot.encoders._video_text import IMAGENET_MEAN, IMAGENET_STD, Look, evenly, prepared
from longshot.errors import ModelError, UsageError
from longshot.models import open_encoder
from tests.tiny import languagebind as tiny_languagebind
from tests.tiny.internvideo2 import write_internvideo2
from tests.tiny.languagebind import write_languagebind
from tests.tiny.videoclip import write_longclip, write_videoclip_xl

CPU = Loading(device="cpu", dtype="float32")
OPENAI = np.array([[0.48145466, 0.4578275, 0.40821073], [0.26862954, 0.26130258, 0.27577711]])
IMAGENET = np.array([[0.485, 0.456, 0.406], [0.229, 0.224, 0.225]])
TEXTS = ["A man slices tomatoes on a board.", "", "smoke " * 300]


def clip_of(count: int, *, side: int = 32, seed: int = 0) -> Frames:
    """Noise over a gradient that moves, so that no two frames are alike and their order matters."""
    made = np.random.default_rng(seed)
    noise = made.integers(0, 120, (count, side, side, 3))
    slope = np.linspace(0, 100, side)[None, :, None, None] * np.linspace(0.2, 1.3, count)[:, None, None, None]
    return Frames((noise + slope).clip(0, 255).astype(np.uint8), np.arange(count, dtype=np.float64))


def close(ours: np.ndarray, plain: np.ndarray) -> None:
    """The same unit rows."""
    assert ours.dtype == np.float32
    np.testing.assert_allclose(ours, plain / np.linalg.norm(plain, axis=-1, keepdims=True), atol=2e-6)


class Plain:
    """Layers from raw weights, one sequence (L, D) at a time, in float64."""

    def __init__(self, folder: Path, heads: int, act: str = "quick_gelu", eps: float = 1e-5) -> None:
        raw = load_file(folder / "model.safetensors")
        self.w = {name: tensor.double().numpy() for name, tensor in raw.items()}
        self.heads, self.act, self.eps = heads, act, eps

    def norm(self, x: np.ndarray, name: str, eps: float | None = None) -> np.ndarray:
        variance = ((x - x.mean(-1, keepdims=True)) ** 2).mean(-1, keepdims=True)
        scaled = (x - x.mean(-1, keepdims=True)) / np.sqrt(variance + (eps or self.eps))
        return scaled * self.w[f"{name}.weight"] + self.w[f"{name}.bias"]

    def linear(self, x: np.ndarray, name: str) -> np.ndarray:
        return x @ self.w[f"{name}.weight"].T + self.w.get(f"{name}.bias", 0.0)

    def mix(self, q: np.ndarray, k: np.ndarray, v: np.ndarray, *, heads: int = 0, causal: bool = False) -> np.ndarray:
        """softmax(q k / sqrt(d)) v, head by head."""
        heads = heads or self.heads
        width = q.shape[-1] // heads
        out = np.zeros((len(q), v.shape[-1]))
        for head in range(heads):
            cut = slice(head * width, (head + 1) * width)
            for place in range(len(q)):
                seen = place + 1 if causal else len(k)
                scores = k[:seen, cut] @ q[place, cut] / np.sqrt(width)
                shares = np.exp(scores - scores.max())
                out[place, cut] = (shares / shares.sum()) @ v[:seen, cut]
        return out

    def attend(self, x: np.ndarray, name: str, *, causal: bool = False) -> np.ndarray:
        q, k, v = (self.linear(x, f"{name}.{part}_proj") for part in "qkv")
        return self.linear(self.mix(q, k, v, causal=causal), f"{name}.out_proj")

    def activate(self, x: np.ndarray) -> np.ndarray:
        if self.act == "quick_gelu":
            return x / (1 + np.exp(-1.702 * x))
        if self.act == "tanh":
            return 0.5 * x * (1 + np.tanh(np.sqrt(2 / np.pi) * (x + 0.044715 * x**3)))
        return x * 0.5 * (1 + torch.erf(torch.from_numpy(x) / 2**0.5).numpy())

    def text(self, ids: list[int], prefix: str = "text_model.") -> np.ndarray:
        """The state at the last id, which is the end of the text."""
        x = self.w[f"{prefix}embeddings.token_embedding.weight"][ids]
        x = x + self.w[f"{prefix}embeddings.position_embedding.weight"][: len(ids)]
        for number in range(2):
            layer = f"{prefix}encoder.layers.{number}"
            x = x + self.attend(self.norm(x, f"{layer}.layer_norm1"), f"{layer}.self_attn", causal=True)
            inner = self.activate(self.linear(self.norm(x, f"{layer}.layer_norm2"), f"{layer}.mlp.fc1"))
            x = x + self.linear(inner, f"{layer}.mlp.fc2")
        return self.norm(x[-1], f"{prefix}final_layer_norm")


def ids_of(folder: Path, text: str, limit: int) -> list[int]:
    """CLIP's token ids by the plain rule: words of the text, letters merged in the order of merges.txt, two marks."""
    import regex

    words = json.loads((folder / "vocab.json").read_text())
    ranks = {line: rank for rank, line in enumerate((folder / "merges.txt").read_text().splitlines()[1:])}
    found = []
    for word in regex.findall(r"\p{L}+|\p{N}|[^\s\p{L}\p{N}]+", text.lower()):
        parts = [*word[:-1], word[-1] + "</w>"]
        while pairs := [ranks[f"{a} {b}"] for a, b in pairwise(parts) if f"{a} {b}" in ranks]:
            best = next(line for line, rank in ranks.items() if rank == min(pairs)).split()
            place = next(i for i in range(len(parts)) if parts[i : i + 2] == best)
            parts[place : place + 2] = ["".join(best)]
        found += [words[part] for part in parts]
    return [len(words) - 2, *found[: limit - 2], len(words) - 1]


def inputs_of(frames: Frames, constants: np.ndarray) -> np.ndarray:
    """float64 (T, 3, S, S) of frames that need no scaling."""
    return ((frames.pixels / 255.0 - constants[0]) / constants[1]).transpose(0, 3, 1, 2)


def patches_of(picture: np.ndarray, kernel: np.ndarray) -> np.ndarray:
    """(patches, D): each square of a picture (3, S, S) times the kernel (D, 3, p, p), row by row."""
    size = kernel.shape[-1]
    side = picture.shape[-1] // size
    cuts = [picture[:, r * size : (r + 1) * size, c * size : (c + 1) * size] for r in range(side) for c in range(side)]
    return np.stack([np.tensordot(kernel, cut, 3) for cut in cuts])


def languagebind_video(plain: Plain, frames: Frames) -> np.ndarray:
    """The clip's vector, one patch and one frame at a time."""
    base = "vision_model.embeddings."
    states = []
    for picture in inputs_of(frames, OPENAI):
        tokens = patches_of(picture, plain.w[f"{base}patch_embedding.weight"])
        tokens = np.concatenate([plain.w[f"{base}class_embedding"][None], tokens])
        states.append(plain.norm(tokens + plain.w[f"{base}position_embedding.weight"], "vision_model.pre_layrnorm"))
    x = np.stack(states)
    for number in range(2):
        layer = f"vision_model.encoder.layers.{number}"
        x = x + plain.w[f"{layer}.temporal_embedding"][0][:, None]
        for token in range(x.shape[1]):
            line = plain.norm(x[:, token], f"{layer}.temporal_layer_norm1")
            x[:, token] += plain.attend(line, f"{layer}.temporal_attn")
        for time in range(len(x)):
            x[time] += plain.attend(plain.norm(x[time], f"{layer}.layer_norm1"), f"{layer}.self_attn")
            inner = plain.activate(plain.linear(plain.norm(x[time], f"{layer}.layer_norm2"), f"{layer}.mlp.fc1"))
            x[time] += plain.linear(inner, f"{layer}.mlp.fc2")
    return plain.linear(plain.norm(x[:, 0], "vision_model.post_layernorm").mean(axis=0), "visual_projection")


@pytest.fixture(scope="module")
def languagebind_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_languagebind(tmp_path_factory.mktemp("tiny") / "LanguageBind_Video_FT")


def test_languagebind_is_the_plain_computation(languagebind_folder: Path) -> None:
    encoder = open_encoder(str(languagebind_folder), loading=CPU)
    plain = Plain(languagebind_folder, heads=2, act="gelu")
    clips = [clip_of(4), clip_of(4, seed=1)]
    close(encoder.encode_frames(clips), np.stack([languagebind_video(plain, clip) for clip in clips]))
    ids = [ids_of(languagebind_folder, text, 77) for text in TEXTS]
    assert len(ids[-1]) == 77
    close(encoder.encode_text(TEXTS), np.stack([plain.linear(plain.text(row), "text_projection") for row in ids]))


def test_languagebind_without_attention_along_time_is_clip(tmp_path: Path) -> None:
    """Its frames then go through stock CLIP, and the clip's vector is their mean before the projection."""
    from transformers import CLIPConfig, CLIPModel

    folder = write_languagebind(tmp_path / "still", temporal=False, act="quick_gelu")
    config = json.loads((folder / "config.json").read_text())
    stock = CLIPModel(CLIPConfig(text_config=config["text_config"] | {"vocab_size": 641}, **_vision(config))).eval()
    raw = {name: tensor for name, tensor in load_file(folder / "model.safetensors").items() if "temporal" not in name}
    told = stock.load_state_dict(raw, strict=False)
    assert not told.unexpected_keys and not told.missing_keys
    clip = clip_of(4, seed=3)
    with torch.no_grad():
        pixels = torch.from_numpy(inputs_of(clip, OPENAI)).float()
        rows = stock.vision_model(pixel_values=pixels).pooler_output
        expected = stock.visual_projection(rows.mean(dim=0, keepdim=True))
    close(languagebind.load(str(folder), loading=CPU).encode_frames([clip]), expected.numpy())


def _vision(config: dict) -> dict:
    known = ("hidden_size", "intermediate_size", "num_hidden_layers", "num_attention_heads", "hidden_act")
    section = {key: config["vision_config"][key] for key in (*known, "image_size", "patch_size", "layer_norm_eps")}
    return {"vision_config": section, "projection_dim": config["projection_dim"]}


def test_the_order_of_frames_matters(languagebind_folder: Path) -> None:
    encoder = languagebind.load(str(languagebind_folder), loading=CPU)
    clip = clip_of(4)
    forward, backward = encoder.encode_frames([clip, clip[::-1]])
    assert forward @ backward < 0.9999


def test_other_numbers_of_frames_are_taken_evenly(languagebind_folder: Path) -> None:
    encoder = languagebind.load(str(languagebind_folder), loading=CPU)
    assert encoder.frames == 4 and encoder.height == 32 and encoder.dimension == 12
    long, single = clip_of(9), clip_of(1)
    chosen = [Frames(long.pixels[[0, 2, 5, 8]], long.times[:4]), Frames(single.pixels[[0] * 4], long.times[:4])]
    np.testing.assert_allclose(encoder.encode_frames([long, single]), encoder.encode_frames(chosen), atol=1e-6)


def test_low_rank_updates_are_added(languagebind_folder: Path, tmp_path: Path) -> None:
    """The names that peft gives: W + alpha / r * B A in the temporal attention."""
    folder = write_languagebind(tmp_path / "lora")
    tiny_languagebind.write_config(
        folder, vision_config_dict={"lora_alpha": 6, "hidden_act": "gelu", "num_attention_heads": 2}
    )
    raw, made, whole = load_file(folder / "model.safetensors"), torch.Generator().manual_seed(5), {}
    peft = {}
    for name, tensor in raw.items():
        inside = name.replace("vision_model.encoder.", "vision_model.encoder.base_model.model.")
        peft[inside], whole[name] = tensor, tensor
        if "temporal_attn.q_proj.weight" in name:
            down, up = torch.randn(3, 16, generator=made), torch.randn(16, 3, generator=made)
            whole[name] = tensor + 2.0 * up @ down
            peft |= {inside.replace("weight", f"lora_{k}.default.weight"): v for k, v in (("A", down), ("B", up))}
    save_file(peft, folder / "model.safetensors")
    rows = languagebind.load(str(folder), loading=CPU).encode_frames([clip_of(4)])
    save_file(whole, folder / "model.safetensors")
    plain = Plain(folder, heads=2, act="gelu")
    checkpoints.find.cache_clear()
    close(rows, languagebind_video(plain, clip_of(4))[None])


def test_the_hubs_own_config_is_told_by_the_name(tmp_path: Path) -> None:
    folder = write_languagebind(tmp_path / "LanguageBind_Video_merge", config={"architectures": ["CLIPModel"]})
    encoder = open_encoder(str(folder), loading=CPU)
    assert isinstance(encoder, Encoder) and encoder.frames == 4


def test_languagebind_refuses(languagebind_folder: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="leave out --pooling mean"):
        open_encoder(str(languagebind_folder), loading=CPU, pooling="mean")
    with pytest.raises(UsageError, match="cannot be kept in 4 bits"):
        open_encoder(str(languagebind_folder), loading=Loading(device="cpu", bits=4))
    encoder = open_encoder(str(languagebind_folder), loading=CPU)
    with pytest.raises(UsageError, match="without frames"):
        encoder.encode_frames([clip_of(4), clip_of(1)[:0]])
    broken = write_languagebind(tmp_path / "broken")
    raw = load_file(broken / "model.safetensors")
    del raw["vision_model.encoder.layers.1.temporal_attn.k_proj.bias"]
    save_file(raw, broken / "model.safetensors")
    with pytest.raises(ModelError, match=r"1 weights are missing \(vision_model.encoder.layers.1.temporal_attn.k_proj"):
        open_encoder(str(broken), loading=CPU)
    bare = write_languagebind(tmp_path / "bare")
    (bare / "vocab.json").unlink()
    with pytest.raises(ModelError, match=r"no tokenizer beside its weights: copy vocab.json"):
        open_encoder(str(bare), loading=CPU)


def openai_layers(plain: Plain, x: np.ndarray, prefix: str, *, causal: bool) -> np.ndarray:
    """Two layers in OpenAI's layout, for a sequence (L, D)."""
    for number in range(2):
        block = f"{prefix}transformer.resblocks.{number}"
        scaled = plain.norm(x, f"{block}.ln_1")
        made = scaled @ plain.w[f"{block}.attn.in_proj_weight"].T + plain.w[f"{block}.attn.in_proj_bias"]
        q, k, v = made[:, :16], made[:, 16:32], made[:, 32:]
        x = x + plain.linear(plain.mix(q, k, v, causal=causal), f"{block}.attn.out_proj")
        inner = plain.activate(plain.linear(plain.norm(x, f"{block}.ln_2"), f"{block}.mlp.c_fc"))
        x = x + plain.linear(inner, f"{block}.mlp.c_proj")
    return x


def openai_text(plain: Plain, ids: list[int], prefix: str) -> np.ndarray:
    """Long-CLIP's text vector: the first 20 places of one table, the others of the other."""
    old, new = plain.w[f"{prefix}positional_embedding"], plain.w[f"{prefix}positional_embedding_res"]
    places = np.stack([old[place] if place < 20 else new[place] for place in range(len(ids))])
    x = openai_layers(plain, plain.w[f"{prefix}token_embedding.weight"][ids] + places, prefix, causal=True)
    return plain.norm(x, f"{prefix}ln_final")[-1] @ plain.w[f"{prefix}text_projection"]


def openai_vision(plain: Plain, pictures: np.ndarray, prefix: str) -> np.ndarray:
    """All patches of all pictures (T, 3, S, S) behind one class token; with places in time where there are some."""
    kernel = plain.w[f"{prefix}conv1.weight"]
    kernel = kernel[:, :, 0] if kernel.ndim == 5 else kernel
    places, times = plain.w[f"{prefix}positional_embedding"], plain.w.get(f"{prefix}temporal_positional_embedding")
    tokens = [plain.w[f"{prefix}class_embedding"] + places[0]]
    for time, picture in enumerate(pictures):
        for place, patch in enumerate(patches_of(picture, kernel), start=1):
            tokens.append(patch + places[place] + (0 if times is None else times[0, time]))
    x = openai_layers(plain, plain.norm(np.stack(tokens), f"{prefix}ln_pre"), prefix, causal=False)
    return plain.norm(x[0], f"{prefix}ln_post") @ plain.w[f"{prefix}proj"]


def test_videoclip_xl_is_the_plain_computation(tmp_path: Path) -> None:
    folder = write_videoclip_xl(tmp_path / "VideoCLIP-XL-v2")
    encoder = open_encoder(str(folder), loading=CPU)
    assert isinstance(encoder, Encoder) and (encoder.frames, encoder.dimension, encoder.height) == (4, 12, 32)
    plain, base = Plain(folder, heads=2), "vision_model.vision_encoder."
    clips = [clip_of(4), clip_of(4, seed=1), clip_of(4)[::-1]]
    expected = np.stack([openai_vision(plain, inputs_of(clip, IMAGENET), base) for clip in clips])
    close(encoder.encode_frames(clips), expected)
    ids = [ids_of(folder, text, 248) for text in TEXTS]
    assert len(ids[-1]) == 248
    close(encoder.encode_text(TEXTS), np.stack([openai_text(plain, row, "text_model.") for row in ids]))
    with pytest.raises(UsageError, match="leave out --pooling first"):
        videoclip_xl.load(str(folder), loading=CPU, pooling="first")


def test_longclip_is_the_plain_computation(tmp_path: Path) -> None:
    folder = write_longclip(tmp_path / "LongCLIP-L")
    encoder = open_encoder(str(folder), loading=CPU)
    assert isinstance(encoder, PictureEncoder) and encoder.dimension == 12
    plain, clip = Plain(folder, heads=2), clip_of(3)
    rows = np.stack([openai_vision(plain, picture[None], "visual.") for picture in inputs_of(clip, OPENAI)])
    close(encoder.encode_pictures(list(clip.pixels)), rows)
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    close(encoder.encode_frames([clip]), rows.mean(axis=0, keepdims=True))
    close(longclip.load(str(folder), loading=CPU, pooling="first").encode_frames([clip]), rows[:1])
    close(encoder.encode_text(TEXTS), np.stack([openai_text(plain, ids_of(folder, text, 248), "") for text in TEXTS]))


@pytest.mark.parametrize("write", [write_languagebind, write_videoclip_xl, write_longclip, write_internvideo2])
def test_half_precision_changes_little(tmp_path: Path, write: Callable[[Path], Path]) -> None:
    folder, halved = write(tmp_path / "LanguageBind_Video"), Loading(device="cpu", dtype="bfloat16", batch=1)
    whole, half = (open_encoder(str(folder), loading=how) for how in (CPU, halved))
    for made in (lambda encoder: encoder.encode_frames([clip_of(4), clip_of(6)]), lambda one: one.encode_text(TEXTS)):
        assert (made(whole) * made(half)).sum(axis=1).min() > 0.995


class PlainInternVideo2(Plain):
    """InternVideo2's towers, token by token."""

    def root(self, x: np.ndarray, name: str) -> np.ndarray:
        return x / np.sqrt((x**2).mean(-1, keepdims=True) + 1e-6) * self.w[f"{name}.weight"]

    def see(self, pictures: np.ndarray) -> np.ndarray:
        base = "vision_encoder."
        kernel = self.w[f"{base}patch_embed.proj.weight"][:, :, 0]
        tokens = np.concatenate([patches_of(picture, kernel) for picture in pictures])
        x = np.concatenate([self.w[f"{base}cls_token"][0], tokens + self.w[f"{base}patch_embed.proj.bias"]])
        x = x + self.w[f"{base}{'img_' if len(pictures) == 1 else ''}pos_embed"][0]
        for number in range(2):
            block = f"{base}blocks.{number}"
            q, k, v = np.split(self.linear(self.root(x, f"{block}.norm1"), f"{block}.attn.qkv"), 3, axis=1)
            q, k = self.root(q, f"{block}.attn.q_norm"), self.root(k, f"{block}.attn.k_norm")
            x = x + self.w[f"{block}.ls1.gamma"] * self.linear(self.mix(q, k, v), f"{block}.attn.proj")
            inner = self.activate(self.linear(self.root(x, f"{block}.norm2"), f"{block}.mlp.fc1"))
            x = x + self.w[f"{block}.ls2.gamma"] * self.linear(inner, f"{block}.mlp.fc2")
        pool, mean = f"{base}clip_projector", x.mean(axis=0, keepdims=True)
        q, k, v = (
            self.norm(y, f"{pool}.norm1_{part}", 1e-5) @ self.w[f"{pool}.cross_attn.{part}.weight"].T
            + self.w[f"{pool}.cross_attn.{part}_bias"]
            for part, y in (("q", mean), ("k", x), ("v", x))
        )
        return self.linear(self.linear(self.mix(q, k, v)[0], f"{pool}.cross_attn.proj"), "vision_proj")

    def read(self, ids: list[int]) -> np.ndarray:
        base = "text_encoder.bert."
        x = self.w[f"{base}embeddings.word_embeddings.weight"][ids]
        x = x + self.w[f"{base}embeddings.position_embeddings.weight"][: len(ids)]
        x = x + self.w[f"{base}embeddings.token_type_embeddings.weight"][0]
        x = self.norm(x, f"{base}embeddings.LayerNorm", 1e-12)
        exact = Plain.activate
        for number in range(2):
            layer = f"{base}encoder.layer.{number}"
            q, k, v = (self.linear(x, f"{layer}.attention.self.{part}") for part in ("query", "key", "value"))
            mixed = self.linear(self.mix(q, k, v), f"{layer}.attention.output.dense")
            x = self.norm(x + mixed, f"{layer}.attention.output.LayerNorm", 1e-12)
            act, self.act = self.act, "gelu"
            inner = exact(self, self.linear(x, f"{layer}.intermediate.dense"))
            self.act = act
            x = self.norm(x + self.linear(inner, f"{layer}.output.dense"), f"{layer}.output.LayerNorm", 1e-12)
        return self.linear(x[0], "text_proj")


@pytest.mark.parametrize("fused", [True, False])
def test_internvideo2_is_the_plain_computation(tmp_path: Path, fused: bool) -> None:
    folder = write_internvideo2(tmp_path / "InternVideo2-Stage2_6B", fused=fused)
    encoder = open_encoder(str(folder), loading=CPU)
    assert isinstance(encoder, Encoder) and (encoder.frames, encoder.dimension, encoder.height) == (4, 12, 32)
    plain = PlainInternVideo2(folder, heads=2, act="tanh" if fused else "gelu")
    # A clip of one frame is a picture, with places of its own.
    clips = [clip_of(4), clip_of(1, seed=2), clip_of(1), clip_of(4, seed=1)]
    close(encoder.encode_frames(clips), np.stack([plain.see(inputs_of(clip, IMAGENET)) for clip in clips]))
    words = {word: number for number, word in enumerate((folder / "vocab.txt").read_text().split())}
    texts = ["a man slices tomatoes on a board .", "", "smoke " * 60]
    ids = [
        [words[word] for word in f"[CLS] {text} [SEP]".split()] for text in ("a man slices tomatoes on a board .", "")
    ]
    ids.append([words["[CLS]"], *[words["smoke"]] * 38, words["[SEP]"]])
    close(encoder.encode_text(texts), np.stack([plain.read(row) for row in ids]))


def test_internvideo2_says_what_is_missing(tmp_path: Path) -> None:
    folder = write_internvideo2(tmp_path / "iv2")
    (folder / "vocab.txt").rename(tmp_path / "vocab.txt")
    with pytest.raises(ModelError, match=r"copy vocab.txt of google-bert/bert-large-uncased to "):
        internvideo2.load(str(folder), loading=CPU)
    (folder / "config.json").write_text(json.dumps({"architectures": ["InternVideo2_Stage2"]}))
    checkpoints.find.cache_clear()
    with pytest.raises(ModelError, match=r"number of heads must stand in config.json"):
        internvideo2.load(str(folder), loading=CPU)


def test_pictures_are_squeezed_or_cut_as_each_family_was_taught() -> None:
    made = np.random.default_rng(0)
    pixels = made.integers(0, 256, (2, 21, 34, 3), dtype=np.uint8)
    zero, one = (0.0, 0.0, 0.0), (1 / 255, 1 / 255, 1 / 255)
    squeezed = prepared(pixels, Look(16, zero, one, crop=False, whole=False)).numpy()
    np.testing.assert_allclose(squeezed[1, 2], bilinear(pixels[1, :, :, 2], 16, 16), atol=1e-3)
    cut = prepared(pixels, Look(16, zero, one, crop=True, whole=False)).numpy()
    # 21 x 34 becomes 16 x 25; 25 - 16 = 9 columns go, 4 of them on the left.
    np.testing.assert_allclose(cut[0, 1], bilinear(pixels[0, :, :, 1], 16, 25)[:, 4:20], atol=1e-3)
    whole = prepared(pixels, Look(16, IMAGENET_MEAN, IMAGENET_STD, crop=False))
    back = whole.permute(0, 2, 3, 1).numpy() * IMAGENET_STD + IMAGENET_MEAN
    np.testing.assert_allclose(back * 255, np.round(back * 255), atol=1e-3)


def test_smooth_pictures_are_pillows() -> None:
    from PIL import Image

    pixels = (np.random.default_rng(1).random((1, 60, 45, 3)) * 255).astype(np.uint8)
    zero, one = (0.0, 0.0, 0.0), (1 / 255, 1 / 255, 1 / 255)
    ours = prepared(pixels, Look(32, zero, one, crop=True, smooth=True))[0].permute(1, 2, 0).numpy().round()
    # 60 x 45 becomes 42 x 32; 10 rows go, 5 of them above.
    theirs = np.asarray(Image.fromarray(pixels[0]).resize((32, 42), Image.Resampling.BICUBIC))[5:37]
    assert np.abs(ours - theirs).max() <= 1


def bilinear(plane: np.ndarray, height: int, width: int) -> np.ndarray:
    """Each new pixel from the four around its middle, with no smoothing, edges repeated."""
    out = np.zeros((height, width))
    for row in range(height):
        for column in range(width):
            y = min(max((row + 0.5) * plane.shape[0] / height - 0.5, 0), plane.shape[0] - 1)
            x = min(max((column + 0.5) * plane.shape[1] / width - 0.5, 0), plane.shape[1] - 1)
            top, left = int(y), int(x)
            low, right = min(top + 1, plane.shape[0] - 1), min(left + 1, plane.shape[1] - 1)
            above = plane[top, left] * (1 - (x - left)) + plane[top, right] * (x - left)
            below = plane[low, left] * (1 - (x - left)) + plane[low, right] * (x - left)
            out[row, column] = above * (1 - (y - top)) + below * (y - top)
    return out


def test_each_family_looks_at_wide_frames_as_it_was_taught(tmp_path: Path) -> None:
    from PIL import Image

    wide = Frames(np.random.default_rng(4).integers(0, 256, (4, 40, 67, 3), dtype=np.uint8), np.arange(4.0))

    def scaled(columns: int) -> np.ndarray:
        """float64 (4, 32, columns, 3), bilinear."""
        planes = wide.pixels.transpose(0, 3, 1, 2)
        return np.array([[bilinear(plane, 32, columns) for plane in frame] for frame in planes]).transpose(0, 2, 3, 1)

    # 40 x 67 becomes 32 x 53 before the middle is cut out: 21 columns go, 10 of them on the left.
    folder = write_languagebind(tmp_path / "LanguageBind_Video")
    cut = Frames(scaled(53)[:, :, 10:42], wide.times)
    expected = languagebind_video(Plain(folder, heads=2, act="gelu"), cut)
    close(languagebind.load(str(folder), loading=CPU).encode_frames([wide]), expected[None])
    squeezed = Frames(scaled(32).round().astype(np.uint8), wide.times)
    for opened in (
        videoclip_xl.load(str(write_videoclip_xl(tmp_path / "xl")), loading=CPU),
        internvideo2.load(str(write_internvideo2(tmp_path / "iv2")), loading=CPU),
    ):
        np.testing.assert_allclose(opened.encode_frames([wide]), opened.encode_frames([squeezed]), atol=2e-3)
    pillow = [Image.fromarray(frame).resize((53, 32), Image.Resampling.BICUBIC) for frame in wide.pixels]
    smooth = Frames(np.stack([np.asarray(picture)[:, 10:42] for picture in pillow]), wide.times)
    pictures = longclip.load(str(write_longclip(tmp_path / "long")), loading=CPU)
    np.testing.assert_allclose(pictures.encode_frames([wide]), pictures.encode_frames([smooth]), atol=2e-3)


def test_frames_are_taken_evenly() -> None:
    assert evenly(8, 8).tolist() == list(range(8))
    assert evenly(8, 4).tolist() == [0, 2, 4, 7]
    assert evenly(1, 3).tolist() == [0, 0, 0]
    assert evenly(2, 4).tolist() == [0, 0, 0, 1]
