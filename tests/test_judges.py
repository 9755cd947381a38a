from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from longshot import registry
from longshot.asking import Unreadable
from longshot.errors import ModelError, UsageError
from longshot.items import Ask, Item, Judge, Prediction, Row
from longshot.journal import State
from longshot.judges._clauses import clauses_of, is_static, sentences_of
from longshot.judges._facts import LABELS, read_facts, read_labels
from longshot.judges._replies import read_value
from longshot.metrics import events as metric

CAPTION = "A man opens a door. Then a dog runs out."
REFERENCE = "A man in a coat opens the door and a dog runs into the yard."
GOLD = ["A man opens a door.", "A dog runs out."]


def judge_called(name: str, prompts: Path | None = None) -> Judge:
    judging: Judge = registry.load("judges", name, prompts=prompts)
    return judging


def row(prediction: str = CAPTION, *, id: str = "a", ask: str = "", **gold: Any) -> Row:
    held = {"references": [REFERENCE], **gold}
    return Row(Item(id, "v", ask=ask, gold=held), Prediction(id, State.DONE, prediction))


def talk(judging: Judge, about: Row, reply: Callable[[Ask], str]) -> tuple[Mapping[str, Any], list[Ask]]:
    """The verdict after every question was answered and read, and the questions."""
    said: dict[str, Any] = {}
    asked: list[Ask] = []
    while asks := judging.asks(about, said):
        for ask in asks:
            assert ask.name not in said
            asked.append(ask)
            text = reply(ask)
            said[ask.name] = ask.read(text) if ask.read else text
    return judging.verdict(about, said), asked


def label_all(label: str, count: int) -> str:
    return json.dumps({"labels": [{"item": place + 1, "label": label, "reason": "so"} for place in range(count)]})


# Readers of replies

TWO = ["A man opens a door.", "The dog's tail wags."]


@pytest.mark.parametrize(
    "reply",
    [
        '{"events": ["A man opens a door.", "The dog\'s tail wags."]}',
        '["A man opens a door.", "The dog\'s tail wags."]',
        '```json\n{"events": ["A man opens a door.", "The dog\'s tail wags."]}\n```',
        '```python\n{"events": ["A man opens a door.", "The dog\'s tail wags."]}```',
        "{'events': ['A man opens a door.', 'The dog's tail wags.']}",
        "{'events': ['A man opens a door.', \"The dog's tail wags.\",],}",
        "{'events': ['A man opens a door.', 'The dog\\'s tail wags.']}",
        '{"events": ["A man opens a door.", "The dog\'s tail wags."]',
        '{"events": ["A man opens a door.", "The dog\'s tail wags."]\n```',
        '"events": ["A man opens a door.", "The dog\'s tail wags."]}',
        'Sure! Here [as asked] is {it}:\n{"events": ["A man opens a door.", "The dog\'s tail wags."]}\nAnything else?',
        '<think>Perhaps {"events": ["No."]}?</think>{"events": ["A man opens a door.", "The dog\'s tail wags."]}',
        '{"events": [{"event": "A man opens a door."}, {"event": "The dog\'s tail wags."}]}',
        '{"events": ["A man opens a door.", "a man opens a door.", "", "The dog\'s   tail\\nwags."]}',
        '{"1": "A man opens a door.", "2": "The dog\'s tail wags."}',
        '{"events": ["A man opens a door.", "The dog\\u0027s tail wags."], "count": 2, "complete": True, "rest": None}',
        "{events: ['A man opens a door.', 'The dog's tail wags.']}",
    ],
)
def test_facts_are_read_from(reply: str) -> None:
    assert read_facts(reply) == TWO


@pytest.mark.parametrize("reply", ['{"events": []}', "[]", "```json\n[]\n```", '{"events": [""]}'])
def test_that_nothing_happens_is_an_answer(reply: str) -> None:
    assert read_facts(reply) == []


@pytest.mark.parametrize(
    ("reply", "said"),
    [
        ("", "no JSON"),
        ("A man opens a door.", "no JSON"),
        ('{"events": ["A man opens a door.", "The dog', "cut off"),  # cut off: what else was there?
        ('{"events": ["A man opens a door."', "cut off"),
        ('["A man opens a door.", ', "cut off"),
        ('{"seen": ["a b"], "events": ["c d", "e', "cut off"),  # and not the list of what was seen
        ("{{{{{{", "no JSON|cut off"),
        ("[" * 100_000, "no JSON"),
        ("{'a':" * 5_000, "no JSON"),
        ('{"events": "A man opens a door."}', "one list, and it has 0"),
        ('{"events": ["a b"], "objects": ["c"]}', "one list, and it has 2"),
        ('{"events": [1, 2]}', "must be a text"),
        ('{"events": [["A man opens a door."]]}', "must be a text"),
        ('{"events": [{"event": "a b", "reason": "c"}]}', "must be a text"),
        ('{"events": null}', "one list"),
        ("{}", "one list"),
        (json.dumps([f"Event {place}." for place in range(101)]), "101 events"),
        ("[1" + "0" * 5000 + "]", "no JSON"),
        ("x" * 200_001, "200001 characters"),
        ("__import__('os').system('true')", "no JSON"),
        ("[open('x').read()]", "no JSON"),
    ],
)
def test_facts_cannot_be_read_from(reply: str, said: str) -> None:
    with pytest.raises(Unreadable, match=said):
        read_facts(reply)


E, N, C = LABELS


@pytest.mark.parametrize(
    ("reply", "labels"),
    [
        ('{"labels": [{"item": 1, "label": "entailment", "reason": "r"}, {"item": 2, "label": "neutral"}]}', [E, N]),
        ('{"labels": [{"item": 2, "label": "neutral"}, {"item": 1, "label": "entailment"}]}', [E, N]),
        ('{"labels": [{"item": "2", "label": "neutral"}, {"item": "1", "label": "entailment"}]}', [E, N]),
        ('[{"index": 0, "label": "entailment"}, {"index": 1, "label": "neutral"}]', [E, N]),
        ('[{"event": "a", "relationship": "Entailment"}, {"event": "b", "relationship": " CONTRADICTION. "}]', [E, C]),
        ("[{'event': 'neutral', 'relationship': 'entailment'}, {'event': 'b', 'relationship': 'neutral'}]", [E, N]),
        ('["entailment", "contradiction"]', [E, C]),
        ('{"1": "entailment", "2": "neutral"}', [E, N]),
        ('{"1": {"label": "entailment"}, "2": {"label": "neutral"}}', [E, N]),
        ('{"labels": [{"a": "entailment", "sure": True,}, {"a": "neutral", "sure": False,},]', [E, N]),
        ('"labels": [{"x": "entailment"}, {"x": "neutral"}]', [E, N]),
        # Numbers that are not 1 to 2 each once say nothing; the order does.
        ('[{"item": 7, "label": "entailment"}, {"item": 7, "label": "neutral"}]', [E, N]),
        ('[{"item": 1, "label": "entailment"}, {"item": 3, "label": "neutral"}]', [E, N]),
    ],
)
def test_labels_are_read_from(reply: str, labels: list[str]) -> None:
    assert [label for label, _ in read_labels(reply, count=2)] == labels


def test_reasons_come_along_and_one_label_may_come_alone() -> None:
    assert read_labels('{"label": "neutral", "reason": "not\\n told"}', count=1) == [[N, "not told"]]


@pytest.mark.parametrize(
    ("reply", "said"),
    [
        ('["entailment"]', "1 labels for 2"),
        ('["entailment", "neutral", "neutral"]', "3 labels for 2"),
        ("[]", "0 labels for 2"),
        ('["entailment", "maybe"]', "one of entailment, neutral, contradiction"),
        ('["entailment", "entails"]', "one of entailment"),
        ('["entailment", null]', "one of entailment"),
        ('["entailment", 1]', "one of entailment"),
        ('[{"label": "entailment"}, {"label": "yes"}]', "one of entailment"),
        ('[{"label": "entailment"}, {"a": "neutral", "b": "contradiction"}]', "one of entailment"),
        ('[{"label": "entailment"}, {}]', "one of entailment"),
        ('[{"label": "entailment"}, {"label": "neut', "cut off"),
        ("entailment, neutral", "no JSON"),
        ('{"label": "entailment"}', "must be one list"),
    ],
)
def test_labels_cannot_be_read_from(reply: str, said: str) -> None:
    with pytest.raises(Unreadable, match=said):
        read_labels(reply, count=2)


@pytest.mark.parametrize(
    ("reply", "correct", "score"),
    [
        ('{"correct": "yes", "score": 5}', True, 5),
        ("{'pred': 'no', 'score': 2}", False, 2),
        ("{'pred': 'Yes.', 'score': '4.8'}", True, 4.8),
        ('```json\n{"Correct": true, "SCORE": 0, "reason": "x"}\n```', True, 0),
        ("{'correct': False, 'score': 1,}", False, 1),
        ('{"correct": "no", "score": 3', False, 3),
        ('The answer is right: {"correct": "correct", "score": 5.0}', True, 5),
    ],
)
def test_grades_are_read_from(reply: str, correct: bool, score: float) -> None:
    read = registry.module("judges", "answers").read_grade(reply)
    assert (read["correct"], read["score"]) == (correct, score)


@pytest.mark.parametrize(
    ("reply", "said"),
    [
        ("yes", "no JSON"),
        ('["yes", 5]', "one JSON object"),
        ('{"correct": "perhaps", "score": 5}', '"yes" or "no"'),
        ('{"score": 5}', '"yes" or "no"'),
        ('{"correct": 1, "score": 5}', '"yes" or "no"'),
        ('{"correct": "yes"}', "from 0 to 5"),
        ('{"correct": "yes", "score": 6}', "from 0 to 5"),
        ('{"correct": "yes", "score": -1}', "from 0 to 5"),
        ('{"correct": "yes", "score": true}', "from 0 to 5"),
        ('{"correct": "yes", "score": NaN}', "from 0 to 5"),
        ('{"correct": "yes", "score": "high"}', "from 0 to 5"),
        ('{"correct": "yes", "score": [5]}', "from 0 to 5"),
    ],
)
def test_grades_cannot_be_read_from(reply: str, said: str) -> None:
    with pytest.raises(Unreadable, match=said):
        registry.module("judges", "answers").read_grade(reply)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**15), 10**15) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)


@given(st.lists(json_values, max_size=4) | st.dictionaries(st.text(), json_values, max_size=4))
def test_true_json_is_read_as_json_reads_it(value: Any) -> None:
    assert read_value("Here: " + json.dumps(value) + " .", lambda read: read) == value


plain = st.text("abc '\",.é日\n", max_size=8).filter(lambda text: "'" not in text and "\\" not in text)


@given(
    st.dictionaries(plain, st.lists(plain | st.booleans() | st.none() | st.integers(0, 999), max_size=3), max_size=3)
)
def test_a_python_dict_is_read_as_python_reads_it(value: dict[str, Any]) -> None:
    assert read_value(str(value), lambda read: read) == value


@given(st.text("{}[]'\",: ab1\\u`tTrue", max_size=60))
def test_no_reply_breaks_the_reader(reply: str) -> None:
    for read in (read_facts, lambda text: read_labels(text, count=2), registry.module("judges", "answers").read_grade):
        try:
            read(reply)
        except Unreadable as error:
            assert error.reason and "\n" not in error.reason


# Conversations


def test_autodq_asks_three_times_and_each_time_shows_the_right_text() -> None:
    def reply(ask: Ask) -> str:
        if ask.name == "events predicted":
            return '{"events": ["A man opens a door.", "A cat runs out."]}'
        return label_all("entailment", 2) if ask.name == "events recall" else '["entailment", "contradiction"]'

    judging = judge_called("events")
    verdict, asked = talk(judging, row(events=GOLD), reply)
    assert [ask.name for ask in asked] == ["events predicted", "events recall", "events precision"]
    extract, recall, precision = (ask.text for ask in asked)
    assert CAPTION in extract and REFERENCE not in extract
    assert CAPTION in recall and REFERENCE not in recall and "2. A dog runs out." in recall
    assert REFERENCE in precision and CAPTION not in precision and "2. A cat runs out." in precision
    assert verdict["events"]["gold"] == GOLD
    assert verdict["events"]["predicted"] == ["A man opens a door.", "A cat runs out."]
    assert verdict["events"]["recall"] == [E, E]
    assert verdict["events"]["precision"] == [E, C]
    assert verdict["events"]["reasons"]["recall"] == ["so", "so"]
    assert judging.calls(row(events=GOLD).item) == 3


def test_capst_asks_six_times_with_gold_lists_and_eight_without() -> None:
    def reply(ask: Ask) -> str:
        if ask.name.endswith(("predicted", "gold")):
            return '["One thing is.", "Another is."]'
        return label_all("neutral", 2)

    judging = judge_called("facts")
    with_lists = row(events=GOLD, objects=["There is a door.", "There is a dog."])
    for about, count in ((with_lists, 6), (row(events=GOLD), 7), (row(), 8)):
        verdict, asked = talk(judging, about, reply)
        assert len(asked) == judging.calls(about.item) == count
        assert set(verdict) == {"events", "objects"}
        assert verdict["objects"]["recall"] == [N, N]
    golds = [ask for ask in asked if ask.name.endswith("gold")]
    assert all(REFERENCE in ask.text and CAPTION not in ask.text for ask in golds)


def test_no_gold_events_no_question_about_them() -> None:
    verdict, asked = talk(
        judge_called("events"),
        row(events=[]),
        lambda ask: '["A man opens a door."]' if "predicted" in ask.name else '["entailment"]',
    )
    assert [ask.name for ask in asked] == ["events predicted", "events precision"]
    assert verdict["events"]["recall"] == [] and verdict["events"]["precision"] == [E]


def test_a_caption_of_no_events_is_not_asked_for_precision() -> None:
    verdict, asked = talk(
        judge_called("events"),
        row(events=GOLD),
        lambda ask: "[]" if "predicted" in ask.name else label_all("neutral", 2),
    )
    assert [ask.name for ask in asked] == ["events predicted", "events recall"]
    assert verdict["events"]["precision"] == []


@pytest.mark.parametrize("text", ["", "  \n"])
def test_an_empty_caption_tells_nothing_and_costs_nothing(text: str) -> None:
    verdict, asked = talk(judge_called("events"), row(text, events=GOLD), lambda ask: "never")
    assert not asked
    assert verdict["events"]["recall"] == [N, N] and verdict["events"]["predicted"] == []


def test_a_gold_event_that_stands_twice_is_asked_once_and_counts_twice() -> None:
    verdict, asked = talk(
        judge_called("events"),
        row(events=["A dog runs.", "A man waits.", "A dog runs."]),
        lambda ask: "[]" if "predicted" in ask.name else '["entailment", "neutral"]',
    )
    assert "3." not in asked[-1].text
    assert verdict["events"]["recall"] == [E, N, E]


def test_what_a_judge_says_can_be_scored() -> None:
    about = row(events=GOLD)
    verdict, _ = talk(
        judge_called("events"),
        about,
        lambda ask: (
            '["A cat runs."]' if "predicted" in ask.name else label_all("entailment", 2 if "recall" in ask.name else 1)
        ),
    )
    from longshot.items import Verdict

    judged = Row(about.item, about.prediction, Verdict("a", State.DONE, dict(verdict)))
    assert [score.value for score in metric.scores([judged])[:3]] == [100.0, 100.0, 100.0]


def test_open_answers() -> None:
    judging = judge_called("answers")
    about = row("a dog", ask="What runs out?", answers=["dog", "puppy"])
    verdict, asked = talk(judging, about, lambda ask: '{"correct": "yes", "score": 4, "reason": "same"}')
    assert verdict == {"correct": True, "score": 4, "reason": "same"}
    assert all(word in asked[0].text for word in ("What runs out?", "dog / puppy", "a dog"))
    verdict, asked = talk(judging, row(" ", answers=["dog"]), lambda ask: "never")
    assert not asked and verdict["correct"] is False and verdict["score"] == 0


def test_what_stands_in_a_caption_is_not_filled_in() -> None:
    judging = judge_called("events")
    (ask,) = judging.asks(row("Costs $5, $text and ${statements}."), {"events gold": []})
    assert "Costs $5, $text and ${statements}." in ask.text


# Words of one's own


def test_prompts_are_replaced_from_a_folder(tmp_path: Path) -> None:
    (tmp_path / "entail.txt").write_text("# the words of a paper\nText: $text\nEvents: $statements\n")
    (tmp_path / "grade-answer.txt").write_text("$question $answers $prediction")
    (tmp_path / "grade-answer.system.txt").write_text("You judge.")
    judging = judge_called("events", tmp_path)
    asks = judging.asks(row(events=GOLD), {"events predicted": []})
    assert [ask.text for ask in asks] == [f"Text: {CAPTION}\nEvents: 1. {GOLD[0]}\n2. {GOLD[1]}"]
    assert judging.name.startswith("events (extract-events.1, entail (own, ")
    assert str(tmp_path) not in judging.name
    before = judging.name
    (tmp_path / "entail.txt").write_text("Other words: $text $statements")
    assert judge_called("events", tmp_path).name != before
    (ask,) = judge_called("answers", tmp_path).asks(row(ask="Why?", answers=["so"]), {})
    assert (ask.system, ask.text) == ("You judge.", f"Why? so {CAPTION}")


@pytest.mark.parametrize(
    ("files", "said"),
    [
        ({"entail.txt": "Is it told? $statements"}, r"the place \$text is missing; it must have \$text, \$statements"),
        ({"entail.txt": "$text $statements $video"}, r"the place \$video is not known"),
        ({"entails.txt": "$text $statements"}, r"no such prompt: .*did you mean entail.txt\?"),
        ({"entail.txt": "# nothing"}, "is empty"),
        ({"notes.md": "x"}, "no prompt is there"),
        ({"entail.txt": "5$ for $text $statements"}, r"a dollar sign is written \$\$"),
    ],
)
def test_prompts_that_cannot_be_used(tmp_path: Path, files: dict[str, str], said: str) -> None:
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    with pytest.raises(UsageError, match=said):
        judge_called("events", tmp_path).asks(row(events=GOLD), {"events predicted": []})
    with pytest.raises(UsageError, match="no such folder"):
        judge_called("events", tmp_path / "nowhere")


# Clauses


@pytest.mark.parametrize(
    ("text", "clauses"),
    [
        ("", []),
        ("A dog runs.", ["A dog runs."]),
        (
            "A man opens a door, and a dog runs out. The dog barks; the man laughs.",
            ["A man opens a door", "a dog runs out.", "The dog barks", "the man laughs."],
        ),
        ("A man sits down and then he reads a book.", ["A man sits down", "he reads a book."]),
        ("Salt and pepper are ground.", ["Salt and pepper are ground."]),
        ("A man waves, and smiles.", ["A man waves, smiles."]),
        ("A dog runs. A DOG runs.", ["A dog runs."]),
    ],
)
def test_clauses(text: str, clauses: list[str]) -> None:
    assert clauses_of(text) == clauses


def test_sentences_and_what_is_static() -> None:
    assert sentences_of('He says "Go!" A dog runs.\nIt rains') == ['He says "Go!', "A dog runs.", "It rains"]
    for clause in ("The car is red", "There is a dog", "She wears a hat", "There is a man running"):
        assert is_static(clause)
    for clause in ("The car is turning", "A dog runs", "The car is slowly turning"):
        assert not is_static(clause)


# The offline judge


class Overlap:
    """A model of inference that knows words: entailed if all are there, contradicted by "no"."""

    def __init__(self, limit: int = 0) -> None:
        self.limit = limit
        self.asked: list[tuple[str, str]] = []

    def count(self, text: str) -> int:
        return len(text.split())

    def probabilities(self, pairs: Sequence[tuple[str, str]]) -> NDArray[np.float64]:
        self.asked += pairs
        return np.array([self._one(*pair) for pair in pairs])

    def _one(self, premise: str, statement: str) -> list[float]:
        there, wanted = ({word.strip(".,") for word in text.casefold().split()} for text in (premise, statement))
        return [0.8, 0.1, 0.1] if wanted <= there else [0.1, 0.1, 0.8] if "no" in there else [0.1, 0.7, 0.2]


def nli(scorer: Overlap, parts: Sequence[str] = ("events",)) -> Any:
    pytest.importorskip("sentence_transformers")
    return registry.module("judges", "nli").NliJudge(scorer, "stub", parts)


def test_offline_recall_and_precision() -> None:
    scorer = Overlap()
    about = row("A man opens a door. A cat sleeps.", events=["A man opens a door.", "A dog barks.", "A dog barks."])
    (verdict,) = nli(scorer).decide([about])
    assert verdict.state is State.DONE
    assert verdict.value["events"]["recall"] == [E, N, N]
    assert verdict.value["events"]["predicted"] == ["A man opens a door.", "A cat sleeps."]
    assert verdict.value["events"]["precision"] == [E, N]
    assert verdict.value["events"]["reasons"]["recall"][0] == "0.80"
    assert len(scorer.asked) == len(set(scorer.asked)) == 4


def test_offline_parts_and_gold_from_the_reference() -> None:
    about = Row(
        Item("a", "v", gold={"references": ["The car is red. The car turns."]}),
        Prediction("a", State.DONE, "The car is red. No dog barks."),
    )
    (verdict,) = nli(Overlap(), ("events", "objects")).decide([about])
    assert verdict.value["objects"]["gold"] == verdict.value["objects"]["predicted"] == ["The car is red."]
    assert verdict.value["objects"]["precision"] == [E]
    assert verdict.value["events"]["gold"] == ["The car turns."]
    assert verdict.value["events"]["recall"] == [C]


def test_offline_an_empty_caption_asks_nothing() -> None:
    scorer = Overlap()
    (verdict,) = nli(scorer).decide([row("", events=GOLD)])
    assert verdict.value["events"]["recall"] == [N, N] and not scorer.asked


def test_a_long_premise_is_looked_at_in_windows() -> None:
    scorer = Overlap(limit=64 + 8)  # eight words of a premise
    text = "A man opens a door. A dog runs out. The sun sets slowly. No bird sings here."
    (verdict,) = nli(scorer).decide([row(text, events=["A dog runs out.", "The moon rises."])])
    windows = list(dict.fromkeys(premise for premise, fact in scorer.asked if fact == "The moon rises."))
    assert windows == ["A man opens a door.", "A dog runs out. The sun sets slowly.", "No bird sings here."]
    assert verdict.value["events"]["recall"] == [E, C]


def test_many_rows_come_back_in_order() -> None:
    rows = [row(f"Dog {place} runs.", id=str(place), events=[f"Dog {place % 20} runs."]) for place in range(40)]
    verdicts = list(nli(Overlap()).decide(rows))
    assert [verdict.id for verdict in verdicts] == [str(place) for place in range(40)]
    assert [verdict.value["events"]["recall"][0] == E for verdict in verdicts] == [place < 20 for place in range(40)]


@pytest.mark.parametrize(
    ("labels", "columns"),
    [
        ({"0": "contradiction", "1": "entailment", "2": "neutral"}, [1, 2, 0]),
        ({0: "ENTAILMENT", 1: "NEUTRAL", 2: "CONTRADICTION"}, [0, 1, 2]),
        ({"2": "entailment", "0": "contradicts", "1": "neutral"}, [2, 1, 0]),
    ],
)
def test_columns_are_put_in_our_order(labels: dict[Any, str], columns: list[int]) -> None:
    pytest.importorskip("sentence_transformers")
    assert registry.module("judges", "nli").columns_of(labels, "m") == columns


@pytest.mark.parametrize(
    "labels",
    [
        None,
        {},
        {"0": "LABEL_0", "1": "LABEL_1", "2": "LABEL_2"},
        {"0": "entailment", "1": "not_entailment"},
        {"0": "entailment", "1": "neutral", "2": "entailment"},
        {"0": "entailment", "1": "neutral", "2": "contradiction", "3": "other"},
    ],
)
def test_a_model_whose_labels_are_not_known_is_refused(labels: Any) -> None:
    pytest.importorskip("sentence_transformers")
    with pytest.raises(ModelError, match="must name the labels entailment, neutral, contradiction"):
        registry.module("judges", "nli").columns_of(labels, "m")


def cross_encoder(folder: Path, labels: Sequence[str], *, bias: Sequence[float] | None = None, limit: int = 64) -> Path:
    """A tiny BERT with three logits. bias: make the logits these, whatever it reads."""
    import torch
    from transformers import BertConfig, BertForSequenceClassification

    from tests.tiny.folders import seeded
    from tests.tiny.sentence_transformers import tokenizer

    config = BertConfig(
        hidden_size=24,
        intermediate_size=40,
        num_hidden_layers=2,
        num_attention_heads=3,
        vocab_size=len(tokenizer()),
        max_position_embeddings=limit,
        hidden_dropout_prob=0.0,
        attention_probs_dropout_prob=0.0,
        num_labels=len(labels),
        id2label=dict(enumerate(labels)),
        label2id={label: place for place, label in enumerate(labels)},
    )
    model = seeded(BertForSequenceClassification, config, seed=3, scale=0.4)
    if bias is not None:
        with torch.no_grad():
            model.classifier.weight.zero_()
            model.classifier.bias.copy_(torch.tensor(bias))
    model.save_pretrained(folder)
    tokenizer().save_pretrained(folder)
    return folder


def test_a_cross_encoder_end_to_end(tmp_path: Path) -> None:
    pytest.importorskip("sentence_transformers")
    from sentence_transformers import CrossEncoder

    # Its second column is the largest by its bias, and that column is named entailment.
    sure = cross_encoder(tmp_path / "sure", ("contradiction", "entailment", "neutral"), bias=[0.0, 3.0, 1.0])
    judging = registry.module("judges", "nli").load(str(sure), of="events")
    (verdict,) = judging.decide([row(events=GOLD)])
    assert verdict.value["events"]["recall"] == [E, E]
    softmax = np.exp(3.0) / (np.exp(0.0) + np.exp(3.0) + np.exp(1.0))
    assert verdict.value["events"]["reasons"]["recall"] == [f"{softmax:.2f}"] * 2
    assert "nli events (clauses.1), " in judging.name and "@" in judging.name

    # Random weights: equal to what the package computes by itself.
    other = cross_encoder(tmp_path / "other", ("neutral", "contradiction", "entailment"))
    scorer = registry.module("judges", "nli").load(str(other), of="facts")._scorer
    pairs = [("A man opens a door.", "A door opens."), ("It rains.", "A dog runs out of the house."), ("a", "b")]
    theirs = CrossEncoder(str(other), device="cpu").predict(pairs, apply_softmax=True, show_progress_bar=False)
    np.testing.assert_allclose(scorer.probabilities(pairs), theirs[:, [2, 0, 1]], atol=1e-6)
    assert scorer.limit == 64

    with pytest.raises(UsageError, match="answers cannot be judged offline"):
        registry.module("judges", "nli").load(str(sure), of="answers")
    with pytest.raises(ModelError, match="it has: LABEL_0"):
        registry.module("judges", "nli").load(str(cross_encoder(tmp_path / "bad", ("LABEL_0", "LABEL_1", "LABEL_2"))))

    from safetensors.torch import load_file, save_file

    held = load_file(sure / "model.safetensors")
    del held["classifier.weight"]
    save_file(held, sure / "model.safetensors", {"format": "pt"})
    with pytest.raises(ModelError, match=r"1 weights are missing \(classifier.weight\)"):
        registry.module("judges", "nli").load(str(sure))
    # An older file's names of layer norms.
    older = cross_encoder(tmp_path / "older", ("neutral", "contradiction", "entailment"))
    held = load_file(older / "model.safetensors")
    renamed = {key.replace("LayerNorm.weight", "LayerNorm.gamma"): value for key, value in held.items()}
    assert renamed.keys() != held.keys()
    save_file(renamed, older / "model.safetensors", {"format": "pt"})
    again = registry.module("judges", "nli").load(str(older), of="facts")._scorer
    np.testing.assert_allclose(again.probabilities(pairs), scorer.probabilities(pairs), atol=1e-6)

    pickled = cross_encoder(tmp_path / "pickled", ("neutral", "contradiction", "entailment"))
    (pickled / "model.safetensors").rename(pickled / "pytorch_model.bin")
    with pytest.raises(ModelError, match="pickle"):
        registry.module("judges", "nli").load(str(pickled))
