"""The engine behind chat models in this process: settings, choice, ends, memory, streams, states, and bad folders."""

from __future__ import annotations

import functools
import json
import shutil
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import RepetitionPenaltyLogitsProcessor

from longshot.chat_models._engine import Engine, Prepared, Settings, _Choice
from longshot.contracts import ChatModel, Finish, Frames, HiddenStates, Loading, Prompt
from longshot.errors import ModelError, UsageError
from longshot.models import open_chat_model
from tests.tiny import qwen


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return qwen.qwen2_vl(tmp_path_factory.mktemp("engine") / "Qwen2-VL")


@functools.cache
def opened(folder: Path, *, batch: int = 0, **settings: float) -> Engine:
    model = open_chat_model(
        str(folder),
        loading=Loading(batch=batch),
        settings={"max_new_tokens": 8, "frame_pixels": 28 * 28 * 8, **settings},
    )
    assert isinstance(model, Engine)
    return model


def clip(count: int = 2, seed: int = 0) -> Frames:
    pixels = np.random.default_rng(seed).integers(0, 256, (count, 56, 84, 3), dtype=np.uint8)
    return Frames(pixels, np.arange(count) / 2)


PROMPTS = [
    Prompt("What happens?", frames=clip(4)),
    Prompt("Hi"),
    Prompt("Describe the video in detail.", frames=clip(2, seed=1)),
    Prompt("A man slices tomatoes on a wooden board, and then?"),
    Prompt("Who?", frames=clip(1, seed=2)),
]

SHELL = (
    "<|im_start|>system\nYou are a helpful assistant.<|im_end|>\n<|im_start|>user\n",
    "<|im_end|>\n<|im_start|>assistant\n",
)


def test_it_is_what_it_says(folder: Path) -> None:
    engine = opened(folder)
    assert isinstance(engine, ChatModel)
    assert isinstance(engine, HiddenStates)
    assert (engine.batch, engine.slots, engine.context) == (16, 1, 4096)
    assert opened(folder, batch=3).batch == 3
    assert engine.source.model == str(folder)
    assert dict(engine.source.settings) == {"dtype": "float32", "max_new_tokens": 8, "frame_pixels": 6272}
    assert engine.count_tokens("<|im_start|>Hi") == len(engine.preparer.tokenizer.encode("<|im_start|>Hi"))
    assert engine.generate([]) == []
    assert engine.embed([]).shape == (0, 64)


def test_settings_come_as_numbers_or_as_text() -> None:
    read = Settings.read({"temperature": "0.5", "max_new_tokens": "64", "seed": -3})
    assert read == Settings(temperature=0.5, max_new_tokens=64, seed=-3)
    assert read.changed == {"temperature": 0.5, "max_new_tokens": 64, "seed": -3}


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"max_tokens": 5}, "no setting called 'max_tokens'.*did you mean max_new_tokens"),
        ({"xyz": 5}, "there are max_new_tokens, temperature"),
        ({"temperature": "hot"}, "temperature is a number, got 'hot'"),
        ({"top_k": 1.5}, "top_k is a whole number, got 1.5"),
        ({"seed": "1.5"}, "seed is a whole number"),
        ({"temperature": float("nan")}, "temperature is a number"),
        ({"temperature": -1}, "temperature is at least 0"),
        ({"max_new_tokens": 0}, "max_new_tokens is at least 1"),
        ({"top_p": 1.5}, "top_p is a share"),
        ({"top_p": 0}, "top_p is at least"),
    ],
)
def test_settings_that_cannot_be_meant(given: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        Settings.read(given)


def changed(folder: Path, to: Path, **files: Callable[[dict[str, Any]], Mapping[str, Any]]) -> Path:
    """A copy of a folder with some of its JSON files changed; names without ".json"."""
    shutil.copytree(folder, to)
    for name, change in files.items():
        path = to / f"{name}.json"
        path.write_text(json.dumps(change(json.loads(path.read_text()))))
    return to


def test_the_checkpoints_own_sampling_does_not_decide(folder: Path, tmp_path: Path) -> None:
    def silent(config: dict[str, Any]) -> dict[str, Any]:
        assert config["repetition_penalty"] > 1
        return {name: config[name] for name in ("eos_token_id", "pad_token_id")}

    quiet = changed(folder, tmp_path / "quiet", generation_config=silent)
    replies = [reply.text for reply in opened(folder).generate(PROMPTS)]
    assert replies == [reply.text for reply in opened(quiet).generate(PROMPTS)]
    penalised = [reply.text for reply in opened(folder, repetition_penalty=1.3).generate(PROMPTS)]
    assert replies != penalised


def test_a_reply_ends_at_an_end_token_or_at_the_limit(folder: Path, tmp_path: Path) -> None:
    engine = opened(folder)
    ready = engine._prepare(PROMPTS[0], 0)
    row = engine._tokens([ready])[0].tolist()
    end = next(token for place, token in enumerate(row) if place >= 2 and token not in row[:place])
    other = changed(folder, tmp_path / "other", generation_config=lambda config: {**config, "eos_token_id": [end]})
    cut, stopped = engine.generate(PROMPTS[:1])[0], opened(other).generate(PROMPTS)[0]
    assert (cut.finish, cut.tokens_out) == (Finish.LENGTH, 8)
    assert (stopped.finish, stopped.tokens_out) == (Finish.STOP, row.index(end) + 1)
    assert stopped.text == engine._text(row[: row.index(end) + 1]).strip()


def test_a_seed_gives_a_prompt_the_same_reply_whatever_is_beside_it(folder: Path) -> None:
    first = opened(folder, temperature=1.0, seed=1, repetition_penalty=1.2, top_p=0.9)
    together = first.generate(PROMPTS)
    assert together == [first.generate([prompt])[0] for prompt in PROMPTS]
    assert together == first.generate(PROMPTS)
    assert len({reply.text for reply in together}) == len(PROMPTS)
    second = opened(folder, temperature=1.0, seed=2, repetition_penalty=1.2, top_p=0.9)
    assert all(one.text != other.text for one, other in zip(together, second.generate(PROMPTS), strict=True))


def draws(scores: list[float], **settings: Any) -> torch.Tensor:
    """How often each token is chosen, by 4,000 rows whose prompts differ."""
    prompts = torch.arange(4000)[:, None]
    choice = _Choice(Settings(**{"temperature": 1.0, **settings}), prompts, torch.ones_like(prompts))
    chosen = choice(prompts, torch.tensor([scores]).expand(4000, -1)).argmax(-1)
    return torch.bincount(chosen, minlength=len(scores)) / 4000


def test_choices_follow_the_softmax() -> None:
    scores = [0.0, 1.0, 2.0, -1.0]
    torch.testing.assert_close(draws(scores), torch.tensor(scores).softmax(-1), rtol=0, atol=0.03)
    colder = torch.tensor(scores).div(0.5).softmax(-1)
    torch.testing.assert_close(draws(scores, temperature=0.5), colder, rtol=0, atol=0.03)


def test_top_k_and_top_p_leave_the_likeliest() -> None:
    scores = [0.0, 1.0, 2.0, -1.0]
    kept = torch.tensor([-torch.inf, 1.0, 2.0, -torch.inf]).softmax(-1)
    torch.testing.assert_close(draws(scores, top_k=2), kept, rtol=0, atol=0.03)
    # 0.644 and 0.237: the second is needed to reach 0.7, the third is not.
    torch.testing.assert_close(draws(scores, top_p=0.7), kept, rtol=0, atol=0.03)
    assert draws(scores, top_p=0.5)[2] == 1


def test_repetition_penalty_is_the_libraries_and_padding_counts_for_nothing() -> None:
    scores = torch.randn(2, 12, generator=torch.Generator().manual_seed(0))
    prompts = torch.tensor([[3, 5, 3, 7], [0, 0, 4, 9]])
    mask = torch.tensor([[1, 1, 1, 1], [0, 0, 1, 1]])
    ours = _Choice(Settings(repetition_penalty=1.5), prompts, mask)
    theirs = RepetitionPenaltyLogitsProcessor(1.5)
    for new in ([[]] * 2, [[1], [2]], [[1, 11], [2, 2]]):
        ids = torch.cat([prompts, torch.tensor(new, dtype=torch.long).reshape(2, -1)], dim=1)
        expected = torch.cat([theirs(ids[:1], scores[:1]), theirs(ids[1:, 2:], scores[1:])])
        torch.testing.assert_close(ours(ids, scores), expected)


def test_a_stream_is_the_reply_in_pieces(folder: Path) -> None:
    engine = opened(folder, max_new_tokens=24)
    for prompt, reply in zip(PROMPTS, engine.generate(PROMPTS), strict=True):
        pieces = list(engine.stream(prompt))
        assert "".join(pieces).strip() == reply.text
        assert all(pieces)


def test_a_stream_that_nobody_reads_on_ends(folder: Path) -> None:
    engine = opened(folder, max_new_tokens=3000)
    stream = engine.stream(PROMPTS[1])
    next(stream)
    stream.close()
    assert not [thread for thread in threading.enumerate() if thread.name == "stream"]
    with pytest.raises(UsageError, match="the text alone has"):
        list(engine.stream(Prompt("word " * 5000, frames=clip())))


def test_what_goes_wrong_in_a_stream_is_raised_where_it_is_read(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(**inputs: Any) -> None:
        raise RuntimeError("the device went away")

    engine = opened(folder)
    monkeypatch.setattr(engine.model, "generate", broken)
    with pytest.raises(RuntimeError, match="the device went away"):
        list(engine.stream(PROMPTS[0]))


def test_out_of_memory_halves_the_batch(
    folder: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    engine = opened(folder)
    expected, states = engine.generate(PROMPTS), engine.embed(PROMPTS)
    sizes: list[int] = []

    def short_of_memory(method: Callable[..., Any], most: int) -> Callable[..., Any]:
        def run(*args: Any, **inputs: Any) -> Any:
            sizes.append(len(inputs["input_ids"]))
            if len(inputs["input_ids"]) > most:
                raise torch.OutOfMemoryError("CUDA out of memory")
            return method(*args, **inputs)

        return run

    with monkeypatch.context() as patch:
        patch.setattr(engine.model, "generate", short_of_memory(engine.model.generate, 2))
        assert engine.generate(PROMPTS) == expected
    assert sizes == [5, 2, 3, 1, 2]
    assert "out of memory with 5 at once; going on with 2" in caplog.text
    with monkeypatch.context() as patch:
        patch.setattr(engine.model.model, "forward", short_of_memory(engine.model.model.forward, 2))
        np.testing.assert_allclose(engine.embed(PROMPTS), states, atol=1e-5)
    with monkeypatch.context() as patch:
        patch.setattr(engine.model, "generate", short_of_memory(engine.model.generate, 0))
        with pytest.raises(torch.OutOfMemoryError):
            engine.generate(PROMPTS[:1])


def test_embed_is_the_state_behind_the_first_new_token(folder: Path) -> None:
    engine = opened(folder)
    for prompt in PROMPTS:
        inputs = engine._join([engine._prepare(prompt, 0)])
        with torch.no_grad():
            made = engine.model.generate(
                **inputs, max_new_tokens=1, output_hidden_states=True, return_dict_in_generate=True
            )
        expected = made.hidden_states[0][-1][:, -1].numpy()
        np.testing.assert_allclose(engine.embed([prompt]), expected, rtol=0, atol=1e-6)


def test_embed_makes_no_logits(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    engine = opened(folder)
    monkeypatch.setattr(engine.model.lm_head, "forward", lambda *_: pytest.fail("logits were made"))
    rows = engine.embed(PROMPTS)
    assert (rows.shape, rows.dtype) == ((5, 64), np.float32)


def test_prompts_that_cannot_share_a_batch_are_grouped(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    engine = opened(folder)
    expected = engine.generate(PROMPTS)
    sizes: list[int] = []
    plain = engine._tokens
    monkeypatch.setattr(type(engine.preparer), "mixes", False)
    monkeypatch.setattr(engine, "_tokens", lambda batch: sizes.append(len(batch)) or plain(batch))
    assert engine.generate(PROMPTS) == expected
    assert sorted(sizes) == [1, 2, 2]


def test_small_batches_give_the_same_in_order(folder: Path) -> None:
    prompts = [Prompt(f"Question {number}", frames=clip(1 + number % 4, seed=number)) for number in range(7)]
    expected = opened(folder).generate(prompts)
    assert opened(folder, batch=2).generate(prompts) == expected
    assert len({reply.text for reply in expected}) > 4


def test_texts_that_do_not_fit_fail_alone_with_numbers(folder: Path) -> None:
    long = "tomatoes " * 3000
    alone, beside, fine = opened(folder).generate([Prompt(long), Prompt(long, frames=clip()), Prompt("Hi")])
    words = opened(folder).count_tokens(f"{SHELL[0]}{long}{SHELL[1]}")
    assert alone.finish is beside.finish is Finish.FAILED
    assert alone.reason == f"the prompt has {words} tokens, and there is room for 4088"
    assert beside.reason == f"the text alone has {words} tokens, and there is room for 4088"
    assert fine.finish is not Finish.FAILED
    with pytest.raises(UsageError, match="leaves no room for a prompt: the context is 4096"):
        opened(folder, max_new_tokens=4096).generate([Prompt("Hi")])
    with pytest.raises(UsageError, match="prompt 1 has no vector"):
        opened(folder).embed([Prompt("Hi"), Prompt(long)])


def test_control_tokens_in_a_text_are_text(folder: Path) -> None:
    engine = opened(folder)
    text = "It said <|im_end|> and <|video_pad|>."
    reply = engine.generate([Prompt(text, frames=clip())])[0]
    assert reply.note == "control tokens written as text: <|im_end|>, <|video_pad|>"
    ids = engine._prepare(Prompt(text, frames=clip()), 0).inputs["input_ids"][0].tolist()
    ends, places = engine.preparer.tokenizer.convert_tokens_to_ids(["<|im_end|>", "<|video_pad|>"])
    assert (ids.count(ends), ids.count(places)) == (2, 6)


def test_frames_that_are_none_fail(folder: Path) -> None:
    reply = opened(folder).generate([Prompt("Hi", frames=clip()[:0])])[0]
    assert (reply.finish, "at least one" in reply.reason) == (Finish.FAILED, True)


def test_join_pads_on_the_left(folder: Path) -> None:
    engine = opened(folder)
    rows = [Prepared({"input_ids": torch.tensor([[5, 6, 7]])}), Prepared({"input_ids": torch.tensor([[8]])})]
    joined = engine._join(rows)
    assert joined["input_ids"].tolist() == [[5, 6, 7], [engine._pad, engine._pad, 8]]
    assert joined["attention_mask"].tolist() == [[1, 1, 1], [0, 0, 1]]


def without_weight(folder: Path) -> None:
    held = load_file(folder / "model.safetensors")
    save_file({key: value for key, value in held.items() if "layers.1.mlp" not in key}, folder / "model.safetensors")


def wider_weight(folder: Path) -> None:
    held = load_file(folder / "model.safetensors")
    held["model.norm.weight"] = torch.ones(65)
    save_file(held, folder / "model.safetensors")


def pickled(folder: Path) -> None:
    (folder / "model.safetensors").unlink()
    (folder / "pytorch_model.bin").write_bytes(b"PK")


def torn(folder: Path) -> None:
    whole = (folder / "model.safetensors").read_bytes()
    (folder / "model.safetensors").write_bytes(whole[: len(whole) // 2])


def config(**values: Any) -> Callable[[Path], None]:
    def change(folder: Path) -> None:
        path = folder / "config.json"
        path.write_text(json.dumps({**json.loads(path.read_text()), **values}))

    return change


def without(*names: str) -> Callable[[Path], None]:
    return lambda folder: [(folder / name).unlink() for name in names] and None


def garbled(name: str) -> Callable[[Path], None]:
    return lambda folder: (folder / name).write_text("{") and None


REMOTE = {"auto_map": {"AutoModel": "modeling_own.OwnModel"}, "model_type": "own", "architectures": ["OwnModel"]}


@pytest.mark.parametrize(
    ("harm", "message"),
    [
        (without_weight, r"3 weights are missing \(model.language_model.layers.1.mlp"),
        (wider_weight, r"1 weights have another shape than config.json says \(model.language_model.norm.weight"),
        (pickled, "pickled.*longshot convert"),
        (torn, "model.safetensors is torn"),
        (config(model_type="qwen2_vll"), "model type qwen2_vll is no chat model.*the nearest is qwen2_vl"),
        (config(model_type="clip"), "model type clip is no chat model about pictures"),
        (
            config(**REMOTE),
            "model type own needs the Python files.*modeling_own.py, revision [0-9a-f]{12}.*--remote-code",
        ),
        (without("tokenizer.json", "tokenizer_config.json"), r"lacks a tokenizer \(tokenizer.json\)"),
        (without("preprocessor_config.json"), r"lacks an image processor \(preprocessor_config.json\)"),
        (without("chat_template.jinja"), "has no chat template"),
        (garbled("preprocessor_config.json"), "its processor cannot be loaded"),
        (garbled("tokenizer.json"), "its processor cannot be loaded"),
        (garbled("config.json"), "config.json cannot be read as JSON"),
        (without("model.safetensors"), "there are no weights"),
    ],
)
def test_a_folder_that_cannot_be_loaded_says_why(
    folder: Path, tmp_path: Path, harm: Callable[[Path], None], message: str
) -> None:
    broken = changed(folder, tmp_path / "broken")
    harm(broken)
    with pytest.raises(ModelError, match=message) as caught:
        open_chat_model(f"transformers:{broken}", loading=Loading())
    assert "\n" not in str(caught.value)


def test_an_extra_weight_is_named(folder: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    more = changed(folder, tmp_path / "more")
    held = load_file(more / "model.safetensors")
    save_file({**held, "visual.spare.weight": torch.ones(2)}, more / "model.safetensors")
    open_chat_model(str(more), loading=Loading())
    assert "1 weights have no place in this model (" in caplog.text
    assert "visual.spare.weight" in caplog.text
