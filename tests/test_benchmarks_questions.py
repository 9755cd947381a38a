"""Benchmarks of moments and questions: official layouts to items, Tarsier's forms, one's own benchmark, and bad input.

The records are made up; their layout is the official one (`contracts/benchmark_samples`).
"""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from longshot import registry
from longshot.benchmarks._questions import LETTERS, plain_options, split_options
from longshot.benchmarks._reading import Record
from longshot.errors import FormatError, LongshotError, UsageError
from longshot.evaluating.sources import find_videos
from longshot.items import Benchmark
from longshot.metrics.answers import read_choice
from longshot.sampling import Sampler
from longshot.timeline import Span

SAMPLES = Path(__file__).parent / "contracts" / "benchmark_samples"


def load(name: str, data: Path, **options: Any) -> Benchmark:
    made: Benchmark = registry.module("benchmarks", name).load(data, **options)
    return made


def sample(name: str, **options: Any) -> Benchmark:
    return load(name, SAMPLES / name, **options)


def write(path: Path, value: Any) -> Path:
    """A JSON file, or JSON lines where the name says so; a text as it is."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if isinstance(value, str):
        text = value
    elif path.suffix == ".jsonl":
        text = "".join(json.dumps(row) + "\n" for row in value)
    else:
        text = json.dumps(value)
    path.write_text(text, encoding="utf-8")
    return path


# --- moments


def test_qvhighlights_has_windows_clips_and_ratings() -> None:
    made = sample("qvhighlights")
    first, second, third = made.items
    assert (first.id, first.video, first.ask) == ("11", "a1b2c3d4e5f_60.0_210.0", "A cook peels a potato.")
    assert first.gold == {
        "windows": [[12.0, 16.0]],
        "duration": 150.0,
        "clips": [6, 7],
        "ratings": [[3, 2, 4], [4, 4, 3]],
    }
    assert second.gold["windows"] == [[0.0, 4.0], [120.0, 126.0]] and second.gold["clips"][-1] == 62
    assert third.ask == "Ein Hund läuft über den Strand."
    assert made.sampler.times(Span(0, 150)) == [2.0 * k for k in range(75)]  # CALCE's 75 frames, 2 s apart
    assert made.options == {"split": "val"} and made.measure == "moments" and made.legacy


def test_charades_sta_takes_lengths_from_the_table_beside_it(tmp_path: Path) -> None:
    made = sample("charades_sta")
    assert [(item.id, item.ask, dict(item.gold)) for item in made.items] == [
        ("AB12C/0", "a person opens the fridge.", {"windows": [[24.3, 30.4]], "duration": 33.67}),
        ("AB12C/1", "the person sits down.", {"windows": [[0.0, 7.1]], "duration": 33.67}),
        ("XY34Z/0", "person throws a shoe onto the floor.", {"windows": [[3.5, 12.0]], "duration": 30.96}),
    ]
    alone = write(tmp_path / "mine.txt", "AB12C 9 4.5##a person ## turns.\n\n")
    (item,) = load("charades_sta", alone).items
    assert item.gold == {"windows": [[4.5, 9.0]]}, "turned, and no length is made up"
    assert item.ask == "a person ## turns."


def test_activitynet_captions_has_an_item_for_each_sentence() -> None:
    made = sample("activitynet_captions")
    assert [(item.id, item.video, item.ask, item.gold["windows"]) for item in made.items] == [
        ("v_a1b2c3d4e5f/0", "v_a1b2c3d4e5f", "A man sits on a bench.", [[0.83, 19.86]]),
        ("v_a1b2c3d4e5f/1", "v_a1b2c3d4e5f", "He ties his shoes.", [[17.37, 60.81]]),
        ("v_00000000000/0", "v_00000000000", "A cat eats.", [[4.5, 31.2]]),
    ]
    assert made.items[2].gold["duration"] == 30.0, "a window past the end stays as it stands"


def test_a_split_reads_another_file(tmp_path: Path) -> None:
    row = {"duration": 10, "timestamps": [[8, 3]], "sentences": ["A cat."]}
    write(tmp_path / "captions" / "val_1.json", {"v_1": row})
    (item,) = load("activitynet_captions", tmp_path, split="val_1").items
    assert item.gold["windows"] == [[3.0, 8.0]]
    with pytest.raises(UsageError, match=r"holds no val_2\.json or captions/val_2\.json"):
        load("activitynet_captions", tmp_path)
    with pytest.raises(UsageError, match=r"split cannot be 'val2'.*did you mean 'val_2'"):
        load("activitynet_captions", tmp_path, split="val2")


# --- multiple choice


def test_mvbench_has_twenty_tasks_with_spans_in_five() -> None:
    made = sample("mvbench")
    assert len({item.groups["task"] for item in made.items}) == 20 and len(made.items) == 40
    assert sorted({item.groups["task"] for item in made.items if item.span}) == [
        "action_localization",
        "action_prediction",
        "action_sequence",
        "episodic_reasoning",
        "object_interaction",
    ]
    first = made.items[0]
    assert (first.id, first.video, first.span) == (
        "action_sequence/0",
        "star/Charades_v1_480/v0_0.mp4",
        Span(5.2, 19.8),
    )
    assert first.options[first.gold["option"]] == "One thing."
    assert made.sampler == Sampler("middle", count=16)


def test_mvbench_segments_are_cut_already() -> None:
    cut = sample("mvbench", layout="segments", task="episodic_reasoning")
    assert {item.video for item in cut.items} == {f"tvqa/video_fps3_hq_segment/v18_{n}.mp4" for n in (0, 1)}
    assert not any(item.span for item in cut.items)
    whole = sample("mvbench", layout="segments", task="object_shuffle")
    assert whole.items[0].video == "perception/videos/v7_0.mp4"


def test_tvbench_lies_in_a_folder_for_each_task() -> None:
    made = sample("tvbench")
    assert len(made.items) == 20 and len({item.groups["task"] for item in made.items}) == 10
    assert {item.groups["task"] for item in made.items if item.span} == {"action_sequence", "action_localization"}
    assert [item.video for item in sample("tvbench", task="object_count").items] == [
        "object_count/v6_0.mp4",
        "object_count/v6_1.mp4",
    ]
    alone = load("tvbench", SAMPLES / "tvbench" / "json" / "action_count.json")
    assert [item.id for item in alone.items] == ["action_count/0", "action_count/1"]


def test_options_may_be_numbers(tmp_path: Path) -> None:
    row = {"video": "a.mp4", "question": "How many?", "candidates": [2, 3], "answer": 3}
    (item,) = load("tvbench", write(tmp_path / "object_count.json", [row])).items
    assert item.options == ("2", "3") and item.gold == {"option": 1}


def test_next_qa_counts_before_and_after_as_one_type() -> None:
    made = sample("next_qa")
    assert [(item.id, item.groups["task"], item.groups["family"], item.gold["option"]) for item in made.items] == [
        ("1234567890_6", "CW", "causal", 2),
        ("1234567890_7", "TN", "temporal", 0),
        ("2345678901_0", "DC", "descriptive", 4),
    ]
    assert made.items[1].options[2] == "ate, then drank"


def test_egoschema_reads_what_is_answered() -> None:
    made = sample("egoschema")
    assert [(item.video[:8], item.options[item.gold["option"]]) for item in made.items] == [
        ("00aa11bb", "C digs."),
        ("22cc33dd", "C cooks."),
    ]


def test_egoschema_as_a_list_with_letters(tmp_path: Path) -> None:
    row = {
        "question_idx": "8",
        "video_idx": "ab",
        "question": "What does c do?",
        "option": [f"{letter}. c does {letter}" for letter in "ABCDE"],
        "answer": "3",
    }
    (item,) = load("egoschema", write(tmp_path / "subset.json", [row])).items
    assert item.options == tuple(f"c does {letter}" for letter in "ABCDE") and item.gold == {"option": 3}


def test_video_mme_in_both_layouts(tmp_path: Path) -> None:
    nested = sample("video_mme")
    assert len(nested.items) == 9 and nested.items[0].options == ("One.", "Two.", "Three.", "Four.")
    assert nested.items[0].groups == {
        "duration": "short",
        "domain": "Knowledge",
        "sub_category": "Geography",
        "task": "Counting Problem",
    }
    assert {item.video for item in sample("video_mme", duration="long").items} == {"a1b2c3d4e52"}
    flat = [
        {**{k: v for k, v in video.items() if k != "questions"}, **question}
        for video in json.loads((SAMPLES / "video_mme" / "Video-MME.json").read_text())
        for question in video["questions"]
    ]
    assert load("video_mme", write(tmp_path / "Video-MME.json", flat)).items == nested.items
    pytest.importorskip("pyarrow")
    from pyarrow import Table, parquet

    (tmp_path / "hub" / "videomme").mkdir(parents=True)
    parquet.write_table(Table.from_pylist(flat), tmp_path / "hub" / "videomme" / "test-00000-of-00001.parquet")
    assert load("video_mme", tmp_path / "hub").items == nested.items


def test_favor_bench_in_both_layouts(tmp_path: Path) -> None:
    flat = sample("favor_bench")
    assert [(item.id, item.video, item.groups["task"], item.gold["option"]) for item in flat.items] == [
        ("AB12C_1", "AB12C", "AS", 1),
        ("AB12C_2", "AB12C", "CM", 2),
        ("AB12C_3", "AB12C", "NSM", 4),
    ]
    rows = json.loads((SAMPLES / "favor_bench" / "question_perspective.json").read_text())
    for row in rows:
        del row["question_key"], row["video_name"]
    nested = [{"video_name": "AB12C.mp4", "questions": rows, "caption": "A woman waves."}]
    assert load("favor_bench", write(tmp_path / "video_perspective.json", nested)).items == flat.items


# --- open questions


def test_msvd_qa_takes_names_from_the_mapping(tmp_path: Path) -> None:
    made = sample("msvd_qa")
    assert [(item.id, item.video, item.ask, item.gold["answers"]) for item in made.items] == [
        ("37348", "a1b2c3d4e5f_10_20", "what is being cut?", ["onion"]),
        ("37349", "a1b2c3d4e5f_10_20", "who cuts an onion?", ["man"]),
        ("37350", "-0b2c3d4e5f_2_9", "how many cats sit?", ["two"]),
    ]
    assert [item.groups["question"] for item in made.items] == ["what", "who", "how"]
    assert (made.kind, made.judge) == ("open-qa", "answers")
    text = (SAMPLES / "msvd_qa" / "test_qa.json").read_text()
    alone = load("msvd_qa", write(tmp_path / "test_qa.json", text))
    assert alone.items[0].video == "vid1451" and alone.fingerprint != made.fingerprint


def test_msr_vtt_qa_names_videos_by_number() -> None:
    made = sample("msr_vtt_qa")
    assert [item.video for item in made.items] == ["video7010", "video7010", "video7011"]
    assert made.items[0].groups == {"question": "where", "category": "9"}


def test_activitynet_qa_joins_questions_and_answers_by_id() -> None:
    made = sample("activitynet_qa")
    assert [(item.gold["answers"], item.groups["task"]) for item in made.items] == [
        (["yes"], "yes/no"),
        (["red"], "colour"),
    ]
    assert "**/v_$video.*" in made.files


@pytest.mark.parametrize(
    ("task", "kind", "gold"),
    [
        ("frameqa", "open-qa", {"answers": ["box"]}),
        ("count", "open-qa", {"answers": ["5"]}),
        ("action", "mc-qa", {"option": 0}),
        ("transition", "mc-qa", {"option": 0}),
    ],
)
def test_tgif_qa_is_open_or_of_choices_by_its_task(task: str, kind: str, gold: dict[str, Any]) -> None:
    made = sample("tgif_qa", task=task)
    assert (made.kind, made.items[0].gold, made.items[0].video) == (kind, gold, "tumblr_ab12")
    assert made.judge == ("answers" if kind == "open-qa" else "")
    by_name = load("tgif_qa", SAMPLES / "tgif_qa" / f"Test_{task}_question.csv")
    assert by_name.items == made.items


def test_tgif_qa_asks_twice_about_one_picture(tmp_path: Path) -> None:
    """`key` is the picture's, so two questions share it; `vid_id` is the question's."""
    header = "gif_name\tquestion\ta1\ta2\ta3\ta4\ta5\tanswer\tvid_id\tkey\n"
    rows = [f"g\tWhat next ?\tlaugh\tfall\tsit\tturn\twave\t{right}\tTRANS{right}\t101771\n" for right in (1, 2)]
    made = load("tgif_qa", write(tmp_path / "Test_transition_question.csv", header + "".join(rows) + rows[1]))
    assert [item.id for item in made.items] == ["transition/TRANS1", "transition/TRANS2", "transition/TRANS2#2"]


def test_tgif_qa_has_lone_quotes(tmp_path: Path) -> None:
    rows = ['g\t"who" is it ?\tman', 'g\twhat is the 5" thing ?\t"a ""box"""', 'g\t"what is that ?"\t"']
    path = write(tmp_path / "Test_frameqa_question.csv", "\n".join(("gif_name\tquestion\tanswer", *rows)))
    assert [(item.ask, item.gold["answers"]) for item in load("tgif_qa", path).items] == [
        ('"who" is it ?', ["man"]),
        ('what is the 5" thing ?', ['a "box"']),
        ("what is that ?", ['"']),
    ]


# --- Tarsier's forms


def v1(dataset: str, prompt: str, response: Any, **more: Any) -> dict[str, Any]:
    text = {"prompt": prompt, "response": response}
    return {"idx": 7, "dataset": dataset, "vid": "ab12", "video_file": "<placeholder>", "text": text, **more}


def v2(dataset: str, text: str, reference: str, **more: Any) -> dict[str, Any]:
    messages = [
        {
            "role": "user",
            "content": [
                {"type": "video", "video": {"video_file": "a/ab12.mp4"}},
                {"type": "text", "text": text},
            ],
        },
        {"role": "assistant", "content": [{"type": "text", "text": "Answer: (", "reference": reference}]},
    ]
    return {"idx": 7, "dataset": dataset, "vid": "ab12", "messages": messages, **more}


_SHELL = (
    'USER: <video> The "c" is who wears the camera.\nQuestion: What does c do?\nOptions: \n(A) C cooks (at last).\n'
    "(B) C reads.\nAnswer with the option's letter.\nASSISTANT: Answer: ("
)


@pytest.mark.parametrize("name", ["mvbench", "next_qa", "egoschema", "tvbench", "favor_bench"])
@pytest.mark.parametrize("form", [v1, v2])
def test_tarsier_writes_choices_into_the_prompt(name: str, form: Any, tmp_path: Path) -> None:
    row = form("Set/Action Count", _SHELL, "B")
    made = load(name, write(tmp_path / "some.jsonl", [row]))
    (item,) = made.items
    assert (item.id, item.video, item.ask) == ("Set/Action Count_7", "ab12", "What does c do?")
    assert item.options == ("C cooks (at last).", "C reads.") and item.gold == {"option": 1}
    assert item.groups == {"task": "Action Count"}


def test_tarsier_next_qa_has_the_question_alone(tmp_path: Path) -> None:
    prompt = "USER: <video> what was the colour of the dog s collar\n(A) light blue\n(B) orange\nASSISTANT: Answer: ("
    (item,) = load("next_qa", write(tmp_path / "a.jsonl", [v1("Next-QA-val-multi_choice", prompt, "A")])).items
    assert item.ask == "what was the colour of the dog s collar" and item.options == ("light blue", "orange")


def test_tarsier_video_mme_tells_groups_apart(tmp_path: Path) -> None:
    extra = {"duration": "long", "domain": "Sports", "sub_category": "Football", "task_type": "OCR Problems"}
    row = v1("Video-MME", _SHELL, "A", extra_info=extra)
    (item,) = load("video_mme", write(tmp_path / "a.jsonl", [row])).items
    assert item.groups == {
        "duration": "long",
        "domain": "Sports",
        "sub_category": "Football",
        "task": "OCR Problems",
    }


@pytest.mark.parametrize("name", ["msvd_qa", "msr_vtt_qa", "tgif_qa", "activitynet_qa"])
def test_tarsier_open_questions_lose_their_instruction(name: str, tmp_path: Path) -> None:
    prompt = "<video> Based on the given video, answer the following question: who is singing?"
    row = v1("MSVD-QA-val", prompt, "man", start_time=2.0, end_time=8.5)
    (item,) = load(name, write(tmp_path / "a.jsonl", [row])).items
    assert (item.id, item.ask, item.gold) == ("MSVD-QA-val_7", "who is singing?", {"answers": ["man"]})
    assert item.span == Span(2.0, 8.5) and item.groups["question"] == "who"


def test_options_written_into_a_text_are_taken_in_order() -> None:
    assert split_options("Who?\n(A) he\n(C) not next\n(B) she\nAnswer.") == ("Who?", ["he", "she"])
    assert split_options("No options here") == ("No options here", [])


@given(st.lists(st.from_regex(r"[a-z]{1,8}( [a-z]{1,8})?", fullmatch=True), min_size=2, max_size=8, unique=True))
def test_letters_before_options_are_taken_off_where_all_have_their_own(names: list[str]) -> None:
    for mark in ("{}. {}", "({}) {}", "{}) {}", "{}: {}"):
        assert plain_options([mark.format(*pair) for pair in zip(LETTERS, names, strict=False)]) == names
    assert plain_options(names) == names or all(
        name.startswith(letter) for name, letter in zip(names, LETTERS.lower(), strict=False)
    )
    swapped = [f"B. {names[0]}", *(f"{letter}. {name}" for letter, name in zip(LETTERS[1:], names[1:], strict=False))]
    assert plain_options(swapped) == swapped


# --- where videos lie


@pytest.mark.parametrize(
    ("name", "video", "file"),
    [
        ("mvbench", "star/Charades_v1_480/v0_0.mp4", "video/star/Charades_v1_480/v0_0.mp4"),
        ("mvbench", "clevrer/video_validation/v5_0.mp4", "video/data0613/clevrer/video_validation/v5_0.mp4"),
        ("tvbench", "action_count/v1_0.mp4", "video/action_count/v1_0.mp4"),
        ("qvhighlights", "a1b2c3d4e5f_60.0_210.0", "a1b2c3d4e5f_60.0_210.0.mp4"),
        ("charades_sta", "AB12C", "Charades_v1_480/AB12C.mp4"),
        ("activitynet_captions", "v_a1b2c3d4e5f", "val/v_a1b2c3d4e5f.mkv"),
        ("activitynet_qa", "a1b2c3d4e5f", "all/v_a1b2c3d4e5f.webm"),
        ("msvd_qa", "-0b2c3d4e5f_2_9", "YouTubeClips/-0b2c3d4e5f_2_9.avi"),
        ("next_qa", "1234567890", "NExTVideo/1164/1234567890.mp4"),
        ("tgif_qa", "tumblr_ab12", "gifs/tumblr_ab12.gif"),
        ("video_mme", "a1b2c3d4e50", "data/a1b2c3d4e50.MP4"),
        ("favor_bench", "AB12C", "videos/FAVOR-Bench/AB12C.mp4"),
    ],
)
def test_a_video_is_found_in_its_official_folder(name: str, video: str, file: str, tmp_path: Path) -> None:
    (tmp_path / file).parent.mkdir(parents=True, exist_ok=True)
    (tmp_path / file).write_bytes(b"")
    assert find_videos(sample(name), tmp_path)[video] == tmp_path / file


# --- bad input: file, change, and what the one line says


BAD: list[tuple[str, str, Any, str]] = [
    ("qvhighlights", "relevant_windows", [[16, 12]], "record line 1.*0 <= start <= end.*16, 12"),
    ("qvhighlights", "relevant_windows", [[12, 16, 0.9]], r"pairs \[start, end\]"),
    ("qvhighlights", "relevant_windows", [["a", 16]], r"pairs \[start, end\]"),
    ("qvhighlights", "relevant_windows", [], "at least one window"),
    ("qvhighlights", "relevant_windows", None, "highlight_test_with_gt"),
    ("qvhighlights", "relevant_clip_ids", [6, 75], "from 0 to 74"),
    ("qvhighlights", "relevant_clip_ids", [6, 6], "names a clip twice"),
    ("qvhighlights", "relevant_clip_ids", [6, True], "whole numbers"),
    ("qvhighlights", "relevant_clip_ids", [6], "three ratings for each of 1 clips"),
    ("qvhighlights", "saliency_scores", [[3, 2, 5], [4, 4, 3]], "three ratings of 0 to 4"),
    ("qvhighlights", "saliency_scores", [[3, 2], [4, 4, 3]], "three ratings of 0 to 4"),
    ("qvhighlights", "duration", 0, "seconds above 0"),
    ("qvhighlights", "duration", "long", "'duration' is a number"),
    ("qvhighlights", "query", "", "'query' is empty"),
    ("qvhighlights", "qid", 12, "the id '12' stands twice"),
    ("next_qa", "answer", "5", "0 to 4, got 5"),
    ("next_qa", "answer", "x", "'answer' is a number"),
    ("next_qa", "type", "XX", "CW CH TN"),
    ("next_qa", "a3", "", "'a3' is empty"),
    ("favor_bench", "correct_answer", "Wave", "none of the options: 'Wave'; did you mean 'Waved'"),
    ("favor_bench", "options", ["Waved"], "2 to 26 options, got 1"),
    ("favor_bench", "options", "Waved", "a list of texts, none of them empty"),
    ("favor_bench", "options", ["Waved", " "], "a list of texts, none of them empty"),
    ("favor_bench", "options", ["Waved", None], "a list of texts, none of them empty"),
    ("favor_bench", "task_type", "ASS", "AS SAD"),
    ("msr_vtt_qa", "video_id", "video7010", "'video_id' is a number"),
    ("msr_vtt_qa", "answer", " ", "'answer' is empty"),
    ("msvd_qa", "video_id", 9, r"'video_id' 9 does not stand in youtube_mapping\.txt"),
    ("activitynet_qa", "question_id", "b_1", "'b_1' has no answer"),
    ("egoschema", "q_uid", "other", "answers 1 questions that are not there, such as '00aa"),
]


@pytest.mark.parametrize(("name", "field", "value", "said"), BAD)
def test_a_bad_field_is_one_line_that_names_it(name: str, field: str, value: Any, said: str, tmp_path: Path) -> None:
    for source in (SAMPLES / name).iterdir():
        (tmp_path / source.name).write_bytes(source.read_bytes())
    names = {"qvhighlights": "highlight_val_release.jsonl", "next_qa": "val.csv", "egoschema": "questions.json"}
    names |= {"favor_bench": "question_perspective.json", "activitynet_qa": "test_q.json"}
    path = tmp_path / names.get(name, "test_qa.json")
    if path.suffix == ".csv":
        header, first, *rest = path.read_text().splitlines()
        cells = first.split(",")
        cells[header.split(",").index(field)] = value
        path.write_text("\n".join((header, ",".join(cells), *rest)))
    elif path.suffix == ".jsonl":
        rows = [json.loads(line) for line in path.read_text().splitlines()]
        write(path, [{**rows[0], field: value}, *rows[1:]])
    else:
        rows = json.loads(path.read_text())
        write(path, [{**rows[0], field: value}, *rows[1:]])
    with pytest.raises(FormatError, match=said.removeprefix("record line 1.*")) as error:
        load(name, tmp_path)
    assert "\n" not in str(error.value) and str(tmp_path) in str(error.value)


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("AB12C 24.3##a person.", "VIDEO START END##SENTENCE"),
        ("AB12C 24.3 30.4 a person.", "VIDEO START END##SENTENCE"),
        ("AB12C x 30.4##a person.", "'start' is a number"),
        ("AB12C nan 30.4##a person.", "'start' is a number"),
        ("AB12C -3 4##a person.", "0 <= start <= end"),
        ("AB12C 3 4##  ", "'sentence' is empty"),
    ],
)
def test_a_bad_line_of_charades_sta(line: str, said: str, tmp_path: Path) -> None:
    path = write(tmp_path / "charades_sta_test.txt", f"AB12C 1 2##good.\n{line}\n")
    with pytest.raises(FormatError, match=said) as error:
        load("charades_sta", tmp_path)
    assert f"{path}, line 2: " in str(error.value)


@pytest.mark.parametrize(
    ("told", "said"),
    [
        ({"duration": 9, "timestamps": [[1, 2]], "sentences": []}, "a text for each of 1 timestamps"),
        ({"duration": 9, "timestamps": [[1]], "sentences": ["A."]}, r"pairs \[start, end\]"),
        ({"duration": 9, "timestamps": [[1, 2]], "sentences": [3.5]}, "'sentence' is a text"),
        ({"duration": 9, "timestamp": [[1, 2]], "sentences": ["A."]}, "is it 'timestamps'"),
        ({"duration": 9, "sentences": ["A."]}, "no field 'timestamps'"),
        ([1, 2], "an object with named fields"),
    ],
)
def test_a_bad_video_of_activitynet_captions(told: Any, said: str, tmp_path: Path) -> None:
    write(tmp_path / "val_2.json", {"v_1": told})
    with pytest.raises(FormatError, match=rf"val_2\.json, v_1.*{said}"):
        load("activitynet_captions", tmp_path)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"start": 5.0, "end": 5.0}, "0 <= start < end in seconds, got 5 to 5"),
        ({"start": 5.0}, "needs both 'start' and 'end', got 'start' alone"),
        ({"answer": "Something"}, "none of the options"),
        ({"candidates": ["One", 2.5]}, "a list of texts"),
        ({"candidate": ["a", "b"], "candidates": None}, "no field 'candidates'; is 'candidate' it"),
    ],
)
def test_a_bad_question_of_mvbench(change: dict[str, Any], said: str, tmp_path: Path) -> None:
    row = {"video": "a.mp4", "question": "Which?", "candidates": ["One", "Two"], "answer": "Two", **change}
    with pytest.raises(FormatError, match=rf"action_count\.json, record 1: .*{said}"):
        load("mvbench", write(tmp_path / "action_count.json", [row]))
    with pytest.raises(FormatError, match="named after its task"):
        load("mvbench", write(tmp_path / "mine.json", [{**row, "answer": "Two", "candidates": ["One", "Two"]}]))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("gif_name\tquestion\ttype\nx\twhat ?\t0\n", "line 1: no column 'answer' of frameqa"),
        ("gif_nam\tquestion\tanswer\nx\twhat ?\tbox\n", "no column 'gif_name' of frameqa; is 'gif_nam' it"),
        ("gif_name\tquestion\tanswer\nx\twhat ?\n", "line 2: 2 columns, 3 wanted"),
        ("gif_name\tquestion\tanswer\ttype\nx\twhat ?\tbox\t7\n", "'type' is 0 to 3, got 7"),
        ("gif_name\tquestion\tanswer\n", "empty, not one record"),
    ],
)
def test_a_bad_table_of_tgif_qa(text: str, said: str, tmp_path: Path) -> None:
    with pytest.raises(FormatError, match=said):
        load("tgif_qa", write(tmp_path / "Test_frameqa_question.csv", text))


@pytest.mark.parametrize(
    ("row", "said"),
    [
        (v1("S", "No options.", "A"), "2 to 26 options, got 0"),
        (v1("S", _SHELL, "E"), "a letter from A to B, got 'E'"),
        (v1("S", _SHELL, "both"), "a letter from A to B"),
        (v1("S", _SHELL, []), "no right answer"),
        ({**v1("S", _SHELL, "A"), "text": {"prompt": [3], "response": "A"}}, "'prompt' is a text"),
    ],
)
def test_a_bad_line_of_tarsiers(row: dict[str, Any], said: str, tmp_path: Path) -> None:
    with pytest.raises(LongshotError, match=said):
        load("next_qa", write(tmp_path / "a.jsonl", [row]))


def test_questions_without_their_answers_are_refused(tmp_path: Path) -> None:
    for name, file in (("egoschema", "questions.json"), ("activitynet_qa", "test_q.json")):
        write(tmp_path / file, (SAMPLES / name / file).read_text())
        with pytest.raises(FormatError, match="these are questions"):
            load(name, tmp_path)


# --- demos


def test_demos_know_what_their_videos_show(tmp_path: Path) -> None:
    moments = load("demo_moments", tmp_path)
    assert [item.gold["windows"] for item in moments.items if item.video == "story-three"] == [
        [[0.0, 3.0]],
        [[3.0, 6.0]],
        [[6.0, 9.0]],
        [[0.0, 3.0], [6.0, 9.0]],
    ]
    choices = load("demo_choices", tmp_path)
    right = {item.id: item.options[item.gold["option"]] for item in choices.items}
    assert right["blue-circle-up/form"] == "a circle" and right["blue-circle-up/way"] == "from bottom to top"
    assert right["green-triangle-still/way"] == "not at all, it stays in the middle"
    places = Counter(item.gold["option"] for item in choices.items)
    assert places == {0: 5, 1: 5, 2: 4, 3: 1, 4: 1}, "no letter is right half of the time"
    for item in choices.items:
        assert read_choice(LETTERS[item.gold["option"]], item.options) == item.gold["option"]
    answers = load("demo_answers", tmp_path)
    assert {item.id: item.gold["answers"] for item in answers.items}["white-circle-left/ground"] == ["black"]


# --- one's own


def own(folder: Path, toml: str, rows: list[dict[str, Any]], **options: Any) -> Benchmark:
    write(folder / "mine.jsonl", rows)
    return load("own", write(folder / "mine.toml", toml), **options)


MC = 'name = "kitchen"\nkind = "mc-qa"\ndata = "mine.jsonl"\n'
ROW = {"video": "sink", "question": "What is washed?", "options": ["a cup", "a pan"], "answer": "a pan"}


def test_a_benchmark_of_your_own(tmp_path: Path) -> None:
    toml = (
        MC
        + 'licence = "CC BY 4.0"\ngroups = ["topic"]\nfiles = ["clips/$video.mp4"]\nprompt = "$question\\n$options"\n'
        '[sampler]\npolicy = "every"\nseconds = 2\n[fields]\nvideo = "clip"\n'
    )
    row = {key: value for key, value in ROW.items() if key != "video"} | {"clip": "sink", "topic": "hygiene"}
    made = own(tmp_path, toml, [row, {**row, "id": "b", "start": 2, "end": 4.5, "answer": "A"}])
    first, second = made.items
    assert (made.name, made.kind, made.measure, made.judge) == ("kitchen", "mc-qa", "answers", "")
    assert made.files == ("clips/$video.mp4",) and made.prompt == "$question\n$options"
    assert made.sampler == Sampler("every", count=16, seconds=2) and made.options == {"licence": "CC BY 4.0"}
    assert (first.id, first.video, first.gold, first.groups) == ("1", "sink", {"option": 1}, {"topic": "hygiene"})
    assert (second.id, second.span, second.gold) == ("b", Span(2.0, 4.5), {"option": 0})
    elsewhere = registry.module("benchmarks", "own").load
    assert elsewhere(tmp_path / "mine.toml", data=str(tmp_path / "mine.jsonl")) == made
    assert elsewhere(tmp_path / "mine.toml", data="") == elsewhere(tmp_path / "mine.toml", data=tmp_path) == made


@pytest.mark.parametrize(
    ("kind", "row", "gold", "measure", "judge"),
    [
        ("caption", {"references": "A cup."}, {"references": ["A cup."]}, "captions", ""),
        ("retrieval", {"query": "a cup"}, {"videos": ["sink"]}, "retrieval", ""),
        ("retrieval", {"query": "a cup", "start": 3.5, "end": 10}, {"videos": ["sink@3.5-10"]}, "retrieval", ""),
        ("retrieval", {"query": "a cup", "videos": ["sink", "tap"]}, {"videos": ["sink", "tap"]}, "retrieval", ""),
        ("moments", {"query": "a cup", "windows": [[1, 2.5]]}, {"windows": [[1.0, 2.5]]}, "moments", ""),
        (
            "moments",
            {"query": "a cup", "windows": [[2, 4]], "duration": 8, "clips": [1], "ratings": [[4, 3, 2]]},
            {"windows": [[2.0, 4.0]], "duration": 8.0, "clips": [1], "ratings": [[4, 3, 2]]},
            "moments",
            "",
        ),
        (
            "open-qa",
            {"question": "What?", "answers": ["cup", "mug"]},
            {"answers": ["cup", "mug"]},
            "answers",
            "answers",
        ),
        ("mc-qa", {"question": "What?", "options": ["2", "3"], "answer": "3"}, {"option": 1}, "answers", ""),
        ("mc-qa", {"question": "What?", "options": ["x", "y"], "answer": 1}, {"option": 1}, "answers", ""),
        ("mc-qa", {"question": "What?", "options": ["b", "a"], "answer": "a"}, {"option": 1}, "answers", ""),
        ("mc-qa", {"question": "What?", "options": ["a cup", "a pan"], "answer": "(b)"}, {"option": 1}, "answers", ""),
    ],
)
def test_every_kind_can_be_your_own(
    kind: str, row: dict[str, Any], gold: dict[str, Any], measure: str, judge: str, tmp_path: Path
) -> None:
    toml = f'name = "mine"\nkind = "{kind}"\ndata = "mine.jsonl"\n'
    made = own(tmp_path, toml, [{"video": "sink", **row}])
    assert (made.items[0].gold, made.measure, made.judge) == (gold, measure, judge)


def test_captions_of_your_own_with_events_have_a_judge(tmp_path: Path) -> None:
    toml = 'name = "mine"\nkind = "caption"\ndata = "mine.jsonl"\nmeasure = "events"\n'
    row = {"video": "sink", "references": ["A man washes a cup."], "events": ["A man washes a cup."], "objects": []}
    made = own(tmp_path, toml, [row])
    assert (made.measure, made.judge, made.items[0].gold["events"]) == ("events", "events", ["A man washes a cup."])
    assert own(tmp_path, toml + 'judge = "facts"\n', [row]).judge == "facts"


@pytest.mark.parametrize(
    ("toml", "said"),
    [
        (MC + "promt = 'x'\n", "no line 'promt' is known; did you mean 'prompt'"),
        (MC.replace("mc-qa", "mcqa"), "'kind' is caption, .*got 'mcqa'; did you mean 'mc-qa'"),
        (MC.replace('name = "kitchen"\n', ""), "no field 'name'"),
        (MC.replace("kitchen", "my kitchen"), "letters, digits"),
        (MC.replace("mine.jsonl", "other.jsonl"), r"its data, other\.jsonl, is neither"),
        (MC + "name = 'again'\n", "not TOML"),
        (MC + "prompt = '$questoin'\n", r"a place \$questoin; there are \$question"),
        (MC + "prompt = 'for $ 5'\n", "a lone dollar sign"),
        (MC + "measure = 'captions'\n", "'measure' is answers here, got 'captions'"),
        (MC + "judge = 'answers'\n", "needs no judge"),
        (MC.replace("mc-qa", "open-qa") + "judge = 'anwsers'\n", "did you mean 'answers'"),
        (MC + "files = 'a'\n", "'files' is a list of texts"),
        (MC + "licence = 4\n", "'licence' is a text"),
        (MC + "sampler = 'middle'\n", r"'sampler' is a table, \[sampler\]"),
        (MC + "[sampler]\npolicy = 'midle'\n", "no sampling policy 'midle'"),
        (MC + "[sampler]\nsecond = 2\n", "has no 'second'; did you mean 'seconds'"),
        (MC + "[sampler]\ncount = 2.5\n", "count is a int"),
        (MC + "[fields]\nvidoe = 'clip'\n", r"\[fields\] has no 'vidoe'; did you mean 'video'"),
        (MC + "[fields]\nvideo = 3\n", r"\[fields\] video is a text"),
    ],
)
def test_a_bad_line_of_the_toml_is_named(toml: str, said: str, tmp_path: Path) -> None:
    with pytest.raises((FormatError, UsageError), match=said) as error:
        own(tmp_path, toml, [ROW])
    assert "\n" not in str(error.value) and "mine.toml" in str(error.value)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"anwser": "a pan"}, "'anwser' is known"),
        ({"topic": "hygiene"}, "no field 'topic' is known: there are id, video"),
        ({"answer": "a bowl"}, "none of the options"),
        ({"answer": 2}, "a place from 0 to 1, got 2"),
        ({"answer": "C"}, "a letter from A to B, got 'C'"),
        ({"answer": 3, "options": ["2", "3"]}, "a place or an option's words"),
        ({"options": ["a pan"]}, "2 to 26 options, got 1"),
        ({"options": []}, "2 to 26 options, got 0"),
        ({"options": ["", "a pan"]}, "none of them empty"),
        ({"question": ""}, "'question' is empty"),
        ({"video": None}, "no field 'video'"),
        ({"start": 3}, "needs both"),
    ],
)
def test_a_bad_record_of_your_own_is_named(change: dict[str, Any], said: str, tmp_path: Path) -> None:
    with pytest.raises(FormatError, match=rf"mine\.jsonl, line 2.*{said}"):
        own(tmp_path, MC, [ROW, {**ROW, **change}])


def test_ids_of_your_own_stand_once(tmp_path: Path) -> None:
    with pytest.raises(FormatError, match="the id 'x' stands twice, before at line 1"):
        own(tmp_path, MC, [{**ROW, "id": "x"}, {**ROW, "id": "x"}])


def test_what_is_no_toml_is_refused(tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "absent.toml", write(tmp_path / "mine.jsonl", [ROW])):
        with pytest.raises(UsageError, match="told by a TOML file"):
            load("own", path)


def test_a_number_that_is_nan_is_no_time() -> None:
    from longshot.benchmarks._questions import window

    for pair in ([float("nan"), 3.0], [0.0, float("inf")], [True, 3], None, "12", [1, 2, 3]):
        with pytest.raises(FormatError):
            window(Record({}, "here"), "windows", pair)
