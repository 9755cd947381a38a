"""A real OpenAI-compatible server, `transformers serve`, with a tiny checkpoint, asked through our endpoint."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest

from longshot.chat_models import endpoint
from longshot.contracts import Exchange, Finish, Frames, Prompt
from longshot.errors import ModelError
from longshot.models import open_chat_model
from tests.tiny.qwen import qwen2_vl
from tests.videos import paint_number

pytest.importorskip("fastapi", reason="transformers serve needs transformers[serving]")
pytest.importorskip("openai", reason="transformers serve needs transformers[serving]")
TOKENS = 12
old_decoder = pytest.mark.filterwarnings("ignore:The image decoding and encoding capabilities:DeprecationWarning")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("serve") / "tiny-qwen2-vl"


@pytest.fixture(scope="module")
def address(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of the running server, and a model that it can load; it ends with the module."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    program = "from transformers.cli.transformers import main; main()"
    options = ["serve", "--host", "127.0.0.1", "--port", str(port), "--device", "cpu", "--dtype", "float32"]
    log = tmp_path_factory.mktemp("log") / "serve.log"
    environment = os.environ | {"HF_HUB_OFFLINE": "1", "HF_HOME": str(log.parent), "CUDA_VISIBLE_DEVICES": ""}
    with log.open("wb") as said:
        process = subprocess.Popen([sys.executable, "-c", program, *options], stdout=said, stderr=said, env=environment)
    try:
        qwen2_vl(folder)  # while the server imports what it needs; it opens a model when it is first asked
        base = f"http://127.0.0.1:{port}"
        wait_for(base, process, log)
        yield f"{base}/v1#{folder}"
    finally:
        process.terminate()
        try:
            process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def wait_for(base: str, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        if process.poll() is not None:
            break
        try:
            if httpx.get(f"{base}/health", timeout=2).status_code == 200:
                return
        except httpx.TransportError:
            time.sleep(0.1)
    pytest.fail(f"transformers serve did not start:\n{log.read_text()[-2000:]}")


@pytest.fixture(scope="module")
def served(address: str) -> endpoint.Endpoint:
    return endpoint.load(address, settings={"max_new_tokens": TOKENS, "timeout": 60})


@pytest.fixture(scope="module")
def here(address: str, folder: Path) -> Any:
    """The processor and the model in this process, without any of our code."""
    from transformers import AutoModelForImageTextToText, AutoProcessor

    model = AutoModelForImageTextToText.from_pretrained(folder, dtype="float32")
    return AutoProcessor.from_pretrained(folder), model.eval()


def plain_reply(here: Any, messages: list[dict[str, Any]]) -> tuple[str, int]:
    """The greedy reply and the length of the prompt, by transformers alone."""
    processor, model = here
    inputs = processor.apply_chat_template(
        messages, add_generation_prompt=True, tokenize=True, return_dict=True, return_tensors="pt"
    )
    length = inputs["input_ids"].shape[1]
    # Temperature 0 turns sampling off in the server; the checkpoint's repetition penalty stays in both.
    made = model.generate(**inputs, do_sample=False, max_new_tokens=TOKENS)
    return processor.decode(made[0, length:], skip_special_tokens=True).strip(), length


def user(*parts: dict[str, Any]) -> dict[str, Any]:
    return {"role": "user", "content": list(parts)}


def text(words: str) -> dict[str, Any]:
    return {"type": "text", "text": words}


def sent_images(frames: Frames) -> list[dict[str, Any]]:
    """The images as they travel: the JPEGs' bytes, read again by transformers."""
    from longshot.chat_models._endpoint_media import pictures_of

    parts = pictures_of(frames, way="images", quality=90, side=0, marked=False).parts
    return [part if part["type"] == "text" else {"type": "image", "url": part["image_url"]["url"]} for part in parts]


def frames_of(*times: float) -> Frames:
    pixels = np.stack([paint_number(40 * k + 3, (84, 56)) for k in range(len(times))])
    return Frames(pixels, np.array(times))


def test_the_way_is_found(served: endpoint.Endpoint) -> None:
    assert served.source.settings["video"] == "images"


def test_a_text_gets_the_reply_of_transformers(served: endpoint.Endpoint, here: Any) -> None:
    reply = served.generate([Prompt("a man slicing tomatoes")])[0]
    words, length = plain_reply(here, [user(text("a man slicing tomatoes"))])
    assert (reply.text, reply.tokens_in) == (words, length)
    assert words and reply.finish in (Finish.LENGTH, Finish.STOP)
    assert 0 < reply.tokens_out <= TOKENS


def test_a_conversation(served: endpoint.Endpoint, here: Any) -> None:
    prompt = Prompt("and then?", system="Be brief.", history=(Exchange("what is it?", "a cat"),))
    messages = [
        {"role": "system", "content": [text("Be brief.")]},
        user(text("what is it?")),
        {"role": "assistant", "content": [text("a cat")]},
        user(text("and then?")),
    ]
    reply = served.generate([prompt])[0]
    assert (reply.text, reply.tokens_in) == plain_reply(here, messages)


@old_decoder
def test_an_image(served: endpoint.Endpoint, here: Any) -> None:
    frames = frames_of(3.0)
    reply = served.generate([Prompt("what is it?", frames=frames)])[0]
    assert (reply.text, reply.tokens_in) == plain_reply(here, [user(*sent_images(frames), text("what is it?"))])
    alone = served.generate([Prompt("what is it?")])[0]
    assert reply.tokens_in >= alone.tokens_in + 6, "84 x 56 pixels are 3 x 2 tokens"


@old_decoder
def test_a_clip_with_its_times(served: endpoint.Endpoint, here: Any) -> None:
    frames = frames_of(0.0, 12.4, 60.5)
    reply = served.generate([Prompt("what happens?", frames=frames)])[0]
    parts = sent_images(frames)
    assert [part["text"] for part in parts[::2]] == ["<0.0 seconds>", "<12.4 seconds>", "<60.5 seconds>"]
    assert (reply.text, reply.tokens_in) == plain_reply(here, [user(*parts, text("what happens?"))])


def test_a_stream_is_the_same_text(served: endpoint.Endpoint) -> None:
    prompt = Prompt("what happens?", frames=frames_of(0.0, 1.0))
    pieces = list(served.stream(prompt))
    assert "".join(pieces).strip() == served.generate([prompt])[0].text
    assert len(pieces) > 1


def test_our_own_engine_says_the_same(served: endpoint.Endpoint, folder: Path) -> None:
    penalty = json.loads((folder / "generation_config.json").read_text())["repetition_penalty"]
    ours = open_chat_model(str(folder), settings={"max_new_tokens": TOKENS, "repetition_penalty": penalty})
    prompt = Prompt("a man slicing tomatoes")
    mine, theirs = ours.generate([prompt])[0], served.generate([prompt])[0]
    assert (mine.text, mine.tokens_in) == (theirs.text, theirs.tokens_in)


def test_a_model_that_the_server_does_not_have(address: str) -> None:
    model = endpoint.load(address.partition("#")[0] + "#no/such", settings={"video": "none", "retries": 0})
    try:
        reply = model.generate([Prompt("?")])[0]
    except ModelError as error:
        assert "no/such" in str(error)
    else:
        assert reply.finish is Finish.FAILED and reply.reason
