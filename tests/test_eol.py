"""Chat models as encoders: the words that are asked, the position that is taken, lengths of one."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from longshot import models
from longshot.contracts import ChatModel, Encoder, Frames, HiddenStates, Loading, Prompt, Reply
from longshot.encoders import eol
from longshot.encoders.eol import EolEncoder
from longshot.errors import ModelError, UsageError
from longshot.timeline import Source
from tests.tiny.care import write_care
from tests.tiny.llava import write_next_video
from tests.tiny.tarsier import write_tarsier, write_tarsier2

TEXTS = ["a man slices tomatoes", "", "A rocket rises from the pad, and smoke rolls over the ground. " * 3, "a dog"]


def clip_of(count: int, *, height: int = 48, width: int = 64, seed: int = 0) -> Frames:
    random = np.random.default_rng(seed)
    return Frames(random.integers(0, 256, (count, height, width, 3), dtype=np.uint8), np.arange(count) / 2.0)


class Listening:
    """A chat model that notes what it is asked, and answers with a vector of the prompt's length."""

    batch = 1
    slots = 1
    context = 0

    def __init__(self, **habits: object) -> None:
        self.source = Source("", "listening", "1", {"dtype": "float32"})
        self.asked: list[list[Prompt]] = []
        self.__dict__.update(habits)

    def count_tokens(self, text: str) -> int:
        return len(text)

    def generate(self, prompts: Sequence[Prompt]) -> list[Reply]:
        return [Reply("yes") for _ in prompts]

    def stream(self, prompt: Prompt):
        yield "yes"

    def embed(self, prompts: Sequence[Prompt]) -> NDArray[np.float32]:
        self.asked.append(list(prompts))
        return np.array([[3.0, 4.0, len(prompt.text)] for prompt in prompts], dtype=np.float32)

    @property
    def all_asked(self) -> list[Prompt]:
        return [prompt for call in self.asked for prompt in call]


@pytest.fixture(scope="module")
def care_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_care(tmp_path_factory.mktemp("eol") / "CaRe-7B")


@pytest.fixture(scope="module")
def care_encoder(care_folder: Path) -> EolEncoder:
    opened = models.open_encoder(str(care_folder))
    assert isinstance(opened, EolEncoder)
    return opened


def test_the_words_that_are_asked() -> None:
    model = Listening()
    encoder = EolEncoder(model)
    encoder.encode_text(["a dog"])
    encoder.encode_frames([clip_of(1)])
    encoder.encode_frames([clip_of(2)])
    assert [prompt.text for prompt in model.all_asked] == [
        "a dog\nSummary above sentence in one word:",
        "\nSummary above image in one word:",
        "\nSummary above video in one word:",
    ]
    assert [prompt.frames is not None for prompt in model.all_asked] == [False, True, True]
    assert all(not prompt.system and not prompt.history for prompt in model.all_asked)


def test_the_words_for_other_habits() -> None:
    model = Listening(stills_are_videos=True, breaks_after_pictures=True, frames=8, height=336)
    encoder = EolEncoder(model)
    encoder.encode_frames([clip_of(1), clip_of(2)])
    assert {prompt.text for prompt in model.all_asked} == {"Summary above video in one word:"}
    assert (encoder.frames, encoder.height) == (8, 336)
    plain = EolEncoder(Listening())
    assert (plain.frames, plain.height) == (32, 480)


def test_batches_keep_the_order_and_go_by_length() -> None:
    model = Listening()
    texts = ["a" * length for length in (9, 1, 5, 3, 7, 2, 4, 6, 8, 10)]
    rows = EolEncoder(model).encode_text(texts)
    alone = [EolEncoder(Listening()).encode_text([text])[0] for text in texts]
    np.testing.assert_array_equal(rows, np.stack(alone))
    assert [[len(prompt.text.split("\n")[0]) for prompt in call] for call in model.asked] == [
        [1, 2, 3, 4, 5, 6, 7, 8],
        [9, 10],
    ]


def test_contract(care_encoder: EolEncoder) -> None:
    assert isinstance(care_encoder, Encoder)
    assert care_encoder.dimension == 32
    assert care_encoder.encode_text([]).shape == care_encoder.encode_frames([]).shape == (0, 32)
    assert care_encoder.encode_text([]).dtype == np.float32
    assert (care_encoder.frames, care_encoder.height) == (32, 640)


def test_refusals(care_folder: Path, care_encoder: EolEncoder) -> None:
    with pytest.raises(UsageError, match="no vectors of frames to pool by 'mean'"):
        models.open_encoder(str(care_folder), pooling="mean")
    with pytest.raises(UsageError, match="a clip without frames"):
        care_encoder.encode_frames([clip_of(2), clip_of(2)[:0]])

    class Mute:
        source = Source("", "mute")

    with pytest.raises(ModelError, match="mute: shows no hidden states"):
        EolEncoder(Mute())  # type: ignore[arg-type]


def test_source_tells_what_changes_vectors_only(care_folder: Path) -> None:
    plain = EolEncoder(models.open_chat_model(str(care_folder)))
    warm = EolEncoder(models.open_chat_model(str(care_folder), settings={"temperature": 1, "max_new_tokens": 5}))
    assert plain.source == warm.source
    assert plain.source.settings == {"dtype": "float32", "prompt": "one word", "pooling": "last token"}
    small = EolEncoder(models.open_chat_model(str(care_folder), settings={"frame_pixels": 120_000}))
    assert small.source.settings["frame_pixels"] == 120_000


def test_text_is_the_last_state_of_a_plain_forward(care_encoder: EolEncoder) -> None:
    model = care_encoder.chat_model.model  # type: ignore[attr-defined]
    tokenizer = care_encoder.chat_model.preparer.tokenizer  # type: ignore[attr-defined]
    said = (
        "<|im_start|>system\nYou are a helpful assistant.<|im_end|>\n"
        "<|im_start|>user\na dog\nSummary above sentence in one word:<|im_end|>\n<|im_start|>assistant\n"
    )
    ids = torch.tensor([tokenizer(said)["input_ids"]])
    with torch.inference_mode():
        state = model.model(input_ids=ids).last_hidden_state[0, -1].double().numpy()
        one = model.generate(input_ids=ids, max_new_tokens=1, output_hidden_states=True, return_dict_in_generate=True)
    (row,) = care_encoder.encode_text(["a dog"])
    np.testing.assert_allclose(row, state / np.linalg.norm(state), atol=1e-6)
    # What CaRe's authors took: the state behind the first token that generate makes.
    made = one.hidden_states[0][-1][0, -1].double().numpy()
    np.testing.assert_allclose(row, made / np.linalg.norm(made), atol=1e-6)


def test_lengths_are_one_in_float32_whatever_the_model_computes_in(care_folder: Path) -> None:
    encoder = models.open_encoder(str(care_folder), loading=Loading(dtype="bfloat16"))
    rows = np.concatenate([encoder.encode_text(TEXTS), encoder.encode_frames([clip_of(1), clip_of(3)])])
    assert rows.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(rows.astype(np.float64), axis=1), 1.0, atol=1e-6)


@pytest.mark.parametrize(
    ("write", "name"),
    [
        (write_care, "CaRe-7B"),
        (write_tarsier, "Tarsier-7b"),
        (write_tarsier2, "Tarsier2-7b"),
        (write_next_video, "LLaVA-NeXT-Video-7B"),
    ],
)
def test_any_chat_model_one_by_one_or_together(write, name: str, tmp_path: Path) -> None:
    encoder = models.open_encoder(str(write(tmp_path / name)))
    assert isinstance(encoder, EolEncoder) and isinstance(encoder.chat_model, HiddenStates | ChatModel)
    together = encoder.encode_text(TEXTS)
    alone = np.concatenate([encoder.encode_text([text]) for text in TEXTS])
    np.testing.assert_allclose(together, alone, atol=1e-5)
    clips = [clip_of(3), clip_of(1), clip_of(2, height=64, width=48, seed=3)]
    together = encoder.encode_frames(clips)
    alone = np.concatenate([encoder.encode_frames([clip]) for clip in clips])
    np.testing.assert_allclose(together, alone, atol=1e-5)
    assert abs(together[0] @ together[2]) < 0.99999


def test_a_newline_stands_before_the_line_once(tmp_path: Path, care_encoder: EolEncoder) -> None:
    llava = models.open_chat_model(str(write_next_video(tmp_path / "LLaVA-NeXT-Video-7B")))
    tarsier = models.open_chat_model(str(write_tarsier(tmp_path / "Tarsier-7b")))
    for model in (llava, tarsier, care_encoder.chat_model):
        preparer = model.preparer  # type: ignore[attr-defined]
        prompt = Prompt(EolEncoder(model)._break + eol.VIDEO, frames=clip_of(2))
        ids = preparer.prepare(prompt, room=0, settings=model.settings).inputs["input_ids"][0]  # type: ignore[attr-defined]
        before, _, after = preparer.tokenizer.decode(ids).partition(eol.VIDEO)
        assert before.endswith("\n") and not before.endswith("\n\n"), (model.source.model, before[-20:])
        assert after.strip() in ("ASSISTANT:", "<|im_end|>\n<|im_start|>assistant")


@pytest.mark.parametrize(
    ("write", "name", "line"),
    [
        (write_care, "CaRe-7B", eol.VIDEO),
        (write_care, "Qwen2-VL-7B", eol.VIDEO),
        (write_tarsier2, "Tarsier2-7b", eol.VIDEO),
        (write_tarsier, "Tarsier-7b", eol.IMAGE),
        (write_next_video, "LLaVA-NeXT-Video-7B", eol.IMAGE),
    ],
)
def test_one_frame_is_a_video_to_the_qwens(write, name: str, line: str, tmp_path: Path) -> None:
    options = {"architecture": "Qwen2VLForConditionalGeneration"} if name.startswith("Qwen") else {}
    model = models.open_chat_model(str(write(tmp_path / name, **options)))
    assert isinstance(model, HiddenStates)
    encoder = EolEncoder(model)
    one = clip_of(1)
    (row,) = encoder.encode_frames([one])
    (state,) = model.embed(
        [Prompt(("" if name.startswith(("CaRe", "Tarsier-", "LLaVA")) else "\n") + line, frames=one)]
    )
    np.testing.assert_allclose(row, state / np.linalg.norm(state), atol=1e-6)


def test_one_loaded_checkpoint_describes_and_encodes(care_folder: Path) -> None:
    captioner = models.AutoCaptioner.from_pretrained(care_folder, max_new_tokens=4)
    video = clip_of(4).pixels
    (text,) = captioner.describe(video[None])
    encoder = captioner.encoder
    assert encoder.encoder.chat_model is captioner.model  # type: ignore[attr-defined]
    v, t = encoder.encode_vision(video[None]), encoder.encode_text("a man slicing tomatoes")
    assert v.shape == t.shape == (1, 32)
    assert captioner.describe(video[None]) == [text]
