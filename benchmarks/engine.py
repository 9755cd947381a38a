"""Captions and vectors of many clips: Longshot's engine against the plain loop, on random Qwen2-VL weights.

    python benchmarks/engine.py --clips 64 --rounds 3            # a small model on the CPU
    python benchmarks/engine.py --clips 64 --rounds 3 --gpu      # the size of Qwen2-VL-7B, random weights, on a GPU

The plain loop does one clip after the other: decode, processor, generate. Longshot's is `asking.ask` over the same
files and times. Both must give the same texts; each round runs both, ratios are medians over rounds. On a GPU texts
are not compared (bfloat16 sums differ between batch sizes), and the share of the card's peak is given as well:
2 operations a weight and token, prompt and reply, over the dense bfloat16 peak.

    | way | clips/s | new tokens/s | × plain | texts equal |
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from statistics import median
from typing import Any

import av
import numpy as np
import torch
from transformers import Qwen2VLConfig, Qwen2VLForConditionalGeneration

from footage import shot
from side_by_side import machine

sys.path.insert(0, str(Path(__file__).parent.parent))

from tests.tiny import qwen

from longshot import checkpoints
from longshot.asking import Question, ask
from longshot.chat_models._dialects import ProcessorPreparer, Qwen2Dialect
from longshot.chat_models._engine import Engine, Prepared, Settings
from longshot.chat_models.transformers import processor_of
from longshot.contracts import Loading, Prompt
from longshot.looks import Look
from longshot.timeline import Source

REQUEST = "Describe the video in detail. What happens first, and what happens then?"
WORD = "Summary above video in one word:"
FRAMES, FPS = 8, 30
PIXELS = 230_400
PEAKS = {"H100": 989e12, "H200": 989e12, "A100": 312e12, "L40S": 362e12}
# Qwen2-VL-7B, as its config.json says.
FULL = {
    "hidden_size": 3584,
    "intermediate_size": 18944,
    "num_attention_heads": 28,
    "num_hidden_layers": 28,
    "num_key_value_heads": 4,
    "vocab_size": 152064,
    "max_position_embeddings": 32768,
    "rope_scaling": {"type": "mrope", "mrope_section": [16, 24, 24]},
}
FULL_PICTURES = {"depth": 32, "embed_dim": 1280, "hidden_size": 3584, "mlp_ratio": 4, "num_heads": 16}
# As deep as the 7B and very narrow: like on a GPU, most of a step is the work of starting its many small operations.
SMALL = {"layers": 28, "width": 64}


def make_clips(folder: Path, count: int) -> list[tuple[Path, tuple[float, ...]]]:
    """H.264 clips of two shapes and of 2 to 4 seconds, each with the middles of 8 equal parts in seconds."""
    made = []
    for number in range(count):
        seconds = 2 + number % 3
        width, height = ((320, 180), (320, 240))[number % 2]
        path = folder / f"{number:03}.mp4"
        with av.open(str(path), "w") as container:
            stream = container.add_stream("libx264", rate=FPS, options={"preset": "veryfast"})
            stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
            for place, planes in enumerate(shot(np.random.default_rng(number), (width, height), seconds * FPS)):
                frame = av.VideoFrame.from_ndarray(planes, format="yuv420p")
                frame.pts, frame.time_base = place, Fraction(1, FPS)
                container.mux(stream.encode(frame))
            container.mux(stream.encode(None))
        wanted = [int((part + 0.5) * seconds * FPS / FRAMES) for part in range(FRAMES)]
        made.append((path, tuple((place + 0.5) / FPS for place in wanted)))
    return made


def engine_of(folder: Path, settings: Settings, *, gpu: bool) -> Engine:
    """Small weights from the folder, or full-size random ones made on the GPU, with the folder's processor."""
    checkpoint = checkpoints.find(str(folder))
    processor = processor_of(checkpoint, Loading())
    if gpu:
        config = {**checkpoint.config, **FULL}
        config["vision_config"] = {**config["vision_config"], **FULL_PICTURES}
        torch.manual_seed(0)
        with torch.device("cuda"):
            model = Qwen2VLForConditionalGeneration._from_config(
                Qwen2VLConfig.from_dict(config), dtype=torch.bfloat16, attn_implementation="sdpa"
            )
    else:
        model = Qwen2VLForConditionalGeneration.from_pretrained(folder, dtype=torch.float32)
    # Random weights end a reply anywhere; here every reply has the same length.
    model.generation_config.eos_token_id = model.config.get_text_config().vocab_size - 1
    model = model.eval().requires_grad_(False)
    preparer = ProcessorPreparer(processor, Qwen2Dialect(processor, model.config))
    source = Source("", "random Qwen2-VL", checkpoint.revision)
    return Engine(model, preparer, source=source, loading=Loading(), settings=settings)


def plain_inputs(engine: Engine, path: Path, times: tuple[float, ...], text: str) -> Any:
    """One clip decoded from its first frame to its last, some of its frames through the processor."""
    wanted = {int(second * FPS) for second in times}
    with av.open(str(path)) as container:
        frames = [
            frame.to_ndarray(format="rgb24") for place, frame in enumerate(container.decode(video=0)) if place in wanted
        ]
    processor = engine.preparer.processor
    turns = [{"role": "user", "content": [{"type": "video"}, {"type": "text", "text": text}]}]
    said = processor.apply_chat_template(turns, tokenize=False, add_generation_prompt=True)
    size = {"shortest_edge": 128 * 28 * 28, "longest_edge": PIXELS}
    options = {"do_sample_frames": False, "size": size, "cap_pixels_per_frame": False}
    made = processor(text=[said], videos=[np.stack(frames)], videos_kwargs=options, return_tensors="pt")
    return made.to(engine.model.device, engine.model.dtype)


def plain_texts(engine: Engine, clips: list[tuple[Path, tuple[float, ...]]]) -> list[str]:
    texts = []
    for path, times in clips:
        inputs = plain_inputs(engine, path, times, REQUEST)
        with torch.inference_mode():
            made = engine.model.generate(**inputs, max_new_tokens=engine.settings.max_new_tokens, do_sample=False)
        new = made[0, inputs["input_ids"].shape[1] :]
        texts.append(engine.preparer.tokenizer.decode(new, skip_special_tokens=True).strip())
    return texts


def our_texts(engine: Engine, clips: list[tuple[Path, tuple[float, ...]]]) -> list[str]:
    questions = [Question(path.name, REQUEST, look=Look(path, times)) for path, times in clips]
    answers = {answer.id: answer for answer in ask(engine, questions)}
    return [answers[path.name].text for path, _ in clips]


def plain_vectors(engine: Engine, ready: list[Prepared]) -> np.ndarray:
    """One new token for each clip, the hidden state before it kept."""
    rows = []
    for one in ready:
        inputs = engine._join([one])
        with torch.inference_mode():
            made = engine.model.generate(
                **inputs, max_new_tokens=1, do_sample=False, output_hidden_states=True, return_dict_in_generate=True
            )
        rows.append(made.hidden_states[0][-1][0, -1].float().cpu().numpy())
    return np.stack(rows)


def race(ways: dict[str, Callable[[], Any]], rounds: int) -> tuple[dict[str, list[float]], dict[str, Any]]:
    """Seconds of each way in each round, and what it made last."""
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    last: dict[str, Any] = {}
    for turn in range(rounds):
        for name, work in ways.items():
            began, cpu = time.perf_counter(), time.process_time()
            last[name] = work()
            seconds[name].append(time.perf_counter() - began)
            took = f"{seconds[name][-1]:.2f} s, {time.process_time() - cpu:.2f} s of CPU"
            print(f"round {turn + 1} of {rounds}: {name} {took}", file=sys.stderr)
    return seconds, last


def faster(seconds: dict[str, list[float]], name: str) -> float:
    return median(plain / own for plain, own in zip(seconds["plain"], seconds[name], strict=True))


def share(engine: Engine, tokens: int, seconds: float) -> str:
    card = torch.cuda.get_device_name()
    peak = next((value for name, value in PEAKS.items() if name in card), 0.0)
    if not peak:
        return f", peak of {card} not known"
    weights = sum(value.numel() for value in engine.model.parameters())
    return f", {2 * weights * tokens / seconds / peak:.1%} of the peak of {card}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clips", type=int, default=64)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--tokens", type=int, default=128, help="new tokens of a reply")
    parser.add_argument("--gpu", action="store_true", help="full size, on a GPU")
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as place:
        clips = make_clips(Path(place), chosen.clips)
        folder = qwen.qwen2_vl(Path(place) / "model", **SMALL)
        settings = Settings(max_new_tokens=chosen.tokens, frame_pixels=PIXELS)
        engine = engine_of(folder, settings, gpu=chosen.gpu)
        print(f"{machine()}, torch {torch.__version__}, {torch.get_num_threads()} threads, batch {engine.batch}")
        ways = {"plain": lambda: plain_texts(engine, clips), "longshot": lambda: our_texts(engine, clips)}
        plain_texts(engine, clips[:1]), our_texts(engine, clips[:1])
        seconds, texts = race(ways, chosen.rounds)
        equal = sum(one == other for one, other in zip(texts["plain"], texts["longshot"], strict=True))
        tokens_in = sum(plain_inputs(engine, *clip, REQUEST)["input_ids"].shape[1] for clip in clips)
        for name, rounds in seconds.items():
            new = chosen.clips * chosen.tokens
            peak = share(engine, tokens_in + new, median(rounds)) if chosen.gpu else ""
            print(
                f"| {name} | {chosen.clips / median(rounds):.2f} clips/s | {new / median(rounds):.0f} new tokens/s | "
                f"× {faster(seconds, name):.2f} | {equal} of {chosen.clips} texts equal{peak} |"
            )
        prompts = [Prompt(WORD, frames=Look(path, times).frames()) for path, times in clips]
        ready = [engine._prepare(prompt, 0) for prompt in prompts]
        seconds, rows = race(
            {
                "plain": lambda: plain_vectors(engine, ready),
                "longshot": lambda: np.stack([engine._states([one])[0] for one in ready]),
            },
            chosen.rounds,
        )
        apart = np.abs(rows["plain"] - rows["longshot"]).max()
        print(
            f"| one forward pass ÷ one new token | × {faster(seconds, 'longshot'):.2f} | apart by {apart:.1e} at most |"
        )


if __name__ == "__main__":
    main()
