"""Predictions of a run: by a chat model, an encoder, the observer; kept, sharded, resumed."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from longshot.asking import Desk
from longshot.contracts import Frames, Prompt
from longshot.errors import FormatError, ModelError, UsageError
from longshot.evaluating.predict import Chat, Observer, Rows, predict
from longshot.evaluating.runs import Run, differences, digest_of, manifest
from longshot.evaluating.sources import find_videos
from longshot.items import Benchmark, Item, Prediction
from longshot.journal import Journal, Result, State
from longshot.metrics.retrieval import rank
from longshot.sampling import Sampler
from longshot.timeline import Source, Span
from tests.fakes import ScriptedModel, failed, refused
from tests.videos import read_number, write_video

VIDEOS = 4


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    home = tmp_path_factory.mktemp("videos")
    for number in range(VIDEOS):
        write_video(home / f"v{number}.mp4", count=40, fps=10, size=(96, 64))
    return home


def benchmark(kind: str = "open-qa", count: int = 8, **more: object) -> Benchmark:
    items = tuple(
        Item(f"q{i}", f"v{i % VIDEOS}", ask=f"What is {i}?", gold={"answers": [str(i)]}, options=("a cat", "a dog"))
        for i in range(count)
    )
    given: dict = {"sampler": Sampler("middle", count=4), "items": items, **more}
    return Benchmark("tiny", kind, "answers", fingerprint="0" * 16, **given)


def run_all(bench: Benchmark, model: ScriptedModel, home: Path, run: Run, **options: object) -> list[Prediction]:
    with Desk(model) as desk:
        return list(predict(bench, Chat(desk), find_videos(bench, home), run, **options))  # type: ignore[arg-type]


def test_every_item_is_asked_about_its_own_video_and_span(home: Path, tmp_path: Path) -> None:
    items = (
        Item("whole", "v0", ask="All?"),
        Item("part", "v1", ask="Part?", span=Span(1.0, 3.0)),
    )
    model = ScriptedModel(lambda prompt: f"said {prompt.text}")
    found = run_all(benchmark(items=items, prompt="Now: $question"), model, home, Run(tmp_path))
    assert {one.id: one.value for one in found} == {"whole": "said Now: All?", "part": "said Now: Part?"}
    times = {prompt.text: prompt.frames.times.tolist() for prompt in model.asked if prompt.frames}
    assert times["Now: All?"] == pytest.approx([0.5, 1.5, 2.5, 3.5])
    assert times["Now: Part?"] == pytest.approx([1.2, 1.7, 2.2, 2.7])
    numbers = [read_number(picture) for picture in model.asked[0].frames.pixels]  # type: ignore[union-attr]
    assert numbers in ([5, 15, 25, 35], [12, 17, 22, 27])


def test_a_span_beyond_the_end_ends_with_the_video(home: Path, tmp_path: Path) -> None:
    # As with a rule that looks at the first 30 seconds only: these videos have four.
    model = ScriptedModel(lambda prompt: "x")
    run_all(benchmark(items=(Item("a", "v0", ask="?", span=Span(0.0, 30.0)),)), model, home, Run(tmp_path))
    assert model.asked[0].frames is not None
    assert model.asked[0].frames.times.tolist() == pytest.approx([0.5, 1.5, 2.5, 3.5])


def test_options_stand_in_the_prompt_by_letter(home: Path, tmp_path: Path) -> None:
    model = ScriptedModel(lambda prompt: "B")
    run_all(benchmark("mc-qa", count=1), model, home, Run(tmp_path))
    assert "What is 0?\n(A) a cat\n(B) a dog\n" in model.texts[0]


def test_windows_are_read_from_words_and_lie_in_the_video(home: Path, tmp_path: Path) -> None:
    items = (Item("m", "v0", ask="A wave", span=Span(1.0, 4.0), gold={"windows": [[1, 2]], "duration": 4}),)
    model = ScriptedModel(lambda prompt: "[[0.5, 1.5]]")
    (found,) = run_all(benchmark("moments", items=items), model, home, Run(tmp_path))
    assert found.value["windows"][0][:2] == [1.5, 2.5]
    assert "3.0 seconds long" in model.texts[0]
    model = ScriptedModel(lambda prompt: "nowhere")
    (found,) = run_all(benchmark("moments", items=items), model, home, Run(tmp_path / "b"))
    assert found.state is State.UNREADABLE and len(model.asked) == 2


def test_nothing_is_asked_twice_and_failures_are_asked_again(home: Path, tmp_path: Path) -> None:
    down = {"q1", "q2"}

    def answer(prompt: Prompt) -> object:
        id = "q" + prompt.text.split("What is ")[1].split("?")[0]
        if id == "q3":
            return refused()
        return failed() if id in down else f"it is {id}"

    bench, run = benchmark(), Run(tmp_path)
    first = ScriptedModel(answer, slots=2)  # type: ignore[arg-type]
    found = {one.id: one for one in run_all(bench, first, home, run)}
    assert len(found) == 8 and found["q1"].state is State.FAILED and found["q3"].state is State.REFUSED
    down.clear()
    second = ScriptedModel(answer, slots=2)  # type: ignore[arg-type]
    again = run_all(bench, second, home, run)
    assert sorted(one.id for one in again) == ["q1", "q2"] and len(second.asked) == 2
    assert {one.id: one.value for one in run.predictions().values()}["q1"] == "it is q1"
    assert run.predictions()["q3"].state is State.REFUSED


def test_shards_divide_the_work_and_their_number_may_change(home: Path, tmp_path: Path) -> None:
    bench, run = benchmark(count=20), Run(tmp_path)
    one = ScriptedModel(lambda prompt: "x")
    part = run_all(bench, one, home, run, shard=(2, 3))
    assert 0 < len(part) < 20
    two = ScriptedModel(lambda prompt: "x")
    rest = [run_all(bench, two, home, run, shard=(number, 2)) for number in (1, 2)]
    assert {p.id for p in part} | {p.id for some in rest for p in some} == {f"q{i}" for i in range(20)}
    assert len(one.asked) + len(two.asked) == 20
    assert len(run.predictions()) == 20
    with pytest.raises(UsageError, match="such as 2/4, got 3/2"):
        run_all(bench, two, home, run, shard=(3, 2))


def test_a_video_that_is_not_there_or_broken_is_unreadable(home: Path, tmp_path: Path) -> None:
    bad = tmp_path / "videos"
    bad.mkdir()
    (bad / "v0.mp4").write_bytes((home / "v0.mp4").read_bytes())
    (bad / "v1.mp4").write_bytes(b"broken")
    model = ScriptedModel(lambda prompt: "x")
    found = {one.id: one for one in run_all(benchmark(count=4), model, bad, Run(tmp_path / "run"))}
    assert found["q0"].state is State.DONE
    assert found["q1"].state is State.UNREADABLE and "v1.mp4" in found["q1"].reason
    assert found["q2"].state is State.UNREADABLE and found["q2"].reason == "v2: its file was not found"


def test_a_wrong_key_stops_at_once_and_keeps_what_is_there(home: Path, tmp_path: Path) -> None:
    def break_down(call: int) -> None:
        if call == 2:
            raise ModelError("scripted", "the key is wrong")

    model = ScriptedModel(lambda prompt: "x", fail=break_down)
    with pytest.raises(ModelError, match="the key is wrong"):
        run_all(benchmark(), model, home, Run(tmp_path))
    assert len(Run(tmp_path).predictions()) == 2


class Numbers:
    """An encoder whose vector of a clip is its first painted number, and of a text the number in it."""

    source = Source("", "numbers", "1")
    dimension, frames, height = 2, 1, 64

    def encode_text(self, texts: list[str]) -> np.ndarray:
        return self._rows([float(text.split()[-1]) for text in texts])

    def encode_frames(self, clips: list[Frames]) -> np.ndarray:
        return self._rows([float(read_number(clip.pixels[0]) or 0) for clip in clips])

    def _rows(self, numbers: list[float]) -> np.ndarray:
        angles = np.array(numbers) / 40
        return np.stack([np.cos(angles), np.sin(angles)], axis=1).astype(np.float32)


def retrieval() -> Benchmark:
    # One clip a second: its middle frame has the number 5, 15, 25 or 35.
    items = tuple(
        Item(
            f"t{i}", "v0", ask=f"number {10 * i + 5 + wrong}", span=Span(i, i + 1), gold={"videos": [f"v0@{i}-{i + 1}"]}
        )
        for i, wrong in enumerate((0, 0, 0, -20))
    )
    return benchmark("retrieval", items=items)


def test_an_encoder_ranks_the_gallery_both_ways(home: Path, tmp_path: Path) -> None:
    bench = retrieval()
    found = {p.id: p.value for p in predict(bench, Rows(Numbers()), find_videos(bench, home), Run(tmp_path))}  # type: ignore[arg-type]
    assert found["t0"] == {"text_to_video": [1], "video_to_text": [1]}
    # The text of the last clip says 15: it is farther from its own 35 than from 15, 5 and 25.
    assert found["t3"]["text_to_video"] == [4]
    assert len(list((tmp_path / "vectors").glob("*.parquet"))) == 4
    with pytest.raises(UsageError, match="asks for words"):
        list(predict(benchmark(), Rows(Numbers()), find_videos(benchmark(), home), Run(tmp_path / "b")))  # type: ignore[arg-type]


def test_the_dual_softmax_is_an_order_of_its_own(home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    given: list[float | None] = []

    def spy(*rows: object, temperature: float | None) -> object:
        given.append(temperature)
        return rank(*rows, temperature=temperature)  # type: ignore[arg-type]

    monkeypatch.setattr("longshot.evaluating.predict.rank", spy)
    bench = retrieval()
    for dual in (False, True):
        rows = Rows(Numbers(), dual_softmax=dual)  # type: ignore[arg-type]
        assert rows.how["dual_softmax"] is dual
        assert len(list(predict(bench, rows, find_videos(bench, home), Run(tmp_path / str(dual))))) == 4
    assert given == [None, 0.01]


@pytest.mark.parametrize("kind", ["caption", "mc-qa", "open-qa", "moments"])
def test_the_observer_answers_every_kind(home: Path, tmp_path: Path, kind: str) -> None:
    bench = benchmark(kind, count=2)
    found = list(predict(bench, Observer(1), find_videos(bench, home), Run(tmp_path)))
    assert [one.state for one in found] == [State.DONE] * 2
    if kind == "mc-qa":
        assert {one.value for one in found} <= {"A", "B"}
    elif kind == "moments":
        assert all(len(window) == 3 for one in found for window in one.value["windows"])
    else:
        assert all(one.value for one in found)


def test_the_observer_ranks_by_words(home: Path, tmp_path: Path) -> None:
    bench = retrieval()
    found = list(predict(bench, Observer(1), find_videos(bench, home), Run(tmp_path)))
    assert len(found) == 4 and all(1 <= one.value["text_to_video"][0] <= 4 for one in found)


def test_videos_are_found_by_pattern(tmp_path: Path) -> None:
    for name in ("a.mp4", "deep/b.webm", "clips/c.mp4", "x.y.mkv"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    items = tuple(Item(name, name) for name in ("a", "b", "c.mp4", "clips/c", "x.y", "none"))
    found = find_videos(benchmark(items=items), tmp_path)
    names = {video: str(path.relative_to(tmp_path)) if path else None for video, path in found.items()}
    assert names == {
        "a": "a.mp4",
        "b": "deep/b.webm",
        "c.mp4": "clips/c.mp4",
        "clips/c": "clips/c.mp4",
        "x.y": "x.y.mkv",
        "none": None,
    }
    exact = find_videos(benchmark(items=items, files=("clips/$video.mp4",)), tmp_path)
    assert [video for video, path in exact.items() if path] == []
    with pytest.raises(UsageError, match="no such folder"):
        find_videos(benchmark(), tmp_path / "nowhere")


# --- runs


def test_a_folder_holds_one_run(tmp_path: Path) -> None:
    def said(model: str, name: str = "tiny") -> dict:
        bench = benchmark(count=1)
        made = manifest(
            bench, data="d", model=Source("", model, "r"), name=model, how={"frames": 4}, videos={"v0": "ab", "v1": ""}
        )
        made["benchmark"]["name"] = name
        return made

    run = Run(tmp_path / "run")
    run.begin(said("one"))
    assert run.begin(said("one"))["videos"] == {"there": 1, "missing": 1, "digest": said("one")["videos"]["digest"]}
    with pytest.raises(UsageError, match=r"another run \(model.asked: one and two; model.name: one and two\)"):
        run.begin(said("two"))
    assert differences(said("one"), said("one")) == []
    assert differences(said("one"), said("one", "other"), of=("benchmark",)) == ["benchmark.name: tiny and other"]


@pytest.mark.parametrize("text", ["", "{", "[]", '{"format": 9}', '{"no": 1}'])
def test_a_manifest_that_cannot_be_read_is_said_to(tmp_path: Path, text: str) -> None:
    (tmp_path / "run.json").write_text(text)
    with pytest.raises(FormatError, match=r"run\.json"):
        Run(tmp_path).manifest()


def test_a_verdict_on_another_prediction_does_not_count(tmp_path: Path) -> None:
    bench, run = benchmark(count=2), Run(tmp_path)

    def write(name: str, lines: dict[str, Result]) -> None:
        with Journal(tmp_path / name) as journal:
            for id, result in lines.items():
                journal.record(id, result)

    write("predictions.jsonl", {f"q{i}": Result(State.DONE, {"value": f"text {i}"}) for i in range(2)})
    mine = digest_of(Prediction("q0", State.DONE, "text 0"))
    write("verdicts.jsonl", {"q0": Result(State.DONE, {"of": mine}), "q1": Result(State.DONE, {"of": "another"})})
    rows = run.rows(bench)
    assert [row.verdict is not None for row in rows] == [True, False]


def test_a_later_shard_counts_before_an_earlier_and_done_before_failed(tmp_path: Path) -> None:
    def lines(name: str, state: State, value: object) -> None:
        with Journal(tmp_path / name) as journal:
            journal.record("q0", Result(state, value, "" if state is State.DONE else "why"))

    lines("predictions.1-of-2.jsonl", State.DONE, {"value": "right"})
    lines("predictions.jsonl", State.FAILED, None)
    assert Run(tmp_path).predictions()["q0"].value == "right"


@pytest.fixture(autouse=True)
def one_line_reasons(tmp_path: Path) -> Iterator[None]:
    yield
    for path in tmp_path.rglob("predictions*.jsonl"):
        for line in path.read_text().splitlines():
            assert "\n" not in json.loads(line).get("reason", "")
