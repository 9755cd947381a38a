from __future__ import annotations

import gzip
import json
import pickle
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from longshot import registry
from longshot.benchmarks import _demo as demo
from longshot.benchmarks._reading import (
    Record,
    choose,
    find_file,
    fingerprint,
    read_json,
    read_parquet,
    read_records,
    read_table,
    read_text,
    unique_items,
)
from longshot.benchmarks._texts import clip_of, keep, name_of, read_clips, read_names, retrieval_items, text_list
from longshot.errors import FormatError, MissingPackage, UsageError
from longshot.items import Benchmark, Item
from longshot.timeline import Span
from longshot.video import open_video

SAMPLES = Path(__file__).parent / "contracts" / "benchmark_samples"


def load(name: str, data: Path | None = None, **options: Any) -> Benchmark:
    made = registry.load("benchmarks", name, data=data or SAMPLES / name, **options)
    assert isinstance(made, Benchmark)
    return made


def item(made: Benchmark, id: str) -> Item:
    (found,) = (one for one in made.items if one.id == id)
    return found


def ids(made: Benchmark) -> list[str]:
    return [one.id for one in made.items]


def write(path: Path, value: Any) -> Path:
    path.write_text(value if isinstance(value, str) else json.dumps(value, ensure_ascii=False), encoding="utf-8")
    return path


def lines(*rows: Any) -> str:
    return "".join(json.dumps(row) + "\n" for row in rows)


# --- files


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("a.json", '[{"video": "x"},\n {"video": }]', "a.json, line 2: not JSON (Expecting value, column 12)"),
        ("a.jsonl", '{"video": "x"}\n{"vid', "a.jsonl, line 2: not JSON (Unterminated string starting at, column 2)"),
        ("a.jsonl", '{"video": NaN}', "a.jsonl, line 1: not JSON (NaN is no JSON number)"),
        ("a.json", "[1]", "a.json, record 1: an object with named fields is wanted, got 1"),
        ("a.json", "[]", "a.json: empty, not one record"),
        ("a.json", "  \n", "a.json: empty"),
        ("a.csv", "video,caption\nx\n", "a.csv, line 2: 1 columns, 2 wanted: video, caption"),
        ("a.csv", 'video,caption\nx,"y\n', "a.csv, line 2: not a table (unexpected end of data)"),
        ("a.csv", "video,caption\n", "a.csv: empty, not one record"),
        ("a.json", '[{"vidoe": "x"}]', "a.json, record 1: no field 'vidoe' is known; is it 'video'?"),
        ("a.parquet", "PAR1 and no more", "a.parquet: not a Parquet file"),
        ("a.json", "[" * 100_000, "a.json: not JSON (maximum recursion"),
    ],
)
def test_what_cannot_be_read_is_named(tmp_path: Path, name: str, content: str, said: str) -> None:
    path = write(tmp_path / name, content)
    with pytest.raises(FormatError) as error:
        read_records(path, known=("video", "caption"))
    assert str(error.value).removeprefix(f"{tmp_path}/").startswith(said)
    assert "\n" not in str(error.value)


def test_other_bytes(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    path.write_bytes(b'[{"video":\n "\xff"}]')
    with pytest.raises(FormatError, match="line 2: not text in UTF-8"):
        read_text(path)
    path.write_text('[{"video": "é"}]', encoding="utf-16")
    assert read_json(path) == [{"video": "é"}]
    path.write_bytes(gzip.compress(b'[{"video": "x"}]')[:-9])
    with pytest.raises(FormatError, match="torn gzip"):
        read_text(path)
    with pytest.raises(FormatError, match="cannot be read"):
        read_text(tmp_path)


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_a_pickle_is_never_opened(tmp_path: Path, protocol: int) -> None:
    class Trap:
        def __reduce__(self) -> tuple[Any, tuple[str]]:
            return Path.touch, (tmp_path / "sprung",)

    data = pickle.dumps([Trap()], protocol=protocol)
    for name in ("clips_val.pkl", *(("clips_val.json",) if protocol >= 2 else ())):
        (tmp_path / name).write_bytes(data)
        with pytest.raises(FormatError, match=r"a pickle, which can run any code.*json\.dump"):
            load("ego4d_hcap", tmp_path / name)
    assert not (tmp_path / "sprung").exists()


def test_a_table_has_a_header_or_names(tmp_path: Path) -> None:
    path = write(tmp_path / "a.tsv", "one\ttwo\n1\t2, 3\n\n4\t5\n")
    assert [dict(row.fields) for row in read_table(path)] == [{"one": "1", "two": "2, 3"}, {"one": "4", "two": "5"}]
    assert read_table(path)[1].where.endswith("a.tsv, line 4")
    assert len(read_table(path, names=("a", "b"))) == 3


def test_a_file_or_the_folder_that_holds_it(tmp_path: Path) -> None:
    (tmp_path / "json").mkdir()
    path = tmp_path / "json" / "metadata.json.gz"
    path.write_bytes(gzip.compress(b"[]"))
    assert find_file(tmp_path, ("metadata.json", "json/metadata.json")) == path
    assert find_file(path, ()) == path
    with pytest.raises(UsageError, match=r"holds no a\.json or b\.json; give the annotation by its path"):
        find_file(tmp_path, ("a.json", "b.json"))
    with pytest.raises(UsageError, match="no such file or folder"):
        find_file(tmp_path / "absent", ("a.json",))


def test_fingerprints_are_of_what_is_said(tmp_path: Path) -> None:
    one, two, packed = tmp_path / "1", tmp_path / "2", tmp_path / "3"
    one.write_bytes(b"ab")
    two.write_bytes(b"c")
    packed.write_bytes(gzip.compress(b"ab"))
    assert fingerprint(one) == fingerprint(packed) != fingerprint(two)
    assert fingerprint(one, two) != fingerprint(two, one)
    # "ab" + "c" is not "a" + "bc"
    write(tmp_path / "4", "a")
    write(tmp_path / "5", "bc")
    assert fingerprint(one, two) != fingerprint(tmp_path / "4", tmp_path / "5")


def test_fields_are_read_by_type() -> None:
    record = Record({"name": " a ", "id": 7, "texts": ["b", " ", "c "], "n": "3", "none": None, "flag": True}, "f, 1")
    assert record.text("name") == "a" and record.text("id") == "7" and record.text("none", "x") == "x"
    assert record.texts("texts") == ["b", "c"] and record.texts("name") == ["a"]
    assert record.whole("n") == 3 and record.number("absent", 1.5) == 1.5
    assert "none" not in record and "id" in record
    for read, name, said in (
        (record.text, "texts", "f, 1: 'texts' is a text, got ['b', ' ', 'c ']"),
        (record.number, "name", "f, 1: 'name' is a number, got ' a '"),
        (record.number, "flag", "f, 1: 'flag' is a number, got True"),
        (record.texts, "id", "f, 1: 'id' is a list of texts, got 7"),
        (record.text, "nane", "f, 1: no field 'nane'; is 'name' it?"),
        (record.text, "zzz", "f, 1: no field 'zzz'; there are 'name', 'id', 'texts', 'n', 'flag'"),
        (record.text, "none", "f, 1: no field 'none'; there are"),
    ):
        with pytest.raises(FormatError) as error:
            read(name)
        assert str(error.value).startswith(said)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"tsak": "caption"}, "no option 'tsak': there are task, trim; did you mean 'task'?"),
        ({"task": "captions"}, "task cannot be 'captions': there are caption, general; did you mean 'caption'?"),
        ({"trim": 1}, "trim cannot be 1: there are false, true"),
        ({"task": True}, "task cannot be True"),
    ],
)
def test_options_are_checked(options: dict[str, Any], said: str) -> None:
    with pytest.raises(UsageError) as error:
        choose(options, {"task": ("caption", "general"), "trim": (False, True)})
    assert str(error.value).startswith(said)


def test_options_have_defaults_and_types() -> None:
    allowed = {"task": ("caption", "general"), "only": ("", str), "every": (0, int)}
    assert choose({}, allowed) == {"task": "caption", "only": "", "every": 0}
    assert choose({"only": "a.txt", "every": 5}, allowed) == {"task": "caption", "only": "a.txt", "every": 5}
    with pytest.raises(UsageError, match="every cannot be 'x': there are 0, a whole number"):
        choose({"every": "x"}, allowed)
    with pytest.raises(UsageError, match="this benchmark has none"):
        choose({"x": 1}, {})


def test_ids_stand_once() -> None:
    record, again = Record({}, "a.json, record 1"), Record({}, "a.json, record 9")
    with pytest.raises(FormatError, match=r"^a\.json, record 9: the id 'x' stands twice, before at record 1$"):
        unique_items([(record, Item("x", "x")), (again, Item("x", "x"))])


# --- texts


TARSIER = {
    "idx": 3,
    "dataset": "MSVD-Caption-test",
    "vid": "ab_1_2",
    "video_file": "<placeholder>",
    "text": {"prompt": "<video>\nDescribe it.", "response": ["A cat.", "A cat sits."]},
}
TARSIER2 = {
    "idx": 3,
    "dataset": "DREAM/stock",
    "vid": 9,
    "task": "video/caption",
    "messages": [
        {
            "role": "user",
            "content": [
                {"type": "video", "text": None, "reference": None, "video": {"video_file": "/data/9.mp4"}},
                {"type": "text", "text": "Describe it.", "reference": None, "video": None},
            ],
        },
        {"role": "assistant", "content": [{"type": "text", "text": "", "reference": "A cat.", "video": None}]},
    ],
}


def test_the_three_forms_of_captions() -> None:
    one = clip_of(Record(TARSIER, "f, line 1"))
    assert (one.video, one.texts, one.ask, one.span) == ("ab_1_2", ("A cat.", "A cat sits."), "Describe it.", None)
    two = clip_of(Record(TARSIER2, "f, line 1"))
    assert (two.video, two.texts, two.ask) == ("9", ("A cat.",), "Describe it.")
    assert two.groups == {"task": "stock"}
    three = clip_of(Record({"video": "clips/v.1.mp4", "caption": "A cat."}, "f, line 1"))
    assert (three.video, three.texts, three.ask) == ("v.1", ("A cat.",), "")


def test_tarsier_may_name_a_file_and_a_stretch() -> None:
    row = {**TARSIER, "vid": None, "video_file": "in/ab.mp4", "start_time": 1.5, "end_time": 4}
    clip = clip_of(Record(row, "f"))
    assert clip.video == "ab" and clip.span == Span(1.5, 4)
    assert clip_of(Record({**row, "video_file": "<placeholder>"}, "f")).video == "3"
    with pytest.raises(FormatError, match=r"it ends at 1 s, before its start at 1\.5 s"):
        clip_of(Record({**row, "end_time": 1}, "f"))
    with pytest.raises(FormatError, match="needs an end_time"):
        clip_of(Record({**row, "end_time": None}, "f"))


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ({**TARSIER, "text": "A cat."}, "'text' is an object"),
        ({**TARSIER, "text": {"response": 5}}, "'response' is a list of texts, got 5"),
        ({**TARSIER2, "messages": "x"}, "a list of records is wanted"),
        (
            {**TARSIER2, "messages": [{"role": "user", "content": [{"type": "video", "video": None}]}]},
            "no field 'video'",
        ),
        ({"video": "v", "captions": "A cat."}, "no field 'captions' is known; is it 'caption'?"),
        ({"vid": "v", "caption": "A cat."}, "no field 'video'; is 'vid' it?"),
        ({"video": "", "caption": "A cat."}, "'video' is empty"),
    ],
)
def test_forms_that_are_wrong(tmp_path: Path, row: Any, said: str) -> None:
    with pytest.raises(FormatError) as error:
        read_clips(write(tmp_path / "a.jsonl", lines(row)))
    assert said in str(error.value) and "a.jsonl, line 1" in str(error.value)


@pytest.mark.parametrize(
    ("file", "name"),
    [("v1", "v1"), ("v1.mp4", "v1"), ("a/b/v1.AVI", "v1"), ("v.1", "v.1"), ("1@N0_2.mov", "1@N0_2"), ("7", "7")],
)
def test_names_of_videos(file: str, name: str) -> None:
    assert name_of(file) == name


def test_texts_become_queries() -> None:
    clip = clip_of(Record({"video": "v", "caption": ["One.", " Two. "]}, "f"))
    assert [(one.id, one.ask, one.gold) for _, one in retrieval_items([clip])] == [
        ("v#0", "One.", {"videos": ["v"]}),
        ("v#1", "Two.", {"videos": ["v"]}),
    ]
    ((_, whole),) = retrieval_items([clip], paragraph=True)
    assert (whole.id, whole.ask) == ("v", "One. Two.")
    with pytest.raises(FormatError, match="no text to look for 'v' with"):
        list(retrieval_items([clip_of(Record({"video": "v", "caption": []}, "f"))]))


def test_names_choose_and_order_clips(tmp_path: Path) -> None:
    clips = [clip_of(Record({"video": name, "caption": "A cat."}, "f")) for name in "abc"]
    names = write(tmp_path / "list.txt", "c.mp4\n\na\n")
    assert [clip.video for clip in keep(clips, names)] == ["c", "a"]
    with pytest.raises(FormatError, match=r"list\.txt: 2 videos are not in the annotation, such as 'd'"):
        keep(clips, write(names, "a\nd\ne\n"))
    with pytest.raises(FormatError, match="'a' stands twice"):
        read_names(write(names, "a\na\n"))


@pytest.mark.parametrize(
    ("said", "texts"),
    [
        ("['One.', 'Two.']", ["One.", "Two."]),
        ("""["It's one.", 'Two, too.']""", ["It's one.", "Two, too."]),
        (r"['It\'s \\ one.', '']", ["It's \\ one."]),
        ("[]", []),
        ("One.", ["One."]),
        (["One. ", " "], ["One."]),
    ],
)
def test_lists_that_stand_as_text(said: Any, texts: list[str]) -> None:
    assert text_list(Record({"a": said}, "f"), "a") == texts


@given(st.lists(st.text(alphabet=st.characters(codec="ascii", exclude_categories=["Cc"]), min_size=1)))
def test_pythons_own_way_of_writing_lists_is_read(texts: list[str]) -> None:
    assert text_list(Record({"a": repr(texts)}, "f"), "a") == [text.strip() for text in texts if text.strip()]


@pytest.mark.parametrize("said", ["['One.', open('x')]", "['One.' + 'Two.']", "[One]", "['One.]"])
def test_what_is_no_list_is_not_guessed_at(said: str) -> None:
    with pytest.raises(FormatError, match="'a' is no list of texts"):
        text_list(Record({"a": said}, "f"), "a")


# --- DREAM-1K


def test_dream() -> None:
    made = load("dream_1k")
    assert (made.kind, made.measure, made.judge) == ("caption", "events", "events")
    first = made.items[0]
    assert (first.id, first.video, first.ask) == ("1", "1", "Describe the video in detail.")
    assert first.gold["events"] == ["A cat jumps off a table.", "A dog barks."]
    assert [dict(one.groups) for one in made.items] == [
        {"source": "movie_animation", "subjects": "2", "shots": "<=1", "events": "<=3"},
        {"source": "stock", "subjects": "3", "shots": "2", "events": "4-5"},
        {"source": "youtube", "subjects": "<=1", "shots": ">=4", "events": "<=3"},
        {"source": "shorts", "subjects": ">=4", "shots": ">=4", "events": ">=8"},
    ]
    assert made.items[2].gold["events"] == []  # as four of the official ones


def test_dream_of_tarsier2_is_the_same(tmp_path: Path) -> None:
    rows = []
    for line in (SAMPLES / "dream_1k" / "DREAM-1k.jsonl").read_text().splitlines():
        old = json.loads(line)
        source = {"shorts": "vertical_video", "stock": "videvo"}.get(old["dataset"][6:], old["dataset"][6:])
        turns = json.loads(json.dumps(TARSIER2["messages"]))
        turns[0]["content"][1]["text"] = "Describe the video in detail."
        turns[1]["content"][0]["reference"] = old["text"]["response"]
        rows.append(
            {**{k: old[k] for k in ("idx", "vid", "extra_info")}, "dataset": f"DREAM/{source}", "messages": turns}
        )
    other = load("dream_1k", write(tmp_path / "DREAM-1k.jsonl", lines(*rows)))
    assert other.items == load("dream_1k").items
    assert other.fingerprint != load("dream_1k").fingerprint


@given(st.integers(0, 40))
def test_buckets_hold_every_count_once(count: int) -> None:
    from longshot.benchmarks.dream_1k import _bucket

    name = _bucket(count, (3, 5, 7))
    low, high = {"<=3": (0, 3), "4-5": (4, 5), "6-7": (6, 7), ">=8": (8, 99)}[name]
    assert low <= count <= high
    assert _bucket(count, (1, 2, 3)) == ("<=1" if count <= 1 else str(count) if count <= 3 else ">=4")


def test_dream_without_events_is_refused(tmp_path: Path) -> None:
    row = {**TARSIER, "extra_info": {"n_subjects": 1, "n_shots": 1, "event": ["A cat sits."]}}
    with pytest.raises(FormatError, match=r"line 1, extra_info: no field 'events'; is 'event' it\?"):
        load("dream_1k", write(tmp_path / "a.jsonl", lines(row)))


# --- CaReBench


def test_carebench_caption_has_the_facts_that_the_file_has() -> None:
    made = load("carebench")
    assert (made.name, made.kind, made.measure, made.judge) == ("carebench", "caption", "events", "facts")
    assert item(made, "v_1").gold == {
        "references": ["A man in a red coat opens a door."],
        "events": ["A man opens a door."],
        "objects": ["There is a man in a red coat."],
    }
    assert item(made, "v_2").gold == {"references": ["A girl in blue throws a ball."]}
    assert item(made, "v_2").groups == {"category": "sports", "subcategory": "throw"}
    assert (made.sampler.policy, made.sampler.count) == ("middle", 32)


@pytest.mark.parametrize(
    ("task", "text"),
    [
        ("general", "A man in a red coat opens a door."),
        ("spatial", "A man in a red coat."),
        ("temporal", "He opens a door."),
    ],
)
def test_carebench_retrieval(task: str, text: str) -> None:
    made = load("carebench", task=task)
    assert (made.name, made.kind, made.measure, made.judge) == (f"carebench-{task}", "retrieval", "retrieval", "")
    assert item(made, "v_1").ask == text and item(made, "v_1").gold == {"videos": ["v_1"]}


def test_carebench_of_another_set(tmp_path: Path) -> None:
    path = write(tmp_path / "didemo.json", [{"video": "a.mp4", "caption": ["One.", "Two."]}])
    made = load("carebench", path, task="general", paragraph=True, trim30=True)
    (only,) = made.items
    assert (only.id, only.video, only.ask, only.span) == ("a@0-30", "a", "One. Two.", Span(0, 30))
    assert only.gold == {"videos": ["a@0-30"]}
    assert ids(load("carebench", path, task="general")) == ["a#0", "a#1"]
    with pytest.raises(FormatError, match=r"no field 'spatial_caption'"):
        load("carebench", path, task="spatial")


# --- LoVR


def test_lovr_parts() -> None:
    clips = load("lovr")
    assert ids(clips) == ["ab12-Scene-001", "ab12-Scene-002", "ab12-Scene-003"]
    assert item(clips, "ab12-Scene-002").ask == "A cat eats."
    videos = load("lovr", part="video")
    assert ids(videos) == ["ab12", "cd34"] and videos.name == "lovr-video"
    themes = load("lovr", part="theme")
    assert [(one.id, one.ask) for one in themes.items] == [
        ("ab12-Scene-001", "pets"),
        ("ab12-Scene-003", "dogs outdoors"),
    ]


def test_lovr_in_parquet_by_split(tmp_path: Path) -> None:
    pyarrow = pytest.importorskip("pyarrow")
    from pyarrow import parquet

    rows = [json.loads(line) for line in (SAMPLES / "lovr/caption_data/all_clip.jsonl").read_text().splitlines()]
    parquet.write_table(pyarrow.Table.from_pylist(rows[:2]), tmp_path / "clip_test.parquet")
    parquet.write_table(pyarrow.Table.from_pylist(rows[2:]), tmp_path / "clip_train.parquet")
    assert sorted(ids(load("lovr", tmp_path))) == ids(load("lovr"))
    assert ids(load("lovr", tmp_path, split="test")) == ["ab12-Scene-001", "ab12-Scene-002"]
    assert read_parquet(tmp_path / "clip_test.parquet", columns=("cap", "nothing"))[1].fields == {"cap": "A cat eats."}
    parquet.write_table(pyarrow.Table.from_pylist(rows[:1]), tmp_path / "clip_train.parquet")
    with pytest.raises(FormatError, match=r"clip_train\.parquet, row 1: the id 'ab12-Scene-001' stands twice"):
        load("lovr", tmp_path)


def test_parquet_without_its_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "pyarrow", None)
    with pytest.raises(MissingPackage, match="longshot\\[models\\]"):
        read_parquet(tmp_path / "a.parquet")


README = {
    "video_id": "ab12",
    "clip_id": "c1",
    "video_path": "in/ab12.mp4",
    "clip_path": "clips/ab12-1.mp4",
    "start_time": 12.4,
    "end_time": 25.7,
    "clip_caption": "A cat sits.",
    "video_caption": "A cat sits. It eats.",
}


def test_lovr_as_its_readme_has_it(tmp_path: Path) -> None:
    other = {**README, "clip_path": None, "clip_caption": "A cat eats.", "start_time": 30, "end_time": 40.5}
    path = write(tmp_path / "lovr.json", [README, other])
    assert [(one.id, one.video, one.ask, one.span) for one in load("lovr", path).items] == [
        ("ab12-1", "ab12-1", "A cat sits.", None),
        ("ab12@30-40.5", "ab12", "A cat eats.", Span(30, 40.5)),
    ]
    assert [(one.id, one.ask) for one in load("lovr", path, part="video").items] == [("ab12", "A cat sits. It eats.")]
    with pytest.raises(UsageError, match="no record has a theme"):
        load("lovr", path, part="theme")
    with pytest.raises(FormatError, match="a clip from 30 s to 20 s"):
        load("lovr", write(path, [{**other, "end_time": 20}]))


# --- MSR-VTT, MSVD, DiDeMo, VATEX


def test_msr_vtt() -> None:
    made = load("msr_vtt")
    assert ids(made) == ["video7020", "video7021"] and made.options["split"] == "test"
    assert item(made, "video7020").gold == {"references": ["a cat sits on a table", "a cat looks around"]}
    assert item(made, "video7020").groups == {"category": "3"}
    assert ids(load("msr_vtt", split="all")) == ["video0", "video7020", "video7021"]
    pairs = load("msr_vtt", task="retrieval")
    assert [(one.id, one.ask) for one in pairs.items] == [
        ("video7020", "a cat sits on a table"),
        ("video7021", "a dog, asleep"),
    ]
    assert pairs.options["split"] == "1k-a"
    full = load("msr_vtt", task="retrieval", split="test")
    assert ids(full) == ["video7020#0", "video7020#1", "video7021"]
    assert item(full, "video7020#1").gold == {"videos": ["video7020"]}


def test_msr_vtt_of_tarsier_asks_with_its_own_prompt(tmp_path: Path) -> None:
    path = write(tmp_path / "MSR-VTT-Caption-test.jsonl", lines({**TARSIER, "vid": "video7960"}))
    (only,) = load("msr_vtt", tmp_path).items
    assert (only.id, only.ask, only.gold["references"]) == ("video7960", "Describe it.", ["A cat.", "A cat sits."])
    assert load("msr_vtt", path, task="retrieval", split="test").items[0].ask == "A cat."


def test_msr_vtt_with_a_list_of_another_split(tmp_path: Path) -> None:
    names = write(tmp_path / "test_list_miech.txt", "video7021\nvideo0\n")
    made = load("msr_vtt", SAMPLES / "msr_vtt" / "MSRVTT_data.json", split="all", only=str(names))
    assert ids(made) == ["video7021", "video0"]
    assert made.fingerprint != load("msr_vtt", split="all").fingerprint


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda whole: whole["sentences"].pop(2), "videos, record 3: no sentence is of 'video7021'"),
        (lambda whole: whole["videos"][1].update(split="tset"), "a split 'tset'; those that are known: test"),
        (lambda whole: whole.update(sentences={}), "sentences: a list of records is wanted, got {}"),
        (lambda whole: whole.pop("videos"), "no field 'videos'"),
        (lambda whole: whole["videos"].append(whole["videos"][1]), "the id 'video7020' stands twice"),
        (lambda whole: [one.update(split="train") for one in whole["videos"]], "no video is of the split 'test'"),
    ],
)
def test_msr_vtt_that_is_wrong(tmp_path: Path, change: Any, said: str) -> None:
    whole = json.loads((SAMPLES / "msr_vtt" / "MSRVTT_data.json").read_text())
    change(whole)
    with pytest.raises((FormatError, UsageError)) as error:
        load("msr_vtt", write(tmp_path / "MSRVTT_data.json", whole))
    assert said in str(error.value)


def test_msvd() -> None:
    made = load("msvd")
    assert ids(made) == ["fB_1_9", "-wa0_168_176"]
    assert item(made, "-wa0_168_176").gold == {"references": ["a man is cutting bread", "a person slices bread"]}
    assert ids(load("msvd", split="all")) == ["-wa0_168_176", "fB_1_9", "zz_5_20"]
    assert ids(load("msvd", task="retrieval")) == ["fB_1_9", "-wa0_168_176#0", "-wa0_168_176#1"]
    with pytest.raises(UsageError, match=r"val_list\.txt: there is no such file.*split=all takes every clip"):
        load("msvd", split="val")


def test_msvd_of_the_corpus(tmp_path: Path) -> None:
    head = "VideoID,Start,End,WorkerID,Source,AnnotationTime,Language,Description\n"
    rows = (
        'ab,33,46,5,clean,55,English,"A boy, playing."\nab,33,46,6,clean,5,German,Ein Junge.\n'
        "ab,33,46,6,clean,5,English,\ncd,0,9,5,clean,1,English,A cat.\n"
    )
    path = write(tmp_path / "MSR Video Description Corpus.csv", head + rows)
    made = load("msvd", path, split="all")
    assert [(one.id, one.gold["references"]) for one in made.items] == [
        ("ab_33_46", ["A boy, playing."]),
        ("cd_0_9", ["A cat."]),
    ]


def test_msvd_with_only_the_pickle(tmp_path: Path) -> None:
    (tmp_path / "raw-captions.pkl").write_bytes(b"\x80\x02.")
    with pytest.raises(FormatError, match="a pickle, which can run any code"):
        load("msvd", tmp_path)


def test_didemo_is_asked_by_paragraph() -> None:
    made = load("didemo")
    assert [(one.id, one.video, one.ask, one.span) for one in made.items] == [
        ("1@N0_1_a@0-30", "1@N0_1_a", "a cat jumps. the cat comes back.", Span(0, 30)),
        ("2@N0_2_b@0-30", "2@N0_2_b", "the light goes off.", Span(0, 30)),
    ]
    alone = load("didemo", paragraph=False, trim30=False)
    assert ids(alone) == ["1@N0_1_a#0", "1@N0_1_a#1", "2@N0_2_b"]


def test_didemo_takes_the_list_beside_it(tmp_path: Path) -> None:
    text = (SAMPLES / "didemo" / "test_data.json").read_text()
    write(tmp_path / "test_data.json", text)
    write(tmp_path / "test_list.txt", "2@N0_2_b.mov\n")
    assert ids(load("didemo", tmp_path, trim30=False)) == ["2@N0_2_b"]
    pairs = write(tmp_path / "mine.json", [{"video": "a.mp4", "caption": ["One.", "Two."]}])
    other = load("didemo", write(tmp_path / "sub.json", pairs.read_text()), only=str(write(tmp_path / "l.txt", "a\n")))
    assert other.items[0].ask == "One. Two."


def test_vatex() -> None:
    made = load("vatex")
    assert item(made, "G9zN5TTuGO4_000179_000189").gold == {"references": ["A cat sits.", "A cat is sitting."]}
    chinese = load("vatex", language="zh")
    assert chinese.items[0].gold == {"references": ["一只猫坐着。"]} and chinese.prompt != made.prompt
    assert len(load("vatex", task="retrieval").items) == 4
    with pytest.raises(UsageError, match=r"holds no vatex_validation_v1\.0\.json"):
        load("vatex", split="validation")


def test_vatex_of_tarsier(tmp_path: Path) -> None:
    write(tmp_path / "VATEX-test.jsonl", lines(TARSIER))
    assert load("vatex", tmp_path).items[0].gold == {"references": ["A cat.", "A cat sits."]}


# --- Ego4D-HCap


def test_ego4d_clips_are_thinned_as_the_protocol_does(tmp_path: Path) -> None:
    assert ids(load("ego4d_hcap")) == ["ab12@3.2-4.1"]
    assert ids(load("ego4d_hcap", every=1)) == ["ab12@3.2-4.1", "ab12@8-9", "cd34@0-1.5"]
    assert ids(load("ego4d_hcap", every=2)) == ["ab12@3.2-4.1", "cd34@0-1.5"]
    rows = [["v", float(n), n + 1.0, f"#C C does {n}"] for n in range(201)]
    made = load("ego4d_hcap", write(tmp_path / "clips_val.json", rows))
    assert [one.gold["references"] for one in made.items] == [[f"#C C does {n}"] for n in (0, 100, 200)]
    with pytest.raises(UsageError, match="every is a count"):
        load("ego4d_hcap", every=-1)


def test_ego4d_segments_and_videos() -> None:
    segments = load("ego4d_hcap", part="segment")
    assert item(segments, "ab12@0-180").gold == {"references": ["C cooked."], "below": ["#C C opens the drawer"]}
    assert item(segments, "cd34@180-360").gold["below"] == ["C walks"]
    videos = load("ego4d_hcap", part="video")
    assert ids(videos) == ["ab12@0-1700", "ab12@0-1700#2", "cd34"]
    assert item(videos, "ab12@0-1700").gold["below"] == ["C cooked.", "C ate."]
    assert item(videos, "ab12@0-1700#2").gold["below"] == ["C cooked.", "It's C who ate."]
    assert item(videos, "cd34").span is None


@pytest.mark.parametrize(
    ("part", "row", "said"),
    [
        ("clip", ["v", 0, 1], "[video, start, end, caption] is wanted"),
        ("clip", {"vid": "v"}, "[video, start, end, caption] is wanted"),
        ("clip", ["v", 2, 1, "x"], "it goes from 2 s to 1 s"),
        ("clip", ["v", "now", 1, "x"], "'start_sec' is a number, got 'now'"),
        ("clip", ["v", 0, 1, " "], "'caption' is empty"),
        (
            "segment",
            {"vid": "v", "start_sec": 0, "end_sec": 4, "segment_descripton": "x"},
            "is it 'segment_description'?",
        ),
        ("segment", {"vid": "v", "segment_description": "x", "captions_gt": [3]}, "a caption is a text"),
        ("video", {"vid": "v", "video_summary": "x", "segment_descriptions": "[1 + 1]"}, "is no list of texts"),
        ("video", ["v"], "an object with named fields is wanted"),
    ],
)
def test_ego4d_that_is_wrong(tmp_path: Path, part: str, row: Any, said: str) -> None:
    with pytest.raises(FormatError) as error:
        load("ego4d_hcap", write(tmp_path / f"{part}s_val.json", [row]), part=part)
    assert said in str(error.value) and "record 1" in str(error.value)


# --- demos


def test_what_the_demo_draws_is_what_it_says() -> None:
    width, height = demo.SIZE
    for form, filled in (("square", 1.0), ("circle", np.pi / 4), ("triangle", 0.5)):
        part = demo.Part("red", form, "from left to right")
        ends = []
        for progress in (0.0, 1.0):
            red = (demo.draw(part, progress) == demo.COLOURS["red"]).all(axis=2)
            assert red.sum() == pytest.approx(filled * (height // 4) ** 2, rel=0.06)
            ends.append(np.argwhere(red).mean(axis=0))
        assert ends[0][1] < width / 4 and ends[1][1] > 3 * width / 4
        assert ends[0][0] == pytest.approx(ends[1][0])
    assert (demo.draw(demo.Part("red", "square", demo.STILL), 0.0) == demo.draw(demo.CLIPS[0].parts[0], 0.5)).all()


def test_the_demo_is_the_same_each_time(tmp_path: Path) -> None:
    one, two = demo.make_videos(tmp_path / "a"), demo.make_videos(tmp_path / "b")
    files = sorted(path.name for path in one.iterdir())
    assert files == sorted(f"{clip.name}.mp4" for clip in demo.CLIPS)
    assert all((one / name).read_bytes() == (two / name).read_bytes() for name in files)
    assert demo.digest(demo.CLIPS) == demo.digest(demo.CLIPS) != demo.digest(demo.STORIES)


def test_a_story_shows_its_parts_one_after_the_other(tmp_path: Path) -> None:
    story = demo.STORIES[0]
    assert story.spans == [Span(0, 3), Span(3, 6), Span(6, 9)] and story.seconds == 9
    folder = demo.make_videos(tmp_path, [story])
    with open_video(folder / "story-one.mp4") as video:
        assert video.duration == pytest.approx(9)
        frames = video.frames([span.middle for span in story.spans])
    for picture, part in zip(frames.pixels, story.parts, strict=True):
        corner, centre = picture[2, 2].astype(int), picture[60, 80].astype(int)
        assert np.abs(corner - demo.COLOURS[part.ground]).max() < 30
        assert np.abs(centre - demo.COLOURS[part.colour]).max() < 60


def test_demo_texts_tell_videos_apart() -> None:
    captions, queries = load_demo("demo_caption"), load_demo("demo_retrieval")
    assert captions["red-square-right"].gold["references"] == [
        "A red square moves from left to right on a grey ground."
    ]
    assert queries["green-triangle-still"].ask == "A green triangle stands in the middle."
    assert max(Counter(one.ask for one in queries.values()).values()) == 1


def load_demo(name: str) -> dict[str, Item]:
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        return {one.id: one for one in load(name, Path(folder)).items}


def test_a_demo_needs_a_folder_to_write(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="the demo's videos cannot be written"):
        load("demo_caption", write(tmp_path / "file", "x"))
