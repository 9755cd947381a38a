"""Tarsier: how pictures lie in its prompt, its shell, and replies against CLIP, projector and Llama joined by hand."""

from __future__ import annotations

import json
import logging
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file

from longshot import checkpoints, models
from longshot.chat_models import tarsier
from longshot.contracts import Exchange, Finish, Frames, HiddenStates, Loading, Prompt
from longshot.errors import ModelError
from tests.tiny.tarsier import CLIP_MEAN, CLIP_STD, write_tarsier

REQUEST = "Describe the video in detail."


def clip_of(count: int, *, height: int = 40, width: int = 70, seed: int = 0) -> Frames:
    """Smooth pictures, so that two ways of scaling agree."""
    random = np.random.default_rng(seed)
    coarse = random.integers(0, 256, (count, 4, 5, 3), dtype=np.uint8)
    pixels = [np.asarray(Image.fromarray(one).resize((width, height), Image.Resampling.BICUBIC)) for one in coarse]
    return Frames(np.stack(pixels), np.arange(count, dtype=np.float64) / 2)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tarsier(tmp_path_factory.mktemp("tarsier") / "Tarsier-7b")


@pytest.fixture(scope="module")
def model(folder: Path) -> tarsier.Tarsier:
    opened = models.open_chat_model(str(folder), settings={"max_new_tokens": 12})
    assert isinstance(opened, tarsier.Tarsier)
    return opened


class ByHand:
    """CLIP, projector and Llama from the same file of weights, without Llava and without our code."""

    def __init__(self, folder: Path) -> None:
        from tokenizers import Tokenizer
        from transformers import CLIPVisionConfig, CLIPVisionModel, LlamaConfig, LlamaForCausalLM

        self.config = json.loads((folder / "config.json").read_text())
        self.tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
        self.weights = load_file(folder / "model.safetensors")
        self.clip = CLIPVisionModel(CLIPVisionConfig(**self.config["vision_config"])).eval()
        self.clip.load_state_dict(self._under("vision_tower.vision_model."))
        self.llama = LlamaForCausalLM(LlamaConfig(**self.config["text_config"])).eval()
        self.llama.load_state_dict(self._under("language_model."))

    def _under(self, prefix: str) -> dict[str, torch.Tensor]:
        return {key.removeprefix(prefix): value for key, value in self.weights.items() if key.startswith(prefix)}

    def pictures(self, frames: Frames) -> torch.Tensor:
        size = self.config["vision_config"]["image_size"]
        made = []
        for frame in frames.pixels:
            side = max(frame.shape[:2])
            square = Image.fromarray(frame).resize((side, side), Image.Resampling.BICUBIC)
            scaled = np.asarray(square.resize((size, size), Image.Resampling.BICUBIC), dtype=np.float64) / 255
            made.append((scaled - CLIP_MEAN) / CLIP_STD)
        return torch.from_numpy(np.stack(made)).permute(0, 3, 1, 2).float()

    def embedded(self, text: str, pixels: torch.Tensor | None) -> torch.Tensor:
        """(1, L, D): the words' embeddings with each <image> replaced by its rows, newlines and end."""
        words = self.llama.get_input_embeddings().weight
        newline, new = words[self.config["image_newline_idx"]], words[self.config["image_new_idx"]]
        pictures = iter(())
        if pixels is not None:
            states = self.clip(pixels, output_hidden_states=True).hidden_states[-2][:, 1:]
            one = torch.nn.functional.linear(states, *self._linear(1))
            pictures = iter(torch.nn.functional.linear(torch.nn.functional.gelu(one), *self._linear(2)))
        rows: list[torch.Tensor] = []
        for id in self.tokenizer.encode(text).ids:
            if id != self.config["image_token_index"]:
                rows.append(words[id])
                continue
            patches = next(pictures)
            side = int(len(patches) ** 0.5)
            for first in range(0, side * side, side):
                rows.extend([*patches[first : first + side], newline])
            rows.append(new)
        return torch.stack(rows)[None]

    def _linear(self, which: int) -> tuple[torch.Tensor, torch.Tensor]:
        name = f"multi_modal_projector.linear_{which}"
        return self.weights[f"{name}.weight"], self.weights[f"{name}.bias"]

    def state(self, text: str, pixels: torch.Tensor | None) -> np.ndarray:
        with torch.inference_mode():
            return self.llama.model(inputs_embeds=self.embedded(text, pixels)).last_hidden_state[0, -1].numpy()

    def says(self, text: str, pixels: torch.Tensor | None, count: int) -> list[int]:
        """The likeliest tokens, one forward pass over everything for each."""
        with torch.inference_mode():
            embeds = self.embedded(text, pixels)
            said: list[int] = []
            while len(said) < count:
                said.append(int(self.llama(inputs_embeds=embeds).logits[0, -1].argmax()))
                if said[-1] == self.tokenizer.token_to_id("</s>"):
                    break
                embeds = torch.cat([embeds, self.llama.get_input_embeddings().weight[said[-1]][None, None]], 1)
            return said


@pytest.fixture(scope="module")
def by_hand(folder: Path) -> ByHand:
    return ByHand(folder)


def test_a_picture_takes_601_positions() -> None:
    marks = tarsier.Marks(image=32000, newline=32002, new=32003, side=24)
    picture = marks.picture
    assert len(picture) == 601
    assert (picture.count(32000), picture.count(32002), picture.count(32003)) == (576, 24, 1)
    assert [place for place, id in enumerate(picture) if id == 32002] == list(range(24, 600, 25))
    assert picture[-1] == 32003
    assert marks.laid_out([1, 32000, 32000, 13]) == [1, *picture, *picture, 13]
    assert [len(marks.laid_out([32000] * frames)) for frames in (8, 16, 32)] == [4_808, 9_616, 19_232]


def test_true_geometry_comes_from_config(tmp_path: Path) -> None:
    folder = write_tarsier(tmp_path / "true", image_size=336)
    marks = tarsier.marks_of(checkpoints.find(str(folder)))
    assert (marks.side, len(marks.picture)) == (24, 601)
    model = models.open_chat_model(str(folder), settings={"max_new_tokens": 1})
    with_frames, without = model.generate([Prompt(REQUEST, frames=clip_of(2)), Prompt(REQUEST)])
    between = len(ByHand(folder).tokenizer.encode(f"USER: <image><image>\n{REQUEST} ASSISTANT: ").ids) - 2
    assert with_frames.tokens_in == 2 * 601 + between
    assert without.tokens_in < 40


@pytest.mark.parametrize(
    ("prompt", "end", "expected"),
    [
        (Prompt("Hello"), "</s>", "USER: Hello ASSISTANT: "),
        (Prompt("What?", frames=clip_of(1)), "</s>", "USER: <image>\nWhat? ASSISTANT: "),
        (Prompt("What?", frames=clip_of(3)), "</s>", "USER: <image><image><image>\nWhat? ASSISTANT: "),
        (Prompt("Hello", system="Be short."), "</s>", "Be short. USER: Hello ASSISTANT: "),
        (
            Prompt("And then?", frames=clip_of(2), history=(Exchange("Who?", "A man."), Exchange("Where?", "Here."))),
            "</s>",
            "USER: <image><image>\nWho? ASSISTANT: A man.</s>USER: Where? ASSISTANT: Here.</s>"
            "USER: And then? ASSISTANT:",
        ),
        (
            Prompt("And then?", history=(Exchange("Who?", "A man."),)),
            "<|endoftext|>",
            "USER: Who? ASSISTANT: A man.<|endoftext|>USER: And then? ASSISTANT:",
        ),
    ],
)
def test_shell(prompt: Prompt, end: str, expected: str) -> None:
    assert tarsier.shell(prompt, image="<image>", end=end) == expected


@pytest.mark.parametrize("frames", [None, clip_of(1), clip_of(3), clip_of(2, height=90, width=50, seed=4)])
def test_replies_and_states_as_by_hand(model: tarsier.Tarsier, by_hand: ByHand, frames: Frames | None) -> None:
    pictures = "<image>" * len(frames) + "\n" if frames is not None else ""
    text = f"USER: {pictures}{REQUEST} ASSISTANT: "
    pixels = by_hand.pictures(frames) if frames is not None else None
    prompt = Prompt(REQUEST, frames=frames)

    (state,) = model.embed([prompt])
    np.testing.assert_allclose(state, by_hand.state(text, pixels), atol=2e-6)

    (reply,) = model.generate([prompt])
    tokens = by_hand.says(text, pixels, 12)
    assert reply.text == by_hand.tokenizer.decode(tokens).strip()
    assert reply.tokens_out == len(tokens)


def test_the_merge_alone_is_exact(model: tarsier.Tarsier, by_hand: ByHand) -> None:
    """With the same pixels, ids through a stock Llava and embeddings merged by hand are one computation."""
    frames = clip_of(2)
    prepared = model.preparer.prepare(Prompt(REQUEST, frames=frames), room=0, settings=model.settings)
    pixels = prepared.inputs["pixel_values"]
    np.testing.assert_allclose(pixels.numpy(), by_hand.pictures(frames).numpy(), atol=1e-5)
    embeds = by_hand.embedded(f"USER: <image><image>\n{REQUEST} ASSISTANT: ", pixels)
    with torch.inference_mode():
        ours = model.model(**prepared.inputs).logits
        theirs = by_hand.llama(inputs_embeds=embeds, attention_mask=torch.ones(embeds.shape[:2])).logits
    assert torch.equal(ours, theirs)


def test_a_wide_frame_is_squeezed_not_cropped(model: tarsier.Tarsier) -> None:
    pixels = np.zeros((1, 20, 200, 3), np.uint8)
    pixels[:, :, :20], pixels[:, :, -20:] = (255, 0, 0), (0, 0, 255)
    made = tarsier.squared(pixels, model.preparer.scaler)[0]
    red, blue = (made[0] > 1.5).float().mean(), (made[2] > 1.5).float().mean()
    assert made.shape == (3, 56, 56)
    assert 0.05 < red < 0.15 and 0.05 < blue < 0.15


def test_a_batch_gives_each_what_it_gets_alone(model: tarsier.Tarsier) -> None:
    prompts = [
        Prompt(REQUEST, frames=clip_of(3)),
        Prompt("Who?"),
        Prompt("And then?", frames=clip_of(1, seed=2), history=(Exchange("Who?", "A man."),)),
        Prompt("A man slices tomatoes on a wooden board. What happens first, and what happens then?"),
    ]
    alone = [model.generate([prompt])[0] for prompt in prompts]
    assert model.generate(prompts) == alone
    states = np.concatenate([model.embed([prompt]) for prompt in prompts])
    np.testing.assert_allclose(model.embed(prompts), states, atol=5e-6)


def test_prompts_begin_as_the_tokenizer_says(folder: Path, model: tarsier.Tarsier, tmp_path: Path) -> None:
    prepared = model.preparer.prepare(Prompt("Who?"), room=0, settings=model.settings)
    ids = prepared.inputs["input_ids"][0].tolist()
    assert ids[0] == 1 and ids.count(1) == 1
    other = models.open_chat_model(str(write_tarsier(tmp_path / "34b", end="<|endoftext|>", bos=False)))
    assert isinstance(other, tarsier.Tarsier)
    prepared = other.preparer.prepare(Prompt("Who?"), room=0, settings=other.settings)
    assert 1 not in prepared.inputs["input_ids"][0].tolist()


def test_more_frames_than_trained_on_are_noted(model: tarsier.Tarsier) -> None:
    few, many = model.generate([Prompt("Who?", frames=clip_of(8)), Prompt("Who?", frames=clip_of(10))])
    assert few.note == ""
    assert many.note == "10 frames take 210 positions; trained on 8 frames"


def test_visual_tokens_thin_the_frames(folder: Path) -> None:
    model = models.open_chat_model(str(folder), settings={"max_new_tokens": 1, "visual_tokens": 50})
    (reply,) = model.generate([Prompt("Who?", frames=clip_of(4))])
    assert reply.note == "2 of 4 frames used"
    model = models.open_chat_model(str(folder), settings={"max_new_tokens": 1, "visual_tokens": 20})
    (reply,) = model.generate([Prompt("Who?", frames=clip_of(4))])
    assert (reply.finish, reply.reason) == (
        Finish.FAILED,
        "one frame takes 21 visual tokens, and there is room for 20",
    )


def test_words_are_bound_by_the_declared_positions_and_pictures_are_not(model: tarsier.Tarsier) -> None:
    assert model.context == 4096
    long, pictures = model.generate([Prompt("tomatoes " * 3000), Prompt("Who?", frames=clip_of(200))])
    assert long.finish is Finish.FAILED and "there is room for 4084" in long.reason
    assert pictures.finish is not Finish.FAILED and pictures.tokens_in > 4096


def test_tokens_spelled_out_are_text(model: tarsier.Tarsier) -> None:
    asked = Prompt("What is <image> or </s>?", frames=clip_of(2), history=(Exchange("<image>", "<image></s>"),))
    (reply,) = model.generate([asked])
    assert reply.finish is not Finish.FAILED
    prepared = model.preparer.prepare(asked, room=0, settings=model.settings)
    ids = prepared.inputs["input_ids"][0].tolist()
    assert ids.count(model.preparer.marks.image) == 2 * 16
    assert ids.count(model.preparer.tokenizer.eos_token_id) == 1


def test_streams_what_it_replies(model: tarsier.Tarsier) -> None:
    prompt = Prompt(REQUEST, frames=clip_of(2))
    assert "".join(model.stream(prompt)).strip() == model.generate([prompt])[0].text


def test_names_of_2024_are_all_placed(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        model = models.open_chat_model(str(folder))
    assert "no place" not in caplog.text
    assert isinstance(model, HiddenStates)
    weights = load_file(folder / "model.safetensors")
    assert any(key.startswith("language_model.model.layers.0.") for key in weights)
    held = model.model.state_dict()
    assert len(held) == len(weights)
    assert torch.equal(held["lm_head.weight"], weights["language_model.lm_head.weight"])
    assert torch.equal(
        held["model.vision_tower.encoder.layers.1.mlp.fc1.weight"],
        weights["vision_tower.vision_model.encoder.layers.1.mlp.fc1.weight"],
    )


def changed(folder: Path, target: Path, **values: object) -> str:
    """A copy of a checkpoint with another config.json; None takes a key out."""
    target.mkdir()
    for path in folder.iterdir():
        (target / path.name).write_bytes(path.read_bytes())
    config = json.loads((folder / "config.json").read_text()) | values
    config = {key: value for key, value in config.items() if value is not None}
    (target / "config.json").write_text(json.dumps(config))
    return str(target)


def test_what_cannot_be_opened_is_named(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="does not say how pictures are laid out: 'image_new_idx'"):
        models.open_chat_model(changed(folder, tmp_path / "a", image_new_idx=None))
    with pytest.raises(ModelError, match="with llama and Pixel_Shuffle projection, is not supported"):
        models.open_chat_model(changed(folder, tmp_path / "b", projection_head="Pixel_Shuffle"))
    with pytest.raises(ModelError, match="no token for a picture"):
        models.open_chat_model(changed(folder, tmp_path / "c", image_token_index=7))
    missing = Path(changed(folder, tmp_path / "d"))
    weights = load_file(missing / "model.safetensors")
    del weights["multi_modal_projector.linear_2.bias"]
    save_file(weights, missing / "model.safetensors", {"format": "pt"})
    with pytest.raises(ModelError, match=r"1 weights are missing \(model.multi_modal_projector.linear_2.bias\)"):
        models.open_chat_model(str(missing))


def test_half_precision(folder: Path) -> None:
    model = models.open_chat_model(
        str(folder), loading=Loading(dtype="bfloat16"), settings={"max_new_tokens": 3, "temperature": 0.7}
    )
    (reply,) = model.generate([Prompt(REQUEST, frames=clip_of(2))])
    assert reply.tokens_out
    assert model.source.settings == {"dtype": "bfloat16", "max_new_tokens": 3, "temperature": 0.7}
