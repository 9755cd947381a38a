"""A chat model behind an address: what is sent, what comes back, and everything a server can do wrong."""

from __future__ import annotations

import base64
import email.utils
import io
import json
import logging
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any

import av
import numpy as np
import pytest

from longshot.chat_models import _endpoint_http as http
from longshot.chat_models import endpoint
from longshot.chat_models._endpoint_media import jpegs, metadata, mp4, probe_clip
from longshot.chat_models._endpoint_replies import Thoughts
from longshot.contracts import ChatModel, Exchange, Finish, Frames, Prompt, Reply
from longshot.errors import ModelError, UsageError
from longshot.models import open_chat_model
from tests.fake_server import Answer, FakeServer, error
from tests.videos import paint_number, read_number

KEY = "sk-very-secret-0123456789"


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http, "FIRST_WAIT", 0.01)
    for name in ("OPENAI_API_KEY", "OPENAI_BASE_URL", "OPENAI_API_BASE"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def server() -> Iterator[FakeServer]:
    with FakeServer() as running:
        yield running


def opened(server: FakeServer, **settings: Any) -> endpoint.Endpoint:
    return endpoint.load(server.address, settings={"video": "images"} | settings)


def said(server: FakeServer, *answers: Answer, **settings: Any) -> Reply:
    """What one prompt gets when the server answers so."""
    model = opened(server, **settings)
    server.script = list(answers)
    return model.generate([Prompt("what is it?")])[0]


def clip(*numbers: int, times: tuple[float, ...] = (), size: tuple[int, int] = (96, 64)) -> Frames:
    pixels = np.stack([paint_number(number, size) for number in numbers])
    return Frames(pixels, np.array(times or [float(k) for k in range(len(numbers))]))


def decoded(file: bytes) -> list[tuple[float | None, np.ndarray]]:
    with av.open(io.BytesIO(file)) as container:
        return [(frame.time, frame.to_ndarray(format="rgb24")) for frame in container.decode(video=0)]


def picture_in(part: dict[str, Any]) -> int | None:
    head, _, data = part["image_url"]["url"].partition(",")
    assert head == "data:image/jpeg;base64"
    return read_number(decoded(base64.b64decode(data))[0][1])


# What is sent


def test_a_plain_request(server: FakeServer) -> None:
    model = opened(server)
    reply = model.generate([Prompt("what is it?", system="Be brief.", history=(Exchange("hello", "hi"),))])[0]
    assert reply == Reply("fine", tokens_in=10, tokens_out=5)
    assert server.bodies == [
        {
            "model": "tiny",
            "messages": [
                {"role": "system", "content": "Be brief."},
                {"role": "user", "content": "hello"},
                {"role": "assistant", "content": "hi"},
                {"role": "user", "content": "what is it?"},
            ],
            "max_tokens": 512,
            "temperature": 0.0,
            "seed": 0,
        }
    ]
    assert isinstance(model, ChatModel)
    assert (model.batch, model.slots, model.context) == (1, 20, 0)


def test_every_prompt_gets_its_own_reply(server: FakeServer) -> None:
    server.answer = lambda body: Answer(body["messages"][0]["content"].upper())
    replies = opened(server).generate([Prompt("a"), Prompt("b"), Prompt("c")])
    assert [reply.text for reply in replies] == ["A", "B", "C"]
    assert opened(server).generate([]) == []


def test_frames_belong_to_the_first_turn_and_come_before_its_words(server: FakeServer) -> None:
    frames = clip(3, 4, times=(12.4, 600.0))
    opened(server).generate([Prompt("and now?", frames=frames, history=(Exchange("what?", "that"),))])
    first, _, last = server.bodies[0]["messages"]
    assert [part.get("text") for part in first["content"]] == ["<12.4 seconds>", None, "<600.0 seconds>", None, "what?"]
    assert [picture_in(first["content"][k]) for k in (1, 3)] == [3, 4]
    assert last["content"] == "and now?"


def test_a_single_frame_is_an_image_in_every_way(server: FakeServer) -> None:
    for way in ("jpegs", "mp4", "images"):
        opened(server, video=way).generate([Prompt("what?", frames=clip(7, times=(3.0,)))])
        content = server.bodies[-1]["messages"][0]["content"]
        assert [part["type"] for part in content] == ["image_url", "text"]
        assert picture_in(content[0]) == 7
        assert "media_io_kwargs" not in server.bodies[-1]


def test_jpegs_with_their_times(server: FakeServer) -> None:
    times = (600.0, 602.5, 603.013)
    opened(server, video="jpegs").generate([Prompt("what?", frames=clip(5, 6, 7, times=times))])
    body = server.bodies[0]
    video, text = body["messages"][0]["content"]
    head, *files = video["video_url"]["url"].split(",")
    assert head == "data:video/jpeg;base64"
    assert [read_number(decoded(base64.b64decode(file))[0][1]) for file in files] == [5, 6, 7]
    assert text == {"type": "text", "text": "what?"}
    told = body["media_io_kwargs"]["video"]
    assert [index / told["fps"] for index in told["frames_indices"]] == list(times)
    assert (told["num_frames"], told["do_sample_frames"]) == (3, False)
    assert told["total_num_frames"] / told["fps"] == told["duration"] == 604.52  # 603.013 and half of 3.013


def test_metadata_of_one_moment_and_of_none() -> None:
    assert metadata([0.0, 0.0, 0.0])["total_num_frames"] == 3, "never fewer than are sent"
    assert metadata([2.0])["duration"] == 3.0
    for times in ([0.0, 0.04], [1.5, 1.5], [7199.999, 7200.0]):
        told = metadata(times)
        assert max(told["frames_indices"]) < told["total_num_frames"]


def test_a_small_mp4_with_its_times(server: FakeServer) -> None:
    times = (600.0, 602.5, 603.013)
    opened(server, video="mp4").generate([Prompt("what?", frames=clip(5, 6, 7, times=times, size=(97, 65)))])
    body = server.bodies[0]
    video, line, text = body["messages"][0]["content"]
    head, _, data = video["video_url"]["url"].partition(",")
    shown = decoded(base64.b64decode(data))
    assert head == "data:video/mp4;base64"
    assert [second for second, _ in shown] == list(times)
    assert [read_number(pixels) for _, pixels in shown] == [5, 6, 7]
    assert body["media_io_kwargs"] == {"video": {"num_frames": 3}}
    assert (line["text"], text["text"]) == ("The frames are at 600.0, 602.5, 603.013 seconds.", "what?")


def test_times_that_a_file_tells_by_itself_are_not_told_again(server: FakeServer) -> None:
    opened(server, video="mp4").generate([Prompt("what?", frames=clip(5, 6, 7, times=(0.0, 0.5, 1.0)))])
    assert len(server.bodies[0]["messages"][0]["content"]) == 2


def test_an_mp4_keeps_every_time_to_the_microsecond() -> None:
    times = np.cumsum(np.random.default_rng(3).uniform(0.001, 30, 24)).round(6)
    pixels = np.stack([paint_number(k, (64, 64)) for k in range(24)])
    shown = decoded(mp4(pixels, list(times)))
    assert [second for second, _ in shown] == pytest.approx(list(times), abs=1e-6)
    assert [read_number(picture) for _, picture in shown] == list(range(24))
    assert [read_number(picture) for _, picture in decoded(mp4(pixels[:2], [4.0, 4.0]))] == [0, 1]


def test_jpegs_are_finer_with_more_quality_and_keep_odd_sizes() -> None:
    rng = np.random.default_rng(0)
    ramp = np.add.outer(np.arange(63), np.arange(95))[None, ..., None].repeat(3, -1) * 255 // 156
    pixels = np.clip(ramp + rng.integers(-20, 20, ramp.shape), 0, 255).astype(np.uint8)
    sizes, errors = [], []
    for quality in (10, 50, 90, 100):
        (file,) = jpegs(pixels, quality=quality)
        sizes.append(len(file))
        errors.append(np.abs(decoded(file)[0][1].astype(int) - pixels[0]).mean())
    assert sizes == sorted(sizes) and errors == sorted(errors, reverse=True)
    assert decoded(file)[0][1].shape == (63, 95, 3)


def test_frames_are_scaled_down_to_a_side(server: FakeServer) -> None:
    for size, side, fitted in (((96, 64), 48, (32, 48)), ((64, 96), 48, (48, 32)), ((96, 64), 500, (64, 96))):
        opened(server, side=side).generate([Prompt("?", frames=clip(9, size=size))])
        url = server.bodies[-1]["messages"][0]["content"][0]["image_url"]["url"]
        picture = decoded(base64.b64decode(url.partition(",")[2]))[0][1]
        assert picture.shape[:2] == fitted
        assert read_number(picture) == 9


def test_no_frames_is_no_picture(server: FakeServer) -> None:
    none = Frames(np.empty((0, 4, 4, 3), np.uint8), np.empty(0))
    opened(server).generate([Prompt("?", frames=none)])
    assert server.bodies[0]["messages"] == [{"role": "user", "content": "?"}]


def test_vllm_is_told_which_pictures_it_has_seen_and_others_are_not(server: FakeServer) -> None:
    frames, later = clip(1, 2), clip(1, 2, times=(5.0, 6.0))
    opened(server, video="jpegs").generate([Prompt("?", frames=frames)])
    assert "uuid" not in json.dumps(server.bodies)
    server.models = {"data": [{"id": "tiny", "owned_by": "vllm", "max_model_len": 8192}]}
    for way in ("jpegs", "images"):
        model = opened(server, video=way)
        assert model.context == 8192
        model.generate([Prompt("?", frames=one) for one in (frames, frames, later)])
    marks = [[part.get("uuid") for part in body["messages"][0]["content"]] for body in server.bodies[1:]]
    assert marks[0] == marks[1] and marks[0][0]
    assert marks[2][0] != marks[0][0], "a server keeps the times with the pictures"
    assert marks[3] == marks[4] == marks[5], "an image has no time of its own"
    assert marks[3][1] != marks[3][3]


# Settings and addresses


def test_settings_reach_the_request_and_those_that_change_replies_the_source(server: FakeServer) -> None:
    model = opened(
        server,
        **{"max_new_tokens": "64", "temperature": "0.5", "top_p": 0.9, "seed": 3, "slots": 4, "extra.top_k": "20"},
        **{"extra.chat_template_kwargs": '{"enable_thinking": false}', "extra.user": "me"},
    )
    model.generate([Prompt("?")])
    body = server.bodies[0]
    assert {name: body[name] for name in ("max_tokens", "temperature", "top_p", "seed", "top_k", "user")} == {
        **{"max_tokens": 64, "temperature": 0.5, "top_p": 0.9, "seed": 3, "top_k": 20, "user": "me"}
    }
    assert body["chat_template_kwargs"] == {"enable_thinking": False}
    assert model.source.settings == {
        **{"max_new_tokens": 64, "temperature": 0.5, "top_p": 0.9, "seed": 3, "video": "images"},
        **{"extra.chat_template_kwargs": {"enable_thinking": False}, "extra.top_k": 20, "extra.user": "me"},
    }
    assert model.source.model == f"{server.address}#tiny"
    assert model.slots == 5, "one more than requests, to have the next one ready"


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"max_tokens": 3}, "did you mean max_new_tokens"),
        ({"temprature": 3}, "did you mean temperature"),
        ({"extra.messages": []}, "messages is filled in here"),
        ({"extra.": 1}, "an empty field"),
        ({"slots": 0}, "slots is at least 1"),
        ({"slots": 2.5}, "slots is a whole number"),
        ({"temperature": "warm"}, "temperature is a number"),
        ({"temperature": float("nan")}, "temperature is a number"),
        ({"temperature": True}, "temperature is a number"),
        ({"top_p": 1.5}, "top_p is a share"),
        ({"quality": 101}, "quality is at most 100"),
        ({"video": "gif"}, "there are auto, jpegs, mp4, images, none"),
        ({"video": 3}, "video is a word"),
        ({"budget": 1}, "a budget needs prices"),
    ],
)
def test_a_setting_that_cannot_be_meant(settings: dict[str, Any], words: str) -> None:
    with pytest.raises(UsageError, match=words):
        endpoint.load("http://127.0.0.1:9/v1#m", settings=settings)


@pytest.mark.parametrize(
    "name",
    ["http://", "http://:80/v1", "http://h:port/v1", "http://[::1/v1", f"http://me:{KEY}@h/v1", "http://h/v1?k=1"],
)
def test_an_address_that_cannot_be_meant(name: str) -> None:
    with pytest.raises(UsageError) as caught:
        endpoint.load(name)
    assert KEY not in str(caught.value)


def test_the_one_model_is_found_and_several_are_listed(server: FakeServer) -> None:
    assert opened(server).source.model == f"{server.address}#tiny"
    server.models = {"data": [{"id": "a/b"}, {"id": "c"}]}
    with pytest.raises(UsageError, match=f"has 2 models, name one of them: {server.address}#a/b, {server.address}#c"):
        opened(server)
    assert endpoint.load(f"{server.address}/#c", settings={"video": "none"}).source.model == f"{server.address}#c"
    server.models = {"data": []}
    with pytest.raises(UsageError, match="lists no model: name one"):
        opened(server)


def test_a_name_without_an_address_goes_to_the_server_of_the_environment(
    server: FakeServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(UsageError, match="set OPENAI_BASE_URL"):
        open_chat_model("endpoint:gpt-x")
    monkeypatch.setenv("OPENAI_API_BASE", server.address + "/")
    model = open_chat_model("endpoint:gpt-x", settings={"video": "none"})
    assert model.generate([Prompt("?")])[0].text == "fine"
    assert server.bodies[0]["model"] == "gpt-x"
    monkeypatch.setenv("OPENAI_BASE_URL", "http://127.0.0.1:9/v1")
    with pytest.raises(ModelError, match=r"127\.0\.0\.1:9/v1"):
        open_chat_model("endpoint:gpt-x", settings={"video": "none"})


@pytest.mark.parametrize("status", [404, 405, 500, 501])
def test_a_server_that_keeps_no_list_can_be_asked_by_name(server: FakeServer, status: int) -> None:
    server.models_answer = error(status, "no list here")
    assert endpoint.load(f"{server.address}#m", settings={"video": "none"}).generate([Prompt("?")])[0].text == "fine"
    with pytest.raises(ModelError, match="no list here"):
        opened(server)


@pytest.mark.parametrize("row", [{"max_model_len": 4096}, {"context_length": 4096}, {"context_window": 4096}])
def test_the_context_that_a_list_tells(server: FakeServer, row: dict[str, Any]) -> None:
    server.models = {"data": [{"id": "tiny"} | row]}
    assert opened(server).context == 4096


def test_a_count_of_tokens_is_never_low(server: FakeServer) -> None:
    model = opened(server)
    assert model.count_tokens("") == 0
    assert model.count_tokens("a cat") == 6
    assert model.count_tokens("狗 🐕") == 9
    assert model.count_tokens("\ud800") == 4


# The key


def test_the_key_is_sent_and_shown_nowhere(
    server: FakeServer, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    monkeypatch.setenv("OPENAI_API_KEY", KEY + "\n")
    model = opened(server)
    server.script = [error(400, f"Incorrect key {KEY} given"), Answer(raw=KEY.encode()), Answer(raw=KEY.encode())]
    server.script += [Answer(raw=KEY.encode()), Answer(raw=json.dumps({"error": f"not {KEY}"}).encode())]
    replies = model.generate([Prompt("?")] * 3)
    assert [reply.finish for reply in replies] == [Finish.FAILED] * 3
    server.script = [error(401, f"Incorrect key {KEY} given")]
    with pytest.raises(ModelError, match="set OPENAI_API_KEY") as caught:
        model.generate([Prompt("?")])
    assert server.keys == [f"Bearer {KEY}"] * len(server.keys)
    chain = [caught.value, caught.value.__cause__]
    for text in (repr(model), repr(model.source), repr(replies), *map(repr, chain), *map(str, chain), caplog.text):
        assert KEY not in text and "secret" not in text


def test_the_key_does_not_follow_to_another_host(server: FakeServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    with FakeServer() as other:
        model = opened(server)
        server.script = [Answer(status=307, headers={"Location": f"{other.address}/chat/completions"})]
        assert model.generate([Prompt("?")])[0].text == "fine"
        assert len(other.bodies) == 1
        assert other.keys == [None]


def test_without_a_key_none_is_sent(server: FakeServer, monkeypatch: pytest.MonkeyPatch) -> None:
    opened(server).generate([Prompt("?")])
    assert set(server.keys) == {None}
    monkeypatch.setenv("OPENAI_API_KEY", "schlüssel")
    with pytest.raises(UsageError, match="characters that no key has") as caught:
        opened(server)
    assert "schl" not in str(caught.value)


# What comes back


THOUGHT = "<think>\nIs it a cat? It is.\n</think>\n\nA cat."


@pytest.mark.parametrize(
    ("answer", "reply"),
    [
        (Answer("  A cat.\n"), Reply("A cat.")),
        (Answer(""), Reply("")),
        (Answer("A", choice={"finish_reason": "length"}), Reply("A", Finish.LENGTH)),
        (Answer("A", choice={"finish_reason": None}), Reply("A")),
        (
            Answer(message={"content": [{"type": "text", "text": "A "}, {"type": "text", "text": "cat."}]}),
            Reply("A cat."),
        ),
        (Answer(THOUGHT), Reply("A cat.")),
        (Answer("\n" + THOUGHT), Reply("A cat.")),
        (Answer("A <think> is a tag"), Reply("A <think> is a tag")),
        (Answer("A cat.", message={"reasoning_content": "hm"}), Reply("A cat.")),
        (Answer("A cat.", message={"reasoning": "hm"}), Reply("A cat.")),
        (
            Answer(None, message={"refusal": "I will\nnot."}),
            Reply("", Finish.REFUSED, "the model declined: I will not."),
        ),
        (
            Answer("A", choice={"finish_reason": "content_filter"}),
            Reply("A", Finish.REFUSED, "a content filter stopped the reply"),
        ),
    ],
)
def test_replies(server: FakeServer, answer: Answer, reply: Reply) -> None:
    got = said(server, answer)
    assert (got.text, got.finish, got.reason) == (reply.text, reply.finish, reply.reason)
    assert (got.tokens_in, got.tokens_out) == (10, 5)
    assert len(server.bodies) == 1


BROKEN = [
    (Answer(raw=b"<html><body>Gateway</body></html>"), "answers HTML, not JSON"),
    (Answer(raw=b'{"choices": [{"mess'), "torn JSON"),
    (Answer(raw=b""), "no JSON: nothing"),
    (Answer(raw=b"ok"), "no JSON: ok"),
    (Answer(raw=b"[" * 100_000), "torn JSON"),
    (Answer(raw=b"[1]"), "a list, not an object"),
    (Answer(raw=b"null"), "nothing, not an object"),
    (Answer(raw=b"{}"), "nothing where its choices should be"),
    (Answer(raw=b'{"choices": []}'), "no choice in it"),
    (Answer(raw=b'{"choices": {"a": 1}}'), "an object where its choices should be"),
    (Answer(raw=b'{"choices": ["a"]}'), "a text where a choice should be"),
    (Answer(raw=b'{"choices": [{"message": "a"}]}'), "a text where its message should be"),
    (Answer(raw=b'{"choices": [{"message": {"content": 3}}]}'), "a number where its text should be"),
    (Answer(raw=b'{"choices": [{"message": {"content": {}}}]}'), "an object where its text should be"),
    (Answer(None), "has no text"),
]


@pytest.mark.parametrize(("answer", "words"), BROKEN, ids=[words for _, words in BROKEN])
def test_what_is_no_reply_is_asked_for_twice_more_and_then_failed(
    server: FakeServer, answer: Answer, words: str
) -> None:
    got = said(server, answer, answer, answer)
    assert got.finish is Finish.FAILED and words in got.reason and "\n" not in got.reason
    assert len(server.bodies) == 3
    assert said(server, answer, Answer("at last")).text == "at last"


def test_a_broken_reply_is_paid_for(server: FakeServer) -> None:
    got = said(server, Answer(None), Answer("fine"), price_in=1e6, price_out=2e6)
    assert (got.tokens_in, got.tokens_out, got.cost) == (20, 10, 40.0)
    got = said(server, *[Answer(None)] * 3, price_in=1e6, price_out=2e6)
    assert (got.finish, got.tokens_in, got.cost) == (Finish.FAILED, 30, 60.0)


@pytest.mark.parametrize("usage", [None, {}, [], {"prompt_tokens": "9", "completion_tokens": 1}, {"prompt_tokens": -1}])
def test_a_usage_that_says_nothing_counts_as_unknown(server: FakeServer, usage: Any) -> None:
    got = said(server, Answer(usage=usage), price_in=1)
    assert (got.text, got.tokens_in, got.tokens_out, got.cost) == ("fine", 0, 0, 0.0)


@pytest.mark.parametrize(
    "answer",
    [
        Answer("<think>and on", choice={"finish_reason": "length"}),
        Answer(None, choice={"finish_reason": "length"}, message={"reasoning_content": "and on"}),
        Answer("", choice={"finish_reason": "length"}, message={"reasoning": "and on"}),
    ],
)
def test_a_reply_of_nothing_but_thoughts(server: FakeServer, answer: Answer) -> None:
    got = said(server, answer)
    assert got.finish is Finish.FAILED and "raise max_new_tokens" in got.reason
    assert len(server.bodies) == 1


def test_thoughts_that_come_in_pieces() -> None:
    for size in (1, 2, 5, 100):
        thoughts = Thoughts()
        shown = [thoughts.feed(THOUGHT[k : k + size]) for k in range(0, len(THOUGHT), size)]
        assert ("".join(shown) + thoughts.end()).strip() == "A cat."
    for text in ("<", "<thin", " ", "<thing>"):
        thoughts = Thoughts()
        assert "".join(map(thoughts.feed, text)) + thoughts.end() == text


# What is asked again


@pytest.mark.parametrize("status", [408, 409, 425, 429, 500, 502, 503, 504, 529])
def test_what_is_worth_asking_again(server: FakeServer, status: int) -> None:
    assert said(server, error(status, "later"), error(status, "later")).text == "fine"
    assert len(server.bodies) == 3


@pytest.mark.parametrize("status", [400, 413, 415, 422, 501])
def test_what_is_not(server: FakeServer, status: int) -> None:
    got = said(server, error(status, "the prompt is\ntoo long: 9000 tokens"))
    assert got.finish is Finish.FAILED
    assert got.reason == f"HTTP {status}: the prompt is too long: 9000 tokens"
    assert len(server.bodies) == 1


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ({"detail": "not so"}, "not so"),
        ({"detail": [{"msg": "field required", "loc": ["a"]}, {"msg": "too long"}]}, "field required; too long"),
        ({"error": "not so"}, "not so"),
        ({"message": "not so"}, "not so"),
        ({"error": {"message": "data:image/jpeg;base64," + "iVBORw0K" * 5000}}, "data:image/jpeg;base64,…"),
        ({"error": {}}, "not which"),
        (["not so"], "not so"),
    ],
)
def test_the_servers_own_words_in_one_line(server: FakeServer, body: Any, words: str) -> None:
    got = said(server, Answer(status=400, raw=json.dumps(body).encode()))
    assert words in got.reason and len(got.reason) < 320


def test_an_error_page(server: FakeServer) -> None:
    assert said(server, Answer(status=400, raw=b"<html>..</html>")).reason == "HTTP 400: an HTML page"
    assert said(server, Answer(status=400, raw=b"no")).reason == "HTTP 400: no"


def test_an_error_inside_a_good_status_counts_as_its_code(server: FakeServer) -> None:
    inside = Answer(raw=json.dumps({"error": {"message": "busy", "code": 503}}).encode())
    assert said(server, inside).text == "fine"
    assert said(server, Answer(raw=b'{"error": {"message": "bad picture", "code": 400}}')).reason == "bad picture"


def test_retries_come_to_an_end(server: FakeServer) -> None:
    server.answer = error(503, "overloaded")
    got = said(server, retries=2)
    assert (got.finish, got.reason) == (Finish.FAILED, "HTTP 503: overloaded")
    assert len(server.bodies) == 3
    assert said(server, retries=0).finish is Finish.FAILED
    assert len(server.bodies) == 4


def test_a_connection_that_breaks_is_tried_again(server: FakeServer) -> None:
    assert said(server, Answer(cut=True), Answer("whole")).text == "whole"


def test_a_server_that_hangs(server: FakeServer) -> None:
    began = time.perf_counter()
    got = said(server, Answer(hang=True), Answer(hang=True), timeout=0.5, retries=1)
    assert (got.finish, got.reason) == (Finish.FAILED, "no reply within 0.5 s")
    assert time.perf_counter() - began < 5
    assert said(server, Answer(hang=True), Answer("awake"), timeout=0.5).text == "awake"


def test_a_server_that_drips(server: FakeServer) -> None:
    began = time.perf_counter()
    got = said(server, Answer("x" * 1000, drip=0.02), timeout=0.5, retries=0)
    assert got.reason == "no reply within 0.5 s"
    assert time.perf_counter() - began < 5


def test_a_server_that_is_gone_at_the_start(server: FakeServer) -> None:
    address = server.address
    server.close()
    with pytest.raises(ModelError, match="is the server running") as caught:
        endpoint.load(address)
    assert address in str(caught.value) and "\n" not in str(caught.value)


def test_a_server_that_goes_away_later() -> None:
    with FakeServer() as server:
        model = opened(server, retries=1)
    got = model.generate([Prompt("?")])[0]
    assert got.finish is Finish.FAILED and "cannot be reached" in got.reason


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (Answer(raw=b"<!doctype html>"), "answers HTML, not JSON: does the address end in /v1"),
        (Answer(raw=b'{"models": 1}'), "its list of models is none"),
        (error(401, "no key"), "set OPENAI_API_KEY"),
        (error(403, "not you"), "set OPENAI_API_KEY"),
        (error(503, "still loading"), "still loading"),
    ],
)
def test_a_server_that_cannot_be_asked(server: FakeServer, answer: Answer, words: str) -> None:
    server.models_answer = answer
    with pytest.raises(ModelError, match=words):
        opened(server)


# Retry-After


@pytest.mark.parametrize("date", [False, True])
def test_the_wait_that_a_server_asks_for(server: FakeServer, date: bool) -> None:
    when = datetime.now(UTC) + timedelta(seconds=2)
    header = email.utils.format_datetime(when, usegmt=True) if date else "0.4"
    began = time.perf_counter()
    assert said(server, Answer(status=429, headers={"Retry-After": header})).text == "fine"
    assert time.perf_counter() - began > (0.8 if date else 0.4)


@pytest.mark.parametrize(
    ("header", "seconds"),
    [("3", 3.0), ("0", 0.0), ("-5", 0.0), ("", None), ("soon", None), ("inf", None), ("nan", None)],
)
def test_a_wait_in_seconds(header: str, seconds: float | None) -> None:
    assert http.asked_wait(header) == seconds


def test_a_wait_as_a_date() -> None:
    assert http.asked_wait("Wed, 21 Oct 2015 07:28:00 GMT") == 0.0
    soon = email.utils.format_datetime(datetime.now(UTC) + timedelta(seconds=30))
    assert http.asked_wait(soon) == pytest.approx(30, abs=2)


def test_waits_grow_and_have_an_end() -> None:
    assert http.wait_before(1, 1e9) < http.LONGEST_ASKED_WAIT + 1
    for attempt in range(1, 12):
        most = min(http.LONGEST_WAIT, http.FIRST_WAIT * 2 ** (attempt - 1))
        waits = {http.wait_before(attempt, None) for _ in range(20)}
        assert len(waits) > 1 and all(most / 2 <= wait <= most for wait in waits)


# What ends it for all


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (error(401, "Incorrect key"), "set OPENAI_API_KEY"),
        (error(402, "Payment required"), "the account at this server is empty"),
        (error(403, "Forbidden"), "set OPENAI_API_KEY"),
        (error(404, "The model `x` does not exist"), "no such model or page .* it lists tiny"),
        (error(400, "no such model", code="model_not_found"), "no such model or page"),
        (error(429, "You exceeded your quota", code="insufficient_quota"), "the account at this server is empty"),
    ],
)
def test_what_no_prompt_can_get_past(server: FakeServer, answer: Answer, words: str) -> None:
    model = opened(server)
    server.script = [answer]
    with pytest.raises(ModelError, match=words):
        model.generate([Prompt("?")])
    with pytest.raises(ModelError, match=words):
        model.generate([Prompt("?")])
    with pytest.raises(ModelError, match=words):
        list(model.stream(Prompt("?")))
    assert len(server.bodies) == 1


def test_a_wrong_key_ends_all_threads_at_once_even_those_that_wait(
    server: FakeServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(http, "FIRST_WAIT", 30.0)
    model = opened(server, slots=4)
    held = threading.Event()

    def answer(body: dict[str, Any]) -> Answer:
        if body["messages"][0]["content"] == "0":
            held.wait(10)
            return error(401, "revoked")
        return error(500, "broken")  # sends its asker to sleep for half a minute

    server.answer = answer
    began = time.perf_counter()
    with ThreadPoolExecutor(12) as pool:
        asked = [pool.submit(model.generate, [Prompt(str(k))]) for k in range(12)]
        while len(server.bodies) < 4:
            time.sleep(0.01)
        held.set()
        for one in asked:
            with pytest.raises(ModelError, match="revoked"):
                one.result(timeout=10)
    assert time.perf_counter() - began < 10


# How many at once


def test_all_slots_are_used_and_no_more(server: FakeServer) -> None:
    model = opened(server, slots=5)
    server.answer = Answer(delay=0.05)
    with ThreadPoolExecutor(16) as pool:
        list(pool.map(lambda k: model.generate([Prompt(str(k))]), range(30)))
    assert server.most_busy == 5


def test_the_gate_halves_once_for_a_crowd_and_grows_by_one_a_round() -> None:
    gate = http.Gate(16)

    def crowded(many: int) -> None:
        """So many that were under way together are turned away."""
        together = threading.Barrier(many)

        def one() -> None:
            with pytest.raises(http.Trouble), gate.slot():
                together.wait()
                raise http.Trouble("full", again=True, crowded=True)

        threads = [threading.Thread(target=one) for _ in range(many)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    crowded(16)
    assert gate.limit == 8
    crowded(8)
    assert gate.limit == 4
    for _ in range(5):
        with gate.slot():
            pass
    assert gate.limit == 5
    for _ in range(5):
        crowded(1)
    assert gate.limit == 1
    for _ in range(400):
        with gate.slot():
            pass
    assert gate.limit == 16
    with pytest.raises(http.Trouble), gate.slot():
        raise http.Trouble("a bad prompt says nothing of the load")
    assert gate.limit == 16


def test_a_server_that_bears_four_at_once_gets_all_prompts_answered(server: FakeServer) -> None:
    model = opened(server, slots=16, retries=20)

    def answer(body: dict[str, Any]) -> Answer:
        return error(429, "too many") if server.busy > 4 else Answer(delay=0.03)

    server.answer = answer
    with ThreadPoolExecutor(16) as pool:
        replies = list(pool.map(lambda k: model.generate([Prompt(str(k))])[0], range(80)))
    assert [reply.text for reply in replies] == ["fine"] * 80
    refused = len(server.bodies) - 80
    assert refused < 80, "without adapting, most requests would be turned away again and again"
    assert model._gate.limit < 16


def test_a_wait_that_the_server_asks_for_holds_everybody_back(server: FakeServer) -> None:
    model = opened(server, slots=4)
    server.script = [Answer(status=429, headers={"Retry-After": "0.5"})]
    model_busy = threading.Thread(target=model.generate, args=([Prompt("first")],))
    model_busy.start()
    while model._gate._open_at < 0:  # until the answer has been read
        time.sleep(0.001)
    began = time.perf_counter()
    model.generate([Prompt("second")])
    assert time.perf_counter() - began > 0.2
    model_busy.join()


# What it costs


def test_tokens_and_cost(server: FakeServer) -> None:
    got = said(server, price_in=0.5, price_out=2.0)
    assert (got.tokens_in, got.tokens_out) == (10, 5)
    assert got.cost == pytest.approx(10 * 0.5e-6 + 5 * 2e-6)


def test_a_budget_stops_the_asking(server: FakeServer) -> None:
    model = opened(server, price_in=1e5, price_out=0, budget=2.5)  # one unit for a prompt of 10 tokens
    replies = model.generate([Prompt(str(k)) for k in range(5)])
    assert [reply.finish for reply in replies] == [Finish.STOP] * 3 + [Finish.FAILED] * 2
    assert replies[3].reason == "the budget of 2.5 is spent (3)"
    assert len(server.bodies) == 3
    with pytest.raises(ModelError, match="the budget of"):
        list(model.stream(Prompt("?")))
    assert len(server.bodies) == 3


def test_a_budget_of_tokens(server: FakeServer) -> None:
    replies = opened(server, token_budget=30).generate([Prompt("?")] * 3)
    assert [reply.finish for reply in replies] == [Finish.STOP, Finish.STOP, Finish.FAILED]
    assert replies[2].reason == "the budget of 30 tokens is spent (30)"


def test_a_budget_cannot_be_kept_blindly(server: FakeServer) -> None:
    server.answer = Answer(usage=None)
    replies = opened(server, token_budget=1000).generate([Prompt("?")] * 2)
    assert [reply.finish for reply in replies] == [Finish.STOP, Finish.FAILED]
    assert "does not tell how many tokens" in replies[1].reason


# Fields that a server does not know


@pytest.mark.parametrize(
    ("answer", "left_out"),
    [
        (error(400, "Unsupported value: 'temperature' does not support 0", param="temperature"), {"temperature"}),
        (Answer(status=422, raw=b'{"detail": "Unexpected fields in the request: {\'seed\'}"}'), {"seed"}),
        (error(400, "Unknown parameter", param="seed"), {"seed"}),
        (error(400, "seed: Extra inputs are not permitted; temperature: not supported"), {"seed", "temperature"}),
    ],
)
def test_a_field_that_a_server_does_not_know_is_left_out(
    server: FakeServer, answer: Answer, left_out: set[str]
) -> None:
    model = opened(server, retries=0)
    server.script = [answer]
    assert [reply.text for reply in model.generate([Prompt("?"), Prompt("?")])] == ["fine", "fine"]
    first, second, third = server.bodies
    assert set(first) - set(second) == left_out and set(third) == set(second)


def test_a_server_with_the_newer_name_for_the_limit(server: FakeServer) -> None:
    got = said(server, error(400, "Unsupported parameter: 'max_tokens'; use 'max_completion_tokens' instead."))
    assert got.text == "fine"
    assert "max_tokens" not in server.bodies[1] and server.bodies[1]["max_completion_tokens"] == 512


def test_a_prompt_that_is_too_long_is_not_taken_for_an_unknown_field(server: FakeServer) -> None:
    words = "'max_tokens' is too large: this is not supported, the model's maximum context length is 4096 tokens"
    assert words in said(server, error(400, words)).reason
    assert len(server.bodies) == 1


def test_many_threads_learn_of_an_unknown_field(server: FakeServer) -> None:
    server.answer = lambda body: error(400, "unknown field seed") if "seed" in body else Answer(delay=0.01)
    model = opened(server, retries=0)
    with ThreadPoolExecutor(16) as pool:
        replies = list(pool.map(lambda k: model.generate([Prompt(str(k))])[0].text, range(16)))
    assert replies == ["fine"] * 16


# Which way video is sent


def ways_of(server: FakeServer) -> list[str]:
    """The way of each request that showed several frames."""
    ways = []
    for body in server.bodies:
        parts = [part for part in body["messages"][0]["content"] if isinstance(part, dict)]
        urls = [part["video_url"]["url"][:15] for part in parts if "video_url" in part]
        images = [part for part in parts if part["type"] == "image_url"]
        ways += ["jpegs" if url == "data:video/jpeg" else "mp4" for url in urls] or ["images"] * bool(images)
    return ways


def picky(*allowed: str, reads: tuple[str, ...] = (), complaint: Answer | None = None) -> Any:
    """A server that takes video in some ways, and whose model reads it in some of them."""

    def answer(body: dict[str, Any]) -> Answer:
        parts = body["messages"][0]["content"]
        urls = [part["video_url"]["url"] for part in parts if isinstance(part, dict) and "video_url" in part]
        way = ("jpegs" if "video/jpeg" in urls[0] else "mp4") if urls else "images"
        pictures = any(part["type"] != "text" for part in parts if isinstance(part, dict))
        if pictures and way not in allowed:
            return complaint or error(400, f"Unknown part type: {'video_url' if urls else 'image_url'}")
        usage = {"prompt_tokens": 300 if pictures else 30, "completion_tokens": 3}
        return Answer("4, 7, 2" if way in reads else "I cannot tell.", usage=usage)

    return answer


@pytest.mark.parametrize(
    ("allowed", "reads", "chosen", "tried"),
    [
        (("jpegs", "mp4", "images"), ("jpegs", "mp4", "images"), "jpegs", ["jpegs"]),
        (("mp4", "images"), ("mp4", "images"), "mp4", ["jpegs", "mp4"]),
        (("images",), ("images",), "images", ["jpegs", "mp4", "images"]),
        (("jpegs", "mp4", "images"), ("images",), "images", ["jpegs", "mp4", "images"]),
        (("mp4", "images"), (), "mp4", ["jpegs", "mp4", "images"]),
        ((), (), "none", ["jpegs", "mp4", "images"]),
    ],
)
def test_the_way_is_found_by_trying(
    server: FakeServer, allowed: tuple[str, ...], reads: tuple[str, ...], chosen: str, tried: list[str]
) -> None:
    server.answer = picky(*allowed, reads=reads)
    model = endpoint.load(server.address)
    assert model.source.settings == {"video": chosen}
    assert list(dict.fromkeys(ways_of(server))) == tried
    before = len(server.bodies)
    reply = model.generate([Prompt("?", frames=clip(1, 2))])[0]
    if chosen == "none":
        assert reply.finish is Finish.FAILED and "takes no pictures here (images: HTTP 400" in reply.reason
        assert len(server.bodies) == before
        assert model.generate([Prompt("?")])[0].text == "I cannot tell."
    else:
        assert reply.finish is Finish.STOP
        assert ways_of(server)[-1] == chosen


@pytest.mark.parametrize("complaint", [error(500, "VideoMetadata lacks total_num_frames"), error(415, "no")])
def test_a_server_that_breaks_over_a_way_is_asked_in_the_next(server: FakeServer, complaint: Answer) -> None:
    server.answer = picky("images", reads=("images",), complaint=complaint)
    assert endpoint.load(server.address).source.settings == {"video": "images"}
    assert ways_of(server) == ["jpegs", "mp4", "images"]


def test_a_server_that_leaves_pictures_out_is_found_out(server: FakeServer) -> None:
    def answer(body: dict[str, Any]) -> Answer:
        content = body["messages"][0]["content"]
        shown = [part for part in content if isinstance(part, dict) and part["type"] == "image_url"]
        words = [part for part in content if isinstance(part, dict) and part["type"] == "text"]
        usage = {"prompt_tokens": 20 + 5 * len(words) + 100 * len(shown), "completion_tokens": 3}
        return Answer("Hm.", usage=usage)

    server.answer = answer
    assert endpoint.load(server.address).source.settings == {"video": "images"}


def test_jpegs_whose_times_a_server_does_not_take_are_not_sent(server: FakeServer) -> None:
    def answer(body: dict[str, Any]) -> Answer:
        return error(422, "Unexpected fields: media_io_kwargs") if "media_io_kwargs" in body else Answer("472")

    server.answer = answer
    model = endpoint.load(server.address)
    assert model.source.settings == {"video": "mp4"}
    model.generate([Prompt("?", frames=clip(1, 2))])
    assert "media_io_kwargs" not in server.bodies[-1]


def test_a_model_that_only_thinks_within_the_probe_is_no_reason_against_a_way(server: FakeServer) -> None:
    server.answer = Answer(None, choice={"finish_reason": "length"}, message={"reasoning_content": "…"}, usage=None)
    assert endpoint.load(server.address).source.settings == {"video": "jpegs"}


def test_a_probe_that_says_nothing_of_the_way(server: FakeServer) -> None:
    server.answer = error(503, "overloaded")
    with pytest.raises(ModelError, match="overloaded"):
        endpoint.load(server.address, settings={"retries": 1})
    server.answer = error(401, "who?")
    with pytest.raises(ModelError, match="set OPENAI_API_KEY"):
        endpoint.load(server.address)
    server.answer = Answer(raw=b"<html>")
    with pytest.raises(ModelError, match="answers HTML"):
        endpoint.load(server.address)


def test_a_way_that_is_set_is_not_probed(server: FakeServer) -> None:
    for way in ("jpegs", "mp4", "images", "none"):
        assert endpoint.load(server.address, settings={"video": way}).source.settings == {"video": way}
    assert server.bodies == []


def test_the_probe_shows_its_digits() -> None:
    frames, shown = probe_clip()
    assert (shown, len(frames), frames.pixels.shape[1:]) == ("472", 6, (168, 168, 3))
    dark = (frames.pixels[::2, ..., 0] < 128).reshape(3, -1)
    assert 0.05 < dark.mean() < 0.4
    assert (dark[0] != dark[1]).any() and (dark[1] != dark[2]).any()
    assert (frames.pixels[0] == frames.pixels[1]).all()


# Streaming


def test_a_stream_gives_the_text_of_generate(server: FakeServer) -> None:
    server.answer = Answer("A cat sits.", pieces=["A c", "at ", "sits."])
    model = opened(server)
    assert list(model.stream(Prompt("?"))) == ["A c", "at ", "sits."]
    assert server.bodies[0]["stream"] is True
    assert model.generate([Prompt("?")])[0].text == "A cat sits."
    server.answer = Answer(THOUGHT, pieces=list(THOUGHT))
    assert "".join(model.stream(Prompt("?"))).strip() == model.generate([Prompt("?")])[0].text == "A cat."


def test_a_stream_is_counted(server: FakeServer) -> None:
    model = opened(server, token_budget=15)
    assert list(model.stream(Prompt("?"))) == ["fine"]
    with pytest.raises(ModelError, match="budget of 15 tokens"):
        list(model.stream(Prompt("?")))


def test_a_stream_that_is_dropped_gives_its_slot_back_and_counts(server: FakeServer) -> None:
    model = opened(server, slots=1, token_budget=18)
    server.answer = Answer(pieces=["a", "b", "c"])
    for _ in range(3):
        pieces = model.stream(Prompt("?"))
        assert next(pieces) == "a"
        pieces.close()  # type: ignore[attr-defined]
    replies = model.generate([Prompt("?")] * 2)
    assert replies[0].text == "fine"
    assert replies[1].reason == "the budget of 18 tokens is spent (18)"  # a token each time, then 15


@pytest.mark.parametrize(
    ("raw", "words"),
    [
        (b'data: {"choices": [{"delta": {"content": "a"}}]}\n\n', "broke off"),
        (b'data: {"choices": [{"del\n\n', "no JSON"),
        (b"data: 3\n\n", "a number where a piece"),
        (b'data: {"error": "out of memory"}\n\n', "out of memory"),
        (b'data: {"choices": [{"delta": {"content": 3}}]}\n\n', "a number where text"),
        (b'data: {"choices": [{"delta": {"refusal": "I will not."}}]}\n\n', "declined: I will not"),
        (b'data: {"choices": [{"delta": {}, "finish_reason": "content_filter"}]}\n\n', "content filter"),
        (b'data: {"choices": [{"delta": {"content": "<think>"}}]}\n\ndata: [DONE]\n\n', "raise max_new_tokens"),
    ],
)
def test_a_stream_that_goes_wrong(server: FakeServer, raw: bytes, words: str) -> None:
    server.answer = Answer(raw=raw)
    with pytest.raises(ModelError, match=words):
        list(opened(server, retries=1).stream(Prompt("?")))


def test_a_stream_begins_again_only_before_its_first_piece(server: FakeServer) -> None:
    model = opened(server)
    server.script = [error(503, "later"), error(400, "unknown field stream_options"), Answer("at last")]
    assert list(model.stream(Prompt("?"))) == ["at last"]
    assert "stream_options" not in server.bodies[-1]
    begun = b'data: {"choices": [{"delta": {"content": "a"}}]}\n\n'
    server.script = [Answer(raw=begun)]
    pieces = model.stream(Prompt("?"))
    assert next(pieces) == "a"
    with pytest.raises(ModelError, match="broke off"):
        next(pieces)
    assert len(server.bodies) == 4


def test_a_stream_with_remarks_and_without_done(server: FakeServer) -> None:
    raw = b': ping\n\nevent: x\ndata:{"choices": [{"delta": {"content": "a"}}]}\n\n'
    raw += b'data: {"choices": [{"delta": {}, "finish_reason": "stop"}]}\n\n'
    server.answer = Answer(raw=raw)
    assert list(opened(server).stream(Prompt("?"))) == ["a"]


def test_a_server_that_does_not_stream(server: FakeServer) -> None:
    whole = Answer("all at once")
    server.answer = Answer(raw=whole.body(), headers={"Content-Type": "application/json"})
    assert list(opened(server).stream(Prompt("?"))) == ["all at once"]
