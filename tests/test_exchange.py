"""Predictions of other programs: every form, every fault, and what we write for others."""

from __future__ import annotations

import gzip
import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest

from longshot.errors import FormatError, UsageError
from longshot.evaluating.exchange import (
    hub_results,
    lmms_results,
    lmms_samples,
    mteb_result,
    read_predictions,
    write_lmms_eval,
    write_mteb,
)
from longshot.evaluating.runs import Run, manifest, record
from longshot.evaluating.score import score
from longshot.items import Benchmark, Item, Prediction, Row
from longshot.journal import Journal, State
from longshot.timeline import Source

CAPTIONS = Benchmark(
    "captions",
    "caption",
    "captions",
    tuple(Item(f"v{n}", f"v{n}", gold={"references": [f"A man opens door {n}."]}) for n in (1, 2, 3)),
    "0" * 16,
)
CHOICES = Benchmark(
    "choices",
    "mc-qa",
    "answers",
    tuple(
        Item(f"Quiz/Who_{n}", f"v{n}", "Who?", {"option": n % 2}, options=("the cook", "the maid")) for n in range(3)
    ),
    "1" * 16,
)
MOMENTS = Benchmark(
    "moments",
    "moments",
    "moments",
    tuple(Item(str(n), f"v{n}", "a dog", {"windows": [[0, 10]], "duration": 60.0}) for n in (7, 8, 9)),
    "2" * 16,
)
RETRIEVAL = Benchmark(
    "finding",
    "retrieval",
    "retrieval",
    tuple(Item(f"v{n}", f"v{n}", f"text {n}", {"videos": [f"v{n}"]}) for n in (1, 2, 3)),
    "3" * 16,
)


def lines(path: Path, *rows: Any) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def said(found: dict[str, Prediction]) -> dict[str, Any]:
    return {id: one.value for id, one in found.items()}


# --- forms


def test_a_journal_of_ours_with_all_four_states(tmp_path: Path) -> None:
    path = tmp_path / "predictions.jsonl"
    made = [
        Prediction("v1", State.DONE, "A door opens.", details={"tokens_in": 3}),
        Prediction("v2", State.REFUSED, reason="it declined"),
        Prediction("v3", State.UNREADABLE, reason="no video"),
        Prediction("v3", State.FAILED, reason="once more"),
    ]
    with Journal(path) as journal:
        for one in made:
            record(journal, one)
    found, problems = read_predictions(path, CAPTIONS)
    assert [asdict(one) for one in found.values()] == [asdict(made[0]), asdict(made[1]), asdict(made[3])]
    assert problems == []


def test_lines_and_objects_of_any_program(tmp_path: Path) -> None:
    texts = {"v1": "one", "v2": "two", "v3": "three"}
    forms = {
        "a.jsonl": "".join(json.dumps({"id": id, "prediction": text}) + "\n" for id, text in texts.items()),
        "b.json": json.dumps(texts),
        "c.json": json.dumps(texts, indent=2),
        "d.json": json.dumps([{"id": id, "prediction": text} for id, text in texts.items()]),
    }
    for name, text in forms.items():
        (tmp_path / name).write_text(text, encoding="utf-8")
        found, problems = read_predictions(tmp_path / name, CAPTIONS)
        assert said(found) == texts, name
        assert problems == [], name


@pytest.mark.parametrize("wrap", [lambda b: b"\xef\xbb\xbf" + b, gzip.compress, lambda b: b.replace(b"\n", b"\r\n")])
def test_marks_compression_and_line_ends_make_no_difference(tmp_path: Path, wrap: Any) -> None:
    path = lines(tmp_path / "p", *({"id": f"v{n}", "prediction": "x"} for n in (1, 2, 3)))
    path.write_bytes(wrap(path.read_bytes()))
    assert said(read_predictions(path, CAPTIONS)[0]) == {"v1": "x", "v2": "x", "v3": "x"}


def test_tarsier_joined_by_dataset_and_number(tmp_path: Path) -> None:
    def row(n: int, text: str, dataset: str = "Quiz/Who") -> dict[str, Any]:
        return {
            "dataset": dataset,
            "idx": n,
            "vid": f"x{n}",
            "text": {"prompt": "p", "response": "A", "prediction": text},
        }

    path = lines(
        tmp_path / "p.jsonl", row(0, "A"), row(1, "<error>"), row(1, "B"), row(2, "<error>"), row(0, "C", "Other")
    )
    found, problems = read_predictions(path, CHOICES)
    assert said(found) == {"Quiz/Who_0": "A", "Quiz/Who_1": "B", "Quiz/Who_2": None}
    assert found["Quiz/Who_2"].state is State.FAILED
    assert [line.removeprefix(f"{path}: ") for line in problems] == [
        "1 ids that stand twice and count once: Quiz/Who_1",
        "1 rows of no item of this benchmark, left out: Other_0",
    ]


def test_tarsier_joined_by_video(tmp_path: Path) -> None:
    rows = [{"dataset": "D", "idx": n, "vid": f"v{n}.mp4", "text": {"prediction": f"t{n}"}} for n in (1, 2, 3)]
    found, _ = read_predictions(lines(tmp_path / "p.jsonl", *rows), CAPTIONS)
    assert said(found) == {"v1": "t1", "v2": "t2", "v3": "t3"}


def test_carebench_by_number_where_the_truth_agrees(tmp_path: Path) -> None:
    path = tmp_path / "description.json"
    truth = {str(n): {"pred": f"p{n}", "gt": f"A man opens door {n + 1}.", "events": []} for n in range(3)}
    path.write_text(json.dumps(truth), encoding="utf-8")
    found, problems = read_predictions(path, CAPTIONS)
    assert said(found) == {"v1": "p0", "v2": "p1", "v3": "p2"}
    assert problems == [f"{path}: rows are joined by their number: 3 of 3 truths agree"]
    path.write_text(json.dumps({str(n): {"pred": "p", "gt": f"door {3 - n}"} for n in range(3)}), encoding="utf-8")
    with pytest.raises(FormatError, match=r"is not what captions has at these numbers \(0 of 3 agree\)"):
        read_predictions(path, CAPTIONS)


def test_lmms_eval_samples_there_and_back(tmp_path: Path) -> None:
    rows = [
        Row(item, Prediction(item.id, State.DONE, letter)) for item, letter in zip(CHOICES.items, "AB", strict=False)
    ]
    rows.append(Row(CHOICES.items[2]))
    path = lines(tmp_path / "samples.jsonl", *lmms_samples(CHOICES, rows))
    found, problems = read_predictions(path, CHOICES)
    assert said(found) == {"Quiz/Who_0": "A", "Quiz/Who_1": "B", "Quiz/Who_2": ""}
    assert problems == [f"{path}: rows are joined by their number: 3 of 3 truths agree"]
    nested = [{"doc_id": n, "target": "AB"[n % 2], "resps": [["(A) cook"]]} for n in range(3)]
    assert said(read_predictions(lines(path, *nested), CHOICES)[0])["Quiz/Who_1"] == "(A) cook"


def test_submissions_of_moments_are_kept_as_they_came(tmp_path: Path) -> None:
    rows = [
        {"qid": 7, "query": "q", "vid": "v", "pred_relevant_windows": [[9, 3, 0.5], [1, 2]]},
        {"qid": 8, "pred_relevant_windows": [[float("nan"), 2, 1]], "pred_saliency_scores": [0.5, float("inf")]},
        {"qid": 9, "pred_relevant_windows": [], "pred_saliency_scores": [1, 0]},
    ]
    path = lines(tmp_path / "p.jsonl", *rows)
    found, problems = read_predictions(path, MOMENTS)
    assert all(one.state is State.DONE for one in found.values())
    assert found["7"].value == {"windows": [[9, 3, 0.5], [1, 2]]}
    assert found["8"].value["windows"][0][1:] == [2, 1] and "saliency" not in found["8"].value
    assert found["9"].value == {"windows": [], "saliency": [1, 0]}
    assert [line.removeprefix(f"{path}: ") for line in problems] == [
        "1 windows that end before they start, which count as misses: 7",
        "1 windows that are not finite: they find nothing or, by score, come last: 8",
        "1 lists of saliency that are not finite, left out: 8",
    ]


@pytest.mark.parametrize(
    "record",
    [
        {"qid": 7, "pred_relevant_windows": None},
        {"idx": 7, "dataset": "x", "text": {"prediction": None}},
        {"doc_id": 7, "filtered_resps": [None], "target": "x"},
        {"id": "7", "prediction": None},
    ],
)
def test_null_is_a_prediction_that_failed(record: dict[str, Any], tmp_path: Path) -> None:
    found, _ = read_predictions(lines(tmp_path / "p.jsonl", record), MOMENTS)
    assert (found["7"].state, found["7"].reason) == (State.FAILED, "the file has null for it")


def test_replies_are_read_as_windows(tmp_path: Path) -> None:
    path = lines(tmp_path / "p.jsonl", {"id": "7", "prediction": "[[1, 5]]"}, {"id": "8", "prediction": "at the end"})
    found, _ = read_predictions(path, MOMENTS)
    assert found["7"].value == {"windows": [[1, 5, 1]]}
    assert found["8"].state is State.UNREADABLE and "no window" in found["8"].reason


def test_ranks(tmp_path: Path) -> None:
    ranks = {"text_to_video": [1], "video_to_text": None}
    found, _ = read_predictions(lines(tmp_path / "p.jsonl", {"id": "v1", "prediction": ranks}), RETRIEVAL)
    assert found["v1"].value == ranks


# --- faults


@pytest.mark.parametrize(
    ("benchmark", "text", "message"),
    [
        (CAPTIONS, "", "empty"),
        (CAPTIONS, "[]", "not one prediction"),
        (CAPTIONS, "{nonsense", "line 1: not JSON"),
        (CAPTIONS, '{"id": "v1", "prediction": "a"}\nno\n', "line 2: not JSON"),
        (CAPTIONS, '[{"id": "v1"}, 3]', "record 2: an object with named fields is wanted, got 3"),
        (CAPTIONS, '{"id": "v1", "predictoin": "a"}', "line 1: no field 'prediction'; is 'predictoin' it"),
        (CAPTIONS, '{"id": "v1", "prediction": "a"}\n{"id": "v2"}\n', "line 2: no field 'prediction'; there are 'id'"),
        (
            CAPTIONS,
            '{"id": "v1", "x": 1}\n',
            "line 1: predictions in no known form, with the fields id, x; known: Longshot: id, state; ",
        ),
        (CAPTIONS, '[{"name": "v1", "x": 1}]', "in no known form, with the fields name, x"),
        (
            CAPTIONS,
            '[{"id": "v1", "prediction": {"a": 1}}]',
            "record 1: a text is wanted as a prediction, got {'a': 1}",
        ),
        (CAPTIONS, '[{"id": "v1", "prediction": [1.5]}]', "a text is wanted"),
        (CAPTIONS, '{"v11": "a", "v12": "b"}', "captions has no item 'v11', nor any other of this file; is 'v1' it"),
        (CAPTIONS, '{"zzz": "a"}', "its ids are like 'v1'"),
        (
            CAPTIONS,
            '{"id": "v1", "prediction": "a"}\n{"id": "v1", "prediction": "b"}\n',
            "line 2: the id 'v1' stands twice with different predictions",
        ),
        (CAPTIONS, '{"id": "v1", "state": "finished"}\n', "'state' is one of done, failed, refused, unreadable"),
        (MOMENTS, '[{"qid": 7, "pred_relevent_windows": []}]', "no field 'pred_relevant_windows'; is 'pred_relevent_w"),
        (MOMENTS, '[{"qid": 7, "pred_relevant_windows": [[]]}]', r"a window, \[start, end\].* got \[\]"),
        (MOMENTS, '[{"qid": 7, "pred_relevant_windows": [["0", 1]]}]', "a window"),
        (MOMENTS, '[{"qid": 7, "pred_relevant_windows": [[true, 1]]}]', "a window"),
        (MOMENTS, '[{"qid": 7, "pred_relevant_windows": 3}]', "a list of windows"),
        (MOMENTS, '[{"qid": 7, "pred_relevant_windows": [], "pred_saliency_scores": [null]}]', "numbers as saliency"),
        (RETRIEVAL, '{"v1": {"text_to_video": [0]}}', "a list of ranks from 1 as 'text_to_video'"),
        (RETRIEVAL, '{"v1": "first"}', "text_to_video"),
    ],
)
def test_what_is_wrong_is_told(tmp_path: Path, benchmark: Benchmark, text: str, message: str) -> None:
    path = tmp_path / "p.json"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(FormatError, match=message) as caught:
        read_predictions(path, benchmark)
    assert str(path) in str(caught.value) and "\n" not in str(caught.value)


def test_what_can_be_gone_on_with_is_said(tmp_path: Path) -> None:
    path = tmp_path / "p.jsonl"
    lines(path, {"id": "v1", "prediction": "a"}, {"id": "v1", "prediction": "a"}, {"id": "other", "prediction": "b"})
    path.write_text(path.read_text() + '{"id": "v2", "prediction": null}\n{"id": "v3", "pre', encoding="utf-8")
    found, problems = read_predictions(path, CAPTIONS)
    assert said(found) == {"v1": "a", "v2": None}
    assert found["v2"].state is State.FAILED
    assert [line.removeprefix(f"{path}: ") for line in problems] == [
        "1 line cut off at the end of the file, left out: line 5",
        "1 ids that stand twice and count once: v1",
        "1 rows of no item of this benchmark, left out: other",
        "1 items without a prediction, which count as failed: v3",
    ]


# --- for other programs


def run_of(benchmark: Benchmark, folder: Path, values: dict[str, Any]) -> Run:
    run = Run(folder)
    made = manifest(
        benchmark,
        data="truth.json",
        model=Source("chat", "org/model", "abc", {"frames": 8}),
        name="m",
        how={},
        videos={},
    )
    run.begin(made)
    with Journal(run.predictions_path()) as journal:
        for id, value in values.items():
            record(journal, Prediction(id, State.DONE, value))
    return run


def test_lmms_eval_files(tmp_path: Path) -> None:
    run = run_of(CAPTIONS, tmp_path / "run", {"v1": "A man opens door 1.", "v2": "A man opens a door."})
    results, samples = write_lmms_eval(CAPTIONS, run, tmp_path / "out")
    assert results.parent.name == "org__model" and samples.name.endswith("_samples_captions.jsonl")
    assert len(samples.read_text().splitlines()) == 3
    there = json.loads(results.read_text())
    assert set(there) >= {"results", "configs", "versions", "n-shot", "n-samples", "task_hashes"}
    assert there["results"]["captions"]["alias"] == "captions"


def test_percent_becomes_a_share_and_an_interval_an_error() -> None:
    one = {"name": "F1", "value": 50.0, "low": 40.2, "high": 59.8, "n": 3, "group": {}, "legacy": False, "unit": "%"}
    there = lmms_results(
        CAPTIONS, {"n": 3, "scores": [one]}, {"model": {"name": "m", "asked": "m", "settings": {}}, "seed": 0}
    )["results"]["captions"]
    assert there["F1,none"] == 0.5
    assert there["F1_stderr,none"] == pytest.approx(0.05)


def test_mteb_file_of_retrieval(tmp_path: Path) -> None:
    ranks = {f"v{n}": {"text_to_video": [n], "video_to_text": [1]} for n in (1, 2, 3)}
    run = run_of(RETRIEVAL, tmp_path / "run", ranks)
    score(RETRIEVAL, run.rows(RETRIEVAL), resamples=20, run=run)
    task, card = write_mteb(RETRIEVAL, run, tmp_path / "out")
    assert task.relative_to(tmp_path / "out").as_posix() == "results/org__model/abc/finding.json"
    assert json.loads(card.read_text())["name"] == "org/model"
    [subset] = json.loads(task.read_text())["scores"]["test"]
    assert subset["recall_at_1"] == pytest.approx(1 / 3)
    assert subset["main_score"] == subset["ndcg_at_10"]
    with pytest.raises(UsageError, match="captions is of the kind caption"):
        write_mteb(CAPTIONS, run, tmp_path)


def test_no_main_score_where_there_is_none() -> None:
    [subset] = mteb_result(RETRIEVAL, {"scores": []})["scores"]["test"]
    assert subset == {"main_score": None, "hf_subset": "default", "languages": ["eng-Latn"]}


def test_results_for_a_model_card() -> None:
    one = {"name": "F1", "value": 34.567, "low": 33.0, "high": 36.0, "n": 9, "group": {}, "legacy": False, "unit": "%"}
    said = {"benchmark": "dream-1k", "n": 10, "states": {"done": 9}, "scores": [one, {**one, "legacy": True}]}
    text = hub_results(said, {"model": {"name": 'a "b"'}}, dataset="org/dream", date="2026-01-31")
    assert text.startswith('- dataset:\n    id: "org/dream"\n    task_id: "dream-1k/F1"\n  value: 34.5670\n')
    assert text.count("- dataset") == 1 and "n=9, 1 not done, 95 % 33.00 to 36.00" in text


def test_what_was_read_can_be_scored_whatever_it_holds(tmp_path: Path) -> None:
    rows = [
        {"qid": 7, "pred_relevant_windows": [[9, 3, 0.5], [0, 10]]},
        {"qid": 8, "pred_relevant_windows": [[float("nan"), 10, 1]]},
        {"qid": 9, "pred_relevant_windows": [[0, 10, float("inf")]], "pred_saliency_scores": [1, 0]},
    ]
    found, _ = read_predictions(lines(tmp_path / "p.jsonl", *rows), MOMENTS)
    made = score(MOMENTS, [Row(item, found.get(item.id)) for item in MOMENTS.items], resamples=10)
    strict = {one["name"]: one["value"] for one in made["scores"] if not one["group"] and not one["legacy"]}
    assert 0 <= strict["R1@0.5"] <= 100 * 2 / 3  # the window that is not a number is a miss
    assert all(value is None or 0 <= value <= 100 for value in strict.values())
