"""Chat families other than Qwen: what our engine asks and answers, against ids and pixels laid out by hand.

Each family has a folder with its true architecture, names and processor files and random weights. A test writes down
the prompt's tokens and the frames' pixels itself, runs the model class plainly, one prompt, no cache, and compares.
"""

from __future__ import annotations

import functools
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch.nn.functional import avg_pool2d, gelu, interpolate
from torchvision.transforms.v2 import InterpolationMode
from torchvision.transforms.v2.functional import resize

from longshot.contracts import Exchange, Finish, Frames, Prompt
from longshot.errors import ModelError
from longshot.models import open_chat_model
from tests.tiny import gemma, internvl, llava, minicpmv, smolvlm, videollama3

# MiniCPM-V's processor sums a tensor by a numpy function.
pytestmark = pytest.mark.filterwarnings("ignore:__array_wrap__ must accept context:DeprecationWarning")

WRITERS: dict[str, Callable[[Path], Path]] = {
    "next-video": llava.write_next_video,
    "onevision": llava.write_onevision,
    "internvl": internvl.write_internvl,
    "smolvlm": smolvlm.write_smolvlm,
    "videollama3": videollama3.write_videollama3,
    "gemma3": gemma.write_gemma3,
    "gemma4": gemma.write_gemma4,
    "minicpmv-4.6": functools.partial(minicpmv.write_minicpmv, version="4_6"),
    "minicpmv-4.7": functools.partial(minicpmv.write_minicpmv, version="4_7"),
}
# Three frames at times that no frame rate has.
TIMES = (0.0, 1.5, 62.04)
ASKED = "Describe the video."
WORDS = 8
HALF = ((0.5, 0.5, 0.5), (0.5, 0.5, 0.5))
CLIP = ((0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711))
IMAGENET = (internvl.MEAN, internvl.STD)


def frames_of(times: Sequence[float] = TIMES, *, size: tuple[int, int] = (90, 160), seed: int = 0) -> Frames:
    pixels = np.random.default_rng(seed).integers(0, 256, (len(times), *size, 3), dtype=np.uint8)
    return Frames(pixels, np.asarray(times, dtype=np.float64))


@pytest.fixture(scope="module")
def engine_of(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Any]:
    """The engine of a family by its name above, opened as a user would, by folder."""

    @functools.cache
    def engine(name: str) -> Any:
        folder = WRITERS[name](tmp_path_factory.mktemp(name))
        return open_chat_model(str(folder), settings={"max_new_tokens": WORDS})

    return engine


def seen(frames: Frames, size: tuple[int, int], look: tuple[Sequence[float], Sequence[float]], **how: Any) -> Any:
    """Frames at a size and normalised: float32 (T, 3, h, w)."""
    pixels = torch.from_numpy(frames.pixels).permute(0, 3, 1, 2)
    smaller = resize(pixels, list(size), antialias=True, **{"interpolation": InterpolationMode.BICUBIC, **how})
    mean, std = (torch.tensor(row).view(1, 3, 1, 1) for row in look)
    return (smaller.float() / 255 - mean) / std


def ids_of(engine: Any, *parts: str | tuple[str, int]) -> list[int]:
    """Token ids of texts and of special tokens repeated: ("<image>", 144)."""
    tokenizer = engine.preparer.tokenizer
    found: list[int] = []
    for part in parts:
        if isinstance(part, str):
            found += tokenizer(part, add_special_tokens=False)["input_ids"]
        else:
            found += [tokenizer.convert_tokens_to_ids(part[0])] * part[1]
    return found


def agree(
    engine: Any,
    ids: Sequence[int],
    states: Callable[[Any, torch.Tensor], torch.Tensor],
    *,
    frames: Frames | None = None,
    text: str = ASKED,
) -> None:
    """Our tokens are `ids`; our reply and vector are those of `states`: (inner model, ids (1, L)) -> (1, L, D)."""
    prompt = Prompt(text, frames if frames is not None else frames_of())
    (reply,) = engine.generate([prompt])
    assert reply.finish in (Finish.STOP, Finish.LENGTH), reply.reason
    made = engine.preparer.prepare(prompt, room=0, settings=engine.settings).inputs["input_ids"][0].tolist()
    assert made == list(ids)
    said = list(ids)
    with torch.inference_mode():
        first = states(engine.model.base_model, torch.tensor([said]))[0, -1]
        for _ in range(reply.tokens_out):
            last = states(engine.model.base_model, torch.tensor([said]))[:, -1]
            said.append(int(engine.model.get_output_embeddings()(last).argmax()))
    decoded = engine.preparer.tokenizer.decode(said[len(ids) :], skip_special_tokens=True)
    assert (reply.text, reply.tokens_in) == (decoded.strip(), len(ids))
    np.testing.assert_allclose(engine.embed([prompt])[0], first.numpy(), atol=1e-4)


def told(model: Any, ids: torch.Tensor, place: int, features: torch.Tensor) -> torch.Tensor:
    """The language model over words and features that stand at the tokens `place`."""
    words = model.get_input_embeddings()(ids)
    assert int((ids == place).sum()) == len(features)
    words[ids == place] = features.to(words.dtype)
    return model.language_model(inputs_embeds=words, use_cache=False).last_hidden_state


def test_llava_next_video_pools_each_frame_to_144_tokens(engine_of):
    engine = engine_of("next-video")
    # 90 x 160 with the short side at 336 is 336 x 597; the middle square is cut out.
    pixels = seen(frames_of(), (336, 597), CLIP)[..., 130:466]

    def states(model: Any, ids: torch.Tensor) -> torch.Tensor:
        patches = model.vision_tower(pixels, output_hidden_states=True).hidden_states[-2][:, 1:]
        pooled = avg_pool2d(patches.transpose(1, 2).unflatten(2, (24, 24)), 2).flatten(2).transpose(1, 2)
        joint = model.multi_modal_projector
        return told(model, ids, video, joint.linear_2(gelu(joint.linear_1(pooled))).flatten(0, 1))

    ids = ids_of(engine, ("<s>", 1), "USER: ", ("<video>", 3 * 144), f"\n{ASKED} ASSISTANT:")
    video = engine.model.config.video_token_id
    agree(engine, ids, states)


def test_llava_onevision_pools_each_frame_to_196_tokens_and_ends_with_a_newline(engine_of):
    engine = engine_of("onevision")
    pixels = seen(frames_of(), (384, 384), HALF)

    def states(model: Any, ids: torch.Tensor) -> torch.Tensor:
        patches = model.vision_tower(pixels, output_hidden_states=True).hidden_states[-1]
        joint = model.multi_modal_projector
        joined = joint.linear_2(gelu(joint.linear_1(patches))).transpose(1, 2).unflatten(2, (27, 27))
        pooled = interpolate(joined, (14, 14), mode="bilinear").flatten(2).transpose(1, 2).flatten(0, 1)
        return told(model, ids, video, torch.cat([pooled, model.image_newline[None]]))

    ids = ids_of(
        engine,
        "<|im_start|>user ",
        ("<video>", 3 * 196 + 1),
        f"\n{ASKED}<|im_end|><|im_start|>assistant\n",
    )
    video = engine.model.config.video_token_id
    agree(engine, ids, states)


def test_internvl_numbers_the_frames_and_gives_each_256_tokens(engine_of):
    engine = engine_of("internvl")
    pixels = seen(frames_of(), (448, 448), IMAGENET)
    lines = [part for number in (1, 2, 3) for part in (f"Frame{number}: <img>", ("<IMG_CONTEXT>", 256), "</img>\n")]
    ids = ids_of(engine, "<|im_start|>user\n", *lines, f"{ASKED}<|im_end|>\n<|im_start|>assistant\n")
    agree(engine, ids, lambda model, ids: model(input_ids=ids, pixel_values=pixels).last_hidden_state)


def test_internvl_cuts_a_single_picture_into_tiles(engine_of):
    engine = engine_of("internvl")
    # 90 x 160 is nearest to one row of two tiles; a thumbnail comes behind them.
    picture = frames_of((7.0,))
    wide = seen(picture, (448, 896), IMAGENET)[0]
    tiles = torch.stack([wide[:, :, :448], wide[:, :, 448:], seen(picture, (448, 448), IMAGENET)[0]])
    ids = ids_of(
        engine,
        "<|im_start|>user\n<img>",
        ("<IMG_CONTEXT>", 3 * 256),
        f"</img>\n{ASKED}<|im_end|>\n<|im_start|>assistant\n",
    )
    agree(engine, ids, lambda model, ids: model(input_ids=ids, pixel_values=tiles).last_hidden_state, frames=picture)


def test_smolvlm_writes_each_frames_time_in_minutes_and_seconds(engine_of):
    engine = engine_of("smolvlm")
    # The long side at 512 first, then a square.
    fine = InterpolationMode.LANCZOS
    pixels = resize(torch.from_numpy(frames_of().pixels).permute(0, 3, 1, 2), [288, 512], fine)
    fitted = Frames(pixels.permute(0, 2, 3, 1).numpy(), frames_of().times)
    square = seen(fitted, (512, 512), HALF, interpolation=fine)[None]
    lines = [
        part
        for time in ("00:00", "00:01", "01:02")
        for part in (
            f"\nFrame from {time}:<fake_token_around_image><global-img>",
            ("<image>", 64),
            "<fake_token_around_image>",
        )
    ]
    ids = ids_of(
        engine,
        "<|im_start|>User: You are provided the following series of three frames from a 0:01:02 [H:MM:SS] video.\n",
        *lines,
        f"\n\n{ASKED}<end_of_utterance>\nAssistant:",
    )
    agree(engine, ids, lambda model, ids: model(input_ids=ids, pixel_values=square).last_hidden_state)


def cut_in_squares(pixels: torch.Tensor, patch: int, merge: int) -> torch.Tensor:
    """Frames (T, 3, h, w) as patches, those of a merged square one after the other: (N, 3 * patch * patch)."""
    count, colours, height, width = pixels.shape
    rows, columns = height // patch // merge, width // patch // merge
    cut = pixels.reshape(count, colours, rows, merge, patch, columns, merge, patch)
    return cut.permute(0, 2, 5, 3, 6, 1, 4, 7).reshape(-1, colours * patch * patch)


def test_videollama3_writes_each_frames_time_to_a_tenth(engine_of):
    engine = engine_of("videollama3")
    # 96 squares of 28 for three frames: 32 each; 90 x 160 rounds to 84 x 168, which is 18 squares.
    patches = cut_in_squares(seen(frames_of(), (84, 168), HALF), 14, 2)
    parts: list[Any] = []
    for number, time in enumerate(("0.0", "1.5", "62.0")):
        parts += [f"{',' if number else ''}Time {time}s:", ("<|video_pad|>", 18)]
    ids = ids_of(engine, "<|im_start|>user\n", *parts, f"\n{ASKED}<|im_end|>\n<|im_start|>assistant\n")
    options = {
        "pixel_values_videos": patches,
        "video_grid_thw": torch.tensor([[3, 6, 12]]),
        "video_merge_sizes": torch.tensor([2]),
        "video_compression_mask": torch.ones(54, dtype=torch.bool),
    }
    agree(engine, ids, lambda model, ids: model(input_ids=ids, **options).last_hidden_state)


def test_videollama3_leaves_out_patches_that_stay_the_same(engine_of):
    engine = engine_of("videollama3")
    still = frames_of()
    still = Frames(np.repeat(still.pixels[:1], 3, axis=0), still.times)
    made = engine.preparer.prepare(Prompt(ASKED, still), room=0, settings=engine.settings)
    video = engine.preparer.tokenizer.convert_tokens_to_ids("<|video_pad|>")
    # All 18 squares of the first frame, and one of each that follows, so that none is without.
    assert int((made.inputs["input_ids"] == video).sum()) == 18 + 1 + 1
    assert engine.generate([Prompt(ASKED, still)])[0].finish is not Finish.FAILED


def test_videollama3_shares_its_pixels_among_the_frames(engine_of):
    engine = engine_of("videollama3")
    many = frames_of(np.arange(24) * 0.5)
    made = engine.preparer.prepare(Prompt(ASKED, many), room=0, settings=engine.settings)
    # 96 squares for 24 frames are 4 each; 90 x 160 in the shape of a frame is then one row of two.
    assert made.inputs["video_grid_thw"].tolist() == [[24, 2, 4]]


def test_gemma3_takes_frames_as_pictures_behind_their_times(engine_of):
    engine = engine_of("gemma3")
    pixels = seen(frames_of(), (112, 112), HALF, interpolation=InterpolationMode.BILINEAR)
    lines = [
        part
        for time in ("0.0", "1.5", "62.0")
        for part in (f"Frame at {time} s:\n\n<start_of_image>", ("<image_soft_token>", 16), "<end_of_image>\n\n")
    ]
    ids = ids_of(
        engine,
        "<bos><start_of_turn>user\n",
        *lines,
        f"{ASKED}<end_of_turn>\n<start_of_turn>model\n",
    )
    soft = engine.model.config.image_token_id

    def states(model: Any, ids: torch.Tensor) -> torch.Tensor:
        return model(input_ids=ids, pixel_values=pixels, token_type_ids=(ids == soft).long()).last_hidden_state

    agree(engine, ids, states)


def test_gemma4_keeps_each_frames_shape_and_writes_its_time(engine_of):
    engine = engine_of("gemma4")
    # At most 630 patches of 16, sides in multiples of 48: 90 x 160 becomes 288 x 528, 18 x 33 patches, 66 tokens.
    pixels = torch.from_numpy(frames_of().pixels).permute(0, 3, 1, 2)
    large = resize(pixels, [288, 528], InterpolationMode.BICUBIC).float() / 255
    cut = large.reshape(3, 3, 18, 16, 33, 16).permute(0, 2, 4, 3, 5, 1).reshape(3, 594, 768)
    places = torch.stack(torch.meshgrid(torch.arange(33), torch.arange(18), indexing="xy"), dim=-1).reshape(594, 2)
    parts: list[Any] = []
    for number, time in enumerate(("00:00", "00:01", "01:02")):
        parts += [f"{' ' if number else ''}{time} <|image>", ("<|video|>", 66), "<image|>"]
    ids = ids_of(engine, "<bos><|turn>user\n", *parts, f"{ASKED}<turn|>\n<|turn>model\n")
    video = engine.model.config.video_token_id

    def states(model: Any, ids: torch.Tensor) -> torch.Tensor:
        return model(
            input_ids=ids,
            pixel_values_videos=cut,
            video_position_ids=places.expand(3, -1, -1),
            num_frames_per_video=torch.tensor([3]),
            mm_token_type_ids=(ids == video).long() * 2,
        ).last_hidden_state

    agree(engine, ids, states)


@pytest.mark.parametrize("version", ["4.6", "4.7"])
def test_minicpmv_shows_each_frame_whole(engine_of, version):
    engine = engine_of(f"minicpmv-{version}")
    # As large as 448 x 448 in the frame's shape, sides in multiples of 56: 336 x 616, 24 x 44 patches, 66 tokens.
    large = seen(frames_of(), (336, 616), HALF)
    rows = large.reshape(3, 3, 24, 14, 44, 14).permute(1, 3, 0, 2, 4, 5).reshape(1, 3, 14, -1)
    frame = ("<image>", ("<|video_pad|>", 66), "</image>")
    ids = ids_of(engine, "<|im_start|>user\n", *frame * 3, f"\n{ASKED}<|im_end|>\n<|im_start|>assistant\n")
    video = engine.model.config.video_token_id
    sizes = {"pixel_values_videos": rows, "target_sizes_videos": torch.tensor([[24, 44]] * 3, dtype=torch.int32)}

    def states(model: Any, ids: torch.Tensor) -> torch.Tensor:
        kinds = {"mm_token_type_ids": (ids == video).long() * 2} if version == "4.7" else {}
        return model(input_ids=ids, **sizes, **kinds, use_cache=False).last_hidden_state

    agree(engine, ids, states)


@pytest.mark.parametrize("version", ["4.6", "4.7"])
def test_minicpmv_does_not_cut_a_large_frame_into_slices(engine_of, version):
    engine = engine_of(f"minicpmv-{version}")
    made = engine.preparer.prepare(
        Prompt(ASKED, frames_of((0.0, 1.0), size=(720, 1280))), room=0, settings=engine.settings
    )
    assert int((made.inputs["input_ids"] == engine.model.config.video_token_id).sum()) == 2 * 66


@pytest.mark.parametrize("name", WRITERS)
def test_a_prompt_gets_the_same_beside_others(engine_of, name):
    engine = engine_of(name)
    prompts = [
        Prompt(ASKED, frames_of()),
        Prompt("What happens first?", frames_of((3.26, 4.0), size=(120, 90), seed=1)),
        Prompt("Who is it?", frames_of((0.5,), size=(64, 64), seed=2)),
        Prompt("A man slices tomatoes."),
        Prompt("And then?", frames_of((600.0, 601.5), seed=3), "You watch.", (Exchange("What?", "A man."),)),
    ]
    together = engine.generate(prompts)
    assert [reply.reason for reply in together] == [""] * len(prompts)
    assert together == [engine.generate([prompt])[0] for prompt in prompts]
    vectors = engine.embed(prompts)
    alone = np.concatenate([engine.embed([prompt]) for prompt in prompts])
    np.testing.assert_allclose(vectors, alone, atol=2e-4)
    assert np.linalg.norm(vectors[0] - vectors[1]) > 0.05, "these prompts are told apart"


@pytest.mark.parametrize("name", WRITERS)
def test_marks_of_pictures_in_a_question_are_text(engine_of, name):
    engine = engine_of(name)
    processor = engine.preparer.processor
    mark = getattr(processor, "video_token", processor.image_token)
    (reply,) = engine.generate([Prompt(f"What is {mark} here?", frames_of())])
    assert reply.finish is not Finish.FAILED, reply.reason
    assert mark in reply.note


@pytest.mark.parametrize(
    ("name", "each"),
    [("next-video", 144), ("onevision", 196), ("internvl", 256), ("smolvlm", 64), ("gemma4", 66), ("minicpmv-4.6", 66)],
)
def test_frames_are_thinned_to_a_budget_of_visual_tokens(engine_of, name, each):
    engine = engine_of(name)
    settings = type(engine.settings)(visual_tokens=2 * each + 1)
    made = engine.preparer.prepare(Prompt(ASKED, frames_of()), room=0, settings=settings)
    assert made.note == "2 of 3 frames used"


def test_an_original_videollama3_is_the_same_model_under_other_names(tmp_path):
    """Its reply is that of the native class with its tensors placed by hand, at its one token for pictures."""
    from safetensors.torch import load_file
    from transformers import Qwen2Config, VideoLlama3Config, VideoLlama3ForConditionalGeneration

    folder = videollama3.write_original_videollama3(tmp_path)
    (folder / "modeling_videollama3.py").write_text("raise SystemExit('this must not run')\n")
    engine: Any = open_chat_model(str(folder), settings={"max_new_tokens": WORDS})
    told = json.loads((folder / "config.json").read_text())
    names = ("hidden_size", "intermediate_size", "num_hidden_layers", "num_attention_heads", "num_key_value_heads")
    plain = VideoLlama3ForConditionalGeneration(
        VideoLlama3Config(
            text_config=Qwen2Config(
                **{name: told[name] for name in names}, vocab_size=told["vocab_size"], rope_theta=1e6, rms_norm_eps=1e-6
            ).to_dict(),
            vision_config=told["vision_encoder_config"] | {"model_type": "video_llama_3_vision"},
            image_token_id=told["image_token_index"],
            video_token_id=told["image_token_index"],
        )
    ).eval()
    held = load_file(folder / "model.safetensors")
    placed = {name: held[name] for name in held if name == "lm_head.weight"}
    for name, value in held.items():
        part, _, rest = name.removeprefix("model.").partition(".")
        homes = {"vision_encoder": "vision_model", "mm_projector": "projector"}
        if name not in placed:
            placed[f"model.{homes[part]}.{rest}" if part in homes else f"model.language_model.{part}.{rest}"] = value
    plain.load_state_dict(placed)

    # 96 squares of 28 for three frames: 90 x 160 is 84 x 168, 18 squares each.
    patches = cut_in_squares(seen(frames_of(), (84, 168), HALF), 14, 2)
    parts: list[Any] = []
    for number, time in enumerate(("0.0", "1.5", "62.0")):
        parts += [f"{',' if number else ''}Time {time}s:", ("<image>", 18)]
    ids = ids_of(engine, "<|im_start|>user\n", *parts, f"\n{ASKED}<|im_end|>\n<|im_start|>assistant\n")
    options = {
        "pixel_values_videos": patches,
        "video_grid_thw": torch.tensor([[3, 6, 12]]),
        "video_merge_sizes": torch.tensor([2]),
        "video_compression_mask": torch.ones(54, dtype=torch.bool),
    }
    agree(engine, ids, lambda model, ids: plain.model(input_ids=ids, **options).last_hidden_state)

    # A single picture stands at the same token, its patches unmerged: 6 x 11 of 14 pixels.
    picture = frames_of((7.0,))
    wide = cut_in_squares(seen(picture, (84, 154), HALF), 14, 1)
    ids = ids_of(engine, "<|im_start|>user\n", ("<image>", 66), f"\n{ASKED}<|im_end|>\n<|im_start|>assistant\n")
    still = {"image_grid_thw": torch.tensor([[1, 6, 11]]), "image_merge_sizes": torch.tensor([1])}
    agree(
        engine,
        ids,
        lambda model, ids: plain.model(input_ids=ids, pixel_values=wide, **still).last_hidden_state,
        frames=picture,
    )
    prompts = [Prompt(ASKED, frames_of()), Prompt("Who?", picture), Prompt("Hi <video> <image>"), Prompt("Hi")]
    assert engine.generate(prompts) == [engine.generate([prompt])[0] for prompt in prompts]


def test_a_model_without_a_row_can_be_tried_by_naming_the_engine(tmp_path):
    """LLaVA 1.5's processor takes no videos, so its frames are pictures; its template puts them before all words."""
    engine: Any = open_chat_model(f"transformers:{llava.write_llava(tmp_path)}", settings={"max_new_tokens": WORDS})
    pixels = seen(frames_of(), (336, 597), CLIP)[..., 130:466]
    ids = ids_of(
        engine,
        ("<s>", 1),
        "USER: ",
        *[("<image>", 576), "\n"] * 3,
        f"Frame at 0.0 s: Frame at 1.5 s: Frame at 62.0 s: {ASKED} ASSISTANT:",
    )
    agree(engine, ids, lambda model, ids: model(input_ids=ids, pixel_values=pixels).last_hidden_state)
    with pytest.raises(ModelError, match="architecture LlavaForConditionalGeneration is not known"):
        open_chat_model(str(tmp_path))
