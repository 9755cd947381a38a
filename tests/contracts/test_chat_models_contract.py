"""What every chat model on this machine must keep, on tiny checkpoints. New builders in tests/tiny join by existing.

A builder is a function `name(folder: Path, *, seed: int = 0) -> Path` whose text names an architecture that a file on
the shelf `chat_models` can load.
"""

from __future__ import annotations

import functools
import importlib
import inspect
import json
import pkgutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import tests.tiny

from longshot import registry
from longshot.contracts import ChatModel, Exchange, Finish, Frames, HiddenStates, Loading, Prompt, Reply
from longshot.errors import UsageError
from longshot.models import open_chat_model

# MiniCPM-V's processor in transformers calls numpy on a tensor.
pytestmark = pytest.mark.filterwarnings("ignore:__array_wrap__ must accept context:DeprecationWarning")
ARCHITECTURES = {name for family in registry.families("chat_models") for name in family.architectures}
LOCAL = sorted(name for name, choice in registry.choices("chat_models").items() if "torch" in choice.needs)


def builders() -> dict[str, Callable[[Path], Path]]:
    found = {}
    for module in pkgutil.iter_modules(tests.tiny.__path__, "tests.tiny."):
        held = vars(importlib.import_module(module.name))
        for name, value in held.items():
            if not inspect.isfunction(value) or value.__module__ != module.name or name.startswith("_"):
                continue
            takes = list(inspect.signature(value).parameters)
            if (
                takes[:1] == ["folder"]
                and "seed" in takes
                and any(one in inspect.getsource(value) for one in ARCHITECTURES)
            ):
                found[name.removeprefix("write_")] = value
    return found


BUILDERS = builders()


@functools.cache
def opened(folder: Path, **settings: float) -> ChatModel:
    return open_chat_model(str(folder), loading=Loading(), settings={"max_new_tokens": 4, **settings})


@pytest.fixture(scope="module")
def folder(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return BUILDERS[request.param](tmp_path_factory.mktemp("chat") / request.param.replace("_", "-"))


each = pytest.mark.parametrize("folder", sorted(BUILDERS), indirect=True)


def clip(count: int, height: int = 60, width: int = 80, seed: int = 0) -> Frames:
    pixels = np.random.default_rng(seed).integers(0, 256, (count, height, width, 3), dtype=np.uint8)
    return Frames(pixels, 0.5 * np.arange(count))


PROMPTS = [
    Prompt("What happens?", frames=clip(2)),
    Prompt("Who is there, and what do they do at the table?"),
    Prompt("Describe.", frames=clip(1, 50, 60, seed=1), system="Be brief."),
    Prompt("More.", frames=clip(3, 80, 60, seed=3), history=(Exchange("What is it?", "A rocket."),)),
    Prompt("Hi"),
]


@pytest.mark.parametrize("name", LOCAL)
def test_a_file_says_what_it_is_and_needs(name: str) -> None:
    choice = registry.choices("chat_models")[name]
    assert choice.summary.endswith(".")
    assert choice.extra == "models"


@each
def test_it_says_what_it_is(folder: Path) -> None:
    model = opened(folder)
    assert isinstance(model, ChatModel)
    assert model.source.model == str(folder)
    assert model.source.revision
    json.dumps(dict(model.source.settings))
    assert min(model.batch, model.slots) >= 1
    assert model.context >= 0
    assert model.count_tokens("") == 0
    assert model.count_tokens("What happens first, and then?") > model.count_tokens("What?") > 0


@each
def test_each_prompt_gets_its_own_reply_in_order(folder: Path) -> None:
    model = opened(folder)
    assert model.generate([]) == []
    together = model.generate(PROMPTS)
    assert all(isinstance(reply, Reply) for reply in together)
    assert [reply.finish for reply in together if reply.finish not in (Finish.STOP, Finish.LENGTH)] == []
    assert together[::-1] == [model.generate([prompt])[0] for prompt in PROMPTS[::-1]]
    for reply in together:
        assert reply.text == reply.text.strip()
        assert reply.tokens_in > 0
        assert 0 < reply.tokens_out <= 4
        assert (reply.tokens_out == 4) or reply.finish is Finish.STOP


@each
def test_a_stream_is_the_reply_in_pieces(folder: Path) -> None:
    model = opened(folder)
    for prompt in PROMPTS[:1]:
        assert "".join(model.stream(prompt)).strip() == model.generate([prompt])[0].text


@each
def test_a_prompt_that_does_not_fit_fails_alone(folder: Path) -> None:
    model = opened(folder)
    if not model.context:
        pytest.skip("its context is not known")
    long = Prompt("tomatoes " * model.context, frames=clip(2))
    failed, fine = model.generate([long, PROMPTS[4]])
    assert failed.finish is Finish.FAILED
    assert failed.reason
    assert "\n" not in failed.reason
    assert fine == model.generate([PROMPTS[4]])[0]


@each
def test_unknown_settings_are_refused(folder: Path) -> None:
    with pytest.raises(UsageError, match="did you mean"):
        opened(folder, max_tokens=3)


@each
def test_seeded_choice_is_repeatable(folder: Path) -> None:
    model = opened(folder, temperature=1.0, seed=4)
    together = model.generate(PROMPTS[:2])
    assert together == [model.generate([prompt])[0] for prompt in PROMPTS[:2]]


@each
def test_states_are_the_same_alone_and_depend_on_what_is_shown(folder: Path) -> None:
    model = opened(folder)
    if not isinstance(model, HiddenStates):
        pytest.skip("it shows no hidden states")
    together = model.embed(PROMPTS)
    assert together.dtype == np.float32
    assert together.shape[0] == len(PROMPTS)
    assert np.isfinite(together).all()
    alone = np.concatenate([model.embed([prompt]) for prompt in PROMPTS])
    np.testing.assert_allclose(together, alone, rtol=0, atol=1e-4)
    other = model.embed([Prompt("What happens?", frames=clip(2, seed=9))])
    assert np.abs(other - together[:1]).max() > 1e-4
