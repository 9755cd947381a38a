"""The viewer's server: texts, bytes, pictures, proxies, uploads, and how it ends."""

from __future__ import annotations

import io
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen

import av
import numpy as np
import pytest
from starlette.testclient import TestClient

from longshot import library as libraries
from longshot.errors import LongshotError, UsageError
from longshot.library import Library, VideoRecord
from longshot.timeline import Caption, Source, Span, Track
from longshot.video import content_id, open_video
from longshot.web._media import Stretch, Unsatisfiable, range_of
from longshot.web._parts import sweep
from longshot.web._proxy import Proxies, Stage, playable, settle, write_proxy
from longshot.web._seeking import Seeking
from longshot.web._shown import Shown
from longshot.web._uploads import Uploads
from longshot.web.server import _address, _listening, _Server, app, serve
from tests.browser import browser, why_not
from tests.videos import read_number, write_video

HERE = "http://127.0.0.1:8765"
OWN = {"Origin": HERE, "Content-Type": "video/mp4"}
LINES = ["A red ball rolls.", "The ball stops.", "A telescope is shown."]


def put(library: Library, video: Path, lines: list[str] = LINES, **more: list[tuple[float, float, str]]) -> str:
    """A video with its clips of two seconds, and further tracks."""
    id = content_id(video)
    library.save_video(VideoRecord(id, video.name, str(video), 2.0 * len(lines), (160, 96), 25.0, "h264"))
    levels = {"clip": [(2.0 * k, 2.0 * k + 2, line) for k, line in enumerate(lines)], **more}
    for level, rows in levels.items():
        captions = tuple(Caption(Span(start, end), text) for start, end, text in rows)
        library.save(Track(id, level, Source("recap", "observer", "1"), captions, video.name, 2.0 * len(lines)))
    return id


@contextmanager
def client_of(folder: Path, **options: Any) -> Iterator[TestClient]:
    with TestClient(app(folder, **options), base_url=HERE) as client:
        yield client


@pytest.fixture(scope="module")
def shelf(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str, Path]:
    """A library, the id of its first video, and the file of that."""
    folder = tmp_path_factory.mktemp("web")
    video = folder / "ball.mp4"
    write_video(video, count=150, options={"g": "25"})
    speech = [(0.5, 1.5, "Look at this."), (4.0, 5.5, "This is the telescope.")]
    segments = [(0.0, 6.0, "A ball, then a telescope.")]
    library = Library(folder / "library")
    return library.folder, put(library, video, speech=speech, segment=segments), video


@pytest.fixture(scope="module")
def client(shelf: tuple[Path, str, Path]) -> Iterator[TestClient]:
    with client_of(shelf[0]) as client:
        yield client


# --- ranges


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        (None, None),
        ("", None),
        ("bytes=0-99", Stretch(0, 100)),
        ("bytes=0-", Stretch(0, 1000)),
        ("bytes=999-", Stretch(999, 1000)),
        ("bytes=900-5000", Stretch(900, 1000)),
        ("bytes=-100", Stretch(900, 1000)),
        ("bytes=-5000", Stretch(0, 1000)),
        ("BYTES=1-1", Stretch(1, 2)),
        ("bytes= 1-2 ", Stretch(1, 3)),
        ("bytes=5-4", None),
        ("bytes=-", None),
        ("bytes=", None),
        ("bytes=a-b", None),
        ("bytes=1-2,4-5", None),
        ("bytes 1-2", None),
        ("seconds=1-2", None),
        ("bytes=--5", None),
        ("bytes=1.0-2", None),
        ("bytes=\u0661-\u0662", None),
        ("bytes=" + "9" * 40 + "-", None),
        ("bytes=1000-", Unsatisfiable),
        ("bytes=1000-1001", Unsatisfiable),
        ("bytes=999999999999999999-", Unsatisfiable),
        ("bytes=-0", Unsatisfiable),
    ],
)
def test_ranges(header: str | None, expected: Stretch | type[Exception] | None) -> None:
    if isinstance(expected, type):
        with pytest.raises(expected):
            range_of(header, 1000)
    else:
        found = range_of(header, 1000)
        assert found == expected


def test_an_empty_file_has_no_range() -> None:
    with pytest.raises(Unsatisfiable):
        range_of("bytes=0-", 0)
    assert range_of(None, 0) is None


def test_the_video_comes_whole_and_in_ranges(client: TestClient, shelf: tuple[Path, str, Path]) -> None:
    _, id, video = shelf
    content = video.read_bytes()
    whole = client.get(f"/media/{id}")
    assert (whole.status_code, whole.content) == (200, content)
    assert whole.headers["accept-ranges"] == "bytes"
    assert whole.headers["content-type"] == "video/mp4"
    tag, dated = whole.headers["etag"], whole.headers["last-modified"]
    part = client.get(f"/media/{id}", headers={"Range": "bytes=10-19"})
    assert (part.status_code, part.content) == (206, content[10:20])
    assert part.headers["content-range"] == f"bytes 10-19/{len(content)}"
    assert part.headers["content-length"] == "10"
    last = client.get(f"/media/{id}", headers={"Range": "bytes=-7"})
    assert last.content == content[-7:]
    beyond = client.get(f"/media/{id}", headers={"Range": f"bytes={len(content)}-"})
    assert (beyond.status_code, beyond.content) == (416, b"")
    assert beyond.headers["content-range"] == f"bytes */{len(content)}"
    for condition in (tag, dated):
        assert client.get(f"/media/{id}", headers={"Range": "bytes=0-0", "If-Range": condition}).status_code == 206
    for condition in ('"other"', "W/" + tag, "Mon, 01 Jan 2001 00:00:00 GMT"):
        assert client.get(f"/media/{id}", headers={"Range": "bytes=0-0", "If-Range": condition}).status_code == 200
    for known in (tag, f'"x", {tag}', "*"):
        assert client.get(f"/media/{id}", headers={"If-None-Match": known}).status_code == 304
    assert client.get(f"/media/{id}", headers={"If-None-Match": '"x"'}).status_code == 200


def test_head_says_what_get_would(client: TestClient, shelf: tuple[Path, str, Path]) -> None:
    _, id, video = shelf
    head = client.head(f"/media/{id}", headers={"Range": "bytes=5-"})
    assert (head.status_code, head.content) == (206, b"")
    assert head.headers["content-length"] == str(video.stat().st_size - 5)


def test_no_file_stays_open(client: TestClient, shelf: tuple[Path, str, Path]) -> None:
    def opened() -> int:
        return len(os.listdir("/proc/self/fd"))

    client.get(f"/media/{shelf[1]}")
    before = opened()
    for header in ("bytes=0-9", "bytes=999999999-", "bytes=0-", "nonsense"):
        for _ in range(10):
            client.get(f"/media/{shelf[1]}", headers={"Range": header})
            client.head(f"/media/{shelf[1]}")
    assert opened() <= before + 2


# --- the page and its data


def test_the_page_is_told_that_a_server_is_there(client: TestClient) -> None:
    page = client.get("/")
    assert page.headers["content-type"].startswith("text/html")
    start = page.text.index('id="longshot-data">') + len('id="longshot-data">')
    data = json.loads(page.text[start : page.text.index("</script>", start)])
    assert data == {"mode": "server", "video": None}
    assert client.get("/page.css").headers["content-type"].startswith("text/css")
    assert client.get("/page.js").headers["content-type"].startswith("text/javascript")


def test_the_list_says_what_there_is(client: TestClient, shelf: tuple[Path, str, Path]) -> None:
    answer = client.get("/api/videos").json()
    assert answer["upload"] is False
    (row,) = answer["videos"]
    assert row == {
        "id": shelf[1],
        "name": "ball.mp4",
        "duration": 6.0,
        "state": "here",
        "levels": {"segment": 1, "clip": 3, "speech": 2},
        "width": 160,
        "height": 96,
    }


def test_a_video_comes_with_all_its_texts(client: TestClient, shelf: tuple[Path, str, Path]) -> None:
    _, id, _ = shelf
    page = client.get(f"/api/videos/{id}").json()
    assert (page["media"], page["mediaNote"], page["proxy"], page["offset"]) == (f"/media/{id}", "", False, 0.0)
    assert [level["level"] for level in page["levels"]] == ["segment", "clip", "speech"]
    clips = page["levels"][1]
    assert clips["captions"][1] == [2.0, 4.0, "The ball stops.", None, "clip-0002"]
    assert clips["source"] == "recap observer@1"
    for track in page["tracks"]:
        assert client.get(track["src"]).text.startswith("WEBVTT")
    assert (page["tracks"][0]["kind"], page["tracks"][0]["label"]) == ("captions", "Speech")
    assert page["tracks"][-1]["kind"] == "chapters"
    for export in page["exports"]:
        answer = client.get(export["href"])
        assert answer.status_code == 200
        assert answer.headers["content-disposition"].startswith('attachment; filename="ball')
    writable = {name for name, way in libraries.formats().items() if way.write}
    assert {export["format"].partition(":")[0] for export in page["exports"]} == writable - {"youtube"}, (
        "three short clips are no chapters"
    )
    assert client.get(f"/export/{id}?format=srt&level=speech").text.count("-->") == 2


def test_what_changes_on_the_disk_is_seen(tmp_path: Path) -> None:
    library = Library(tmp_path / "library")
    video = tmp_path / "ball.mp4"
    write_video(video)
    id = put(library, video)
    with client_of(library.folder) as client:
        assert client.get(f"/api/videos/{id}").json()["levels"][0]["captions"][0][2] == LINES[0]
        put(library, video, ["Something else."])
        assert client.get(f"/api/videos/{id}").json()["levels"][0]["captions"][0][2] == "Something else."
        assert client.get("/api/videos").json()["videos"][0]["levels"] == {"clip": 1}
        video.unlink()
        assert client.get("/api/videos").json()["videos"][0]["state"] == "missing"
        path = library.path_of(id, "clip")
        path.write_text(path.read_text() + "{torn\n")
        answer = client.get(f"/api/videos/{id}")
        assert answer.status_code == 500
        assert "clip.jsonl" in answer.json()["error"] and str(tmp_path) not in answer.text
        path.write_text("torn")
        assert client.get("/api/videos").json()["videos"][0]["state"] == "damaged"


def test_a_film_that_begins_late_has_its_offset(tmp_path: Path) -> None:
    library, video = Library(tmp_path / "library"), tmp_path / "late.mp4"
    write_video(video, times=[Fraction(3) + Fraction(k, 25) for k in range(50)])
    id = put(library, video, ["one"])
    with client_of(library.folder) as client:
        assert client.get(f"/api/videos/{id}").json()["offset"] == pytest.approx(3.0)
        assert "00:00:03.000 --> 00:00:05.000" in client.get(f"/captions/{id}/clip.vtt").text


# --- search and find


def words_in(hit: dict[str, Any]) -> list[str]:
    return [one["text"][start:end] for one in hit["evidence"] for start, end in one["matched"]]


def check_found(client: TestClient, id: str) -> None:
    """The same questions have the same answers with an index and without one."""
    found = client.get("/api/search", params={"q": "telescope"}).json()
    assert found["hits"] and found["how"]
    best = found["hits"][0]
    assert (best["video"], best["name"]) == (id, "ball.mp4")
    assert 2.0 <= best["start"] < best["end"] <= 6.0
    assert best["link"].startswith("ball.mp4#t=")
    assert 0 < best["score"] <= 1
    assert {"telescope"} == {word.lower() for word in words_in(best)}
    spoken = client.get("/api/search", params={"q": "telescope", "level": "speech", "video": id}).json()["hits"]
    assert [(hit["start"], hit["end"]) for hit in spoken] == [(4.0, 5.5)]
    assert client.get("/api/search", params={"q": "zebra"}).json()["hits"] == []
    inside = client.get("/api/find", params={"video": id, "q": "the telescope"}).json()["hits"]
    assert 4.0 <= inside[0]["start"] < inside[0]["end"] <= 6.0
    assert client.get("/api/find", params={"video": id, "q": "zebra"}).json()["hits"] == []


def test_search_and_find_without_an_index(client: TestClient, shelf: tuple[Path, str, Path]) -> None:
    assert client.get("/api/videos").json()["search"] is True
    assert client.get("/api/videos").json()["like"] is False
    check_found(client, shelf[1])
    answer = client.post("/api/like", content=b"picture", headers=OWN)
    assert answer.status_code == 404


@pytest.fixture
def indexed(shelf: tuple[Path, str, Path], tmp_path: Path) -> tuple[Path, str]:
    """The library of `shelf`, with an index."""
    from longshot.searching.index import rebuild

    library = Library(tmp_path / "library")
    shutil.copytree(shelf[0] / "tracks", library.folder / "tracks")
    rebuild(library)
    return library.folder, shelf[1]


def test_search_and_find_by_the_index(indexed: tuple[Path, str], tmp_path: Path) -> None:
    folder, id = indexed
    with client_of(folder) as client:
        check_found(client, id)
        video = tmp_path / "second.mp4"
        write_video(video, count=50, fps=20)
        library = Library(folder)
        other = put(library, video, ["A giraffe eats leaves."])
        rebuild_index(library)
        found = client.get("/api/search", params={"q": "giraffe"}).json()["hits"]
        assert [hit["video"] for hit in found] == [other], "what was added meanwhile is found"
    with client_of(folder, video=id) as client:
        assert client.get("/api/search", params={"q": "giraffe"}).json()["hits"] == []
        assert client.get("/api/search", params={"q": "giraffe", "video": other}).status_code == 400
        assert client.get("/api/find", params={"q": "giraffe", "video": other}).status_code == 404


def rebuild_index(library: Library) -> None:
    from longshot.searching.index import rebuild

    rebuild(library)


def test_what_is_no_picture_cannot_be_searched_for(indexed: tuple[Path, str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Seeking, "likeable", True)
    with client_of(indexed[0]) as client:
        answer = client.post("/api/like", content=b"no picture", headers=OWN)
        assert answer.status_code == 400
        assert answer.json()["error"].startswith("what was sent cannot be searched for: not a video")
        answer = client.post("/api/like", content=bytes((32 << 20) + 1), headers=OWN)
        assert answer.status_code == 413


def test_a_picture_that_was_sent_is_called_so(indexed: tuple[Path, str], monkeypatch: pytest.MonkeyPatch) -> None:
    names = []
    monkeypatch.setattr(Seeking, "likeable", True)
    monkeypatch.setattr(Seeking, "like", lambda self, picture, limit: names.append(picture.name) or {})
    with client_of(indexed[0]) as client:
        assert client.post("/api/like", content=b"a picture", headers=OWN).status_code == 200
    assert names == ["the picture"]  # evidence reads "looks like the picture"


def test_the_first_question_need_not_wait(indexed: tuple[Path, str], shelf: tuple[Path, str, Path]) -> None:
    seeking = Seeking(indexed[0], Shown(indexed[0]))
    seeking.warm()
    assert seeking._index is not None
    without = Seeking(shelf[0], Shown(shelf[0]))
    without.warm()
    assert without._index is None
    for path in (indexed[0] / "index").rglob("*"):
        if path.is_file():
            path.write_bytes(b"torn")
    Seeking(indexed[0], Shown(indexed[0])).warm()  # whoever asks is told


def test_a_damaged_index_is_one_line(indexed: tuple[Path, str]) -> None:
    folder, id = indexed
    for path in (folder / "index").rglob("*"):
        if path.is_file():
            path.write_bytes(b"torn")
    with client_of(folder) as client:
        answer = client.get("/api/search", params={"q": "telescope"})
        assert answer.status_code == 500
        assert "longshot index --rebuild" in answer.json()["error"]
        assert str(folder.parent) not in answer.text
        assert client.get("/api/find", params={"video": id, "q": "telescope"}).json()["hits"], "read from the tracks"
        assert client.get("/api/videos").json()["videos"][0]["id"] == id


# --- pictures


@pytest.mark.parametrize("second", [0.0, 0.04, 1.5, 3.999, 5.96, 99.0])
def test_a_picture_shows_the_frame_of_its_second(
    client: TestClient, shelf: tuple[Path, str, Path], second: float
) -> None:
    answer = client.get(f"/thumb/{shelf[1]}?t={second}&h=48")
    assert answer.headers["content-type"] == "image/jpeg"
    with av.open(io.BytesIO(answer.content)) as container:
        pixels = next(container.decode(video=0)).to_ndarray(format="rgb24")
    assert pixels.shape == (48, 80, 3)
    assert read_number(pixels) == min(149, int(second * 25 + 1e-6))


def test_pictures_of_a_missing_video_are_one_line(client: TestClient) -> None:
    answer = client.get("/thumb/0123456789abcdef?t=0")
    assert answer.status_code == 404
    assert answer.json() == {"error": "there is no such video here"}


# --- proxies

FILMS: dict[str, tuple[str, dict[str, Any], str]] = {
    "h264 in mp4": ("a.mp4", {}, ""),
    "vp9 in webm": ("a.webm", {"codec": "libvpx-vp9", "options": {"deadline": "realtime", "cpu-used": "8"}}, ""),
    "vp8 in webm": ("a.webm", {"codec": "libvpx", "options": {"deadline": "realtime", "cpu-used": "8"}}, ""),
    "h264 in mov": ("a.mov", {}, ""),
    "h264 in matroska": ("a.mkv", {}, "Matroska files"),
    "h264 with reordered frames in matroska": (
        "a.mkv",
        {"options": {"bf": "3", "g": "12"}, "times": [Fraction(k, 25) for k in range(50)]},
        "Matroska files",
    ),
    "hevc": ("a.mp4", {"codec": "libx265", "options": {"x265-params": "log-level=none"}}, "HEVC pictures"),
    "10-bit h264": ("a.mp4", {"pixel_format": "yuv420p10le"}, "10-bit H.264 pictures"),
    "4:4:4 h264": ("a.mp4", {"pixel_format": "yuv444p"}, "4:4:4 H.264 pictures"),
    "mpeg4 in avi": ("a.avi", {"codec": "mpeg4", "options": {"qscale": "2"}}, "AVI files and MPEG-4 Part 2 pictures"),
    "mpeg2 in a transport stream": ("a.ts", {"codec": "mpeg2video", "options": {"b": "4M"}}, "MPEGTS files and MPEG-2"),
    "h264 at a varying rate in matroska": (
        "a.mkv",
        {"times": [Fraction(k * k, 200) + Fraction(k, 50) for k in range(30)], "time_base": Fraction(1, 1000)},
        "Matroska files",
    ),
    "hevc at a varying rate": (
        "a.mp4",
        {
            "codec": "libx265",
            "options": {"x265-params": "log-level=none"},
            "times": [Fraction(k, 25) if k < 20 else Fraction(8, 10) + Fraction(k - 20, 10) for k in range(40)],
        },
        "HEVC pictures",
    ),
    "hevc that begins late, turned, of odd size": (
        "a.mkv",
        {
            "codec": "libx265",
            "options": {"x265-params": "log-level=none"},
            "times": [Fraction(2) + Fraction(k, 25) for k in range(30)],
            "size": (162, 98),
        },
        "Matroska files and HEVC pictures",
    ),
    "large pictures": (
        "a.avi",
        {"codec": "mpeg4", "options": {"qscale": "2"}, "size": (1920, 1080), "count": 6},
        "AVI files and MPEG-4 Part 2 pictures",
    ),
}


def shown(path: Path) -> tuple[list[int | None], list[float]]:
    with open_video(path) as video:
        batches = list(video.stream())
    numbers = [read_number(pixels) for batch in batches for pixels in batch.pixels]
    return numbers, [float(second) for batch in batches for second in batch.times]


@pytest.mark.parametrize("name", FILMS)
def test_a_proxy_shows_every_frame_at_its_second(tmp_path: Path, name: str) -> None:
    file, how, why = FILMS[name]
    source = tmp_path / file
    write_video(source, **{"count": 50, **how} if "times" not in how else how)
    way = playable(source)
    assert way.direct is (why == "")
    assert way.why.startswith(why)
    if way.direct:
        return
    growing, proxy = tmp_path / "growing", tmp_path / "proxy.mp4"
    write_proxy(source, growing, way)
    settle(growing, proxy)
    numbers, times = shown(source)
    for made in (growing, proxy):
        found, found_times = shown(made)
        assert found == numbers
        assert None not in found
        assert np.allclose(found_times, times, atol=2e-4)
    assert playable(proxy).direct
    assert playable(proxy).offset == 0.0
    with open_video(source) as one, open_video(proxy) as other:
        assert other.pictures_end() == pytest.approx(one.pictures_end(), abs=0.05)
        assert other.size[1] <= 720
    assert proxy.read_bytes().index(b"moov") < proxy.read_bytes().index(b"mdat"), "a player seeks at once"


def with_sound(path: Path, codec: str, *, seconds: float = 2.0, start: float = 0.0) -> None:
    """A film of grey pictures whose sound is silent but for a click at 1 s."""
    with av.open(str(path), "w") as container:
        pictures = container.add_stream("libx264", rate=25)
        pictures.width, pictures.height, pictures.pix_fmt = 160, 96, "yuv420p"
        rate = 48000
        sound: Any = container.add_stream(codec, rate=rate, layout="mono")
        for _ in range(int(seconds * 25)):
            frame = av.VideoFrame.from_ndarray(np.full((96, 160, 3), 90, np.uint8), format="rgb24")
            container.mux(pictures.encode(frame.reformat(format="yuv420p")))
        container.mux(pictures.encode(None))
        samples = np.zeros((1, int(seconds * rate)), np.float32)
        samples[0, rate : rate + 480] = 0.9
        form = sound.codec_context.format.name
        resampler = av.AudioResampler(
            format=form, layout="mono", rate=rate, frame_size=sound.codec_context.frame_size or 1024
        )
        line = av.AudioFrame.from_ndarray(samples, format="fltp", layout="mono")
        line.sample_rate, line.pts = rate, 0
        for part in (*resampler.resample(line), *resampler.resample(None)):
            container.mux(sound.encode(part))
        container.mux(sound.encode(None))


@pytest.mark.parametrize(
    ("file", "codec", "why", "kept"),
    [
        ("a.mp4", "aac", "", ""),
        ("a.mp4", "ac3", "AC-3 sound", "aac"),
        ("a.mkv", "aac", "Matroska files", "aac"),
        ("a.mkv", "pcm_s16le", "Matroska files", "aac"),
        ("a.mkv", "flac", "Matroska files", "flac"),
    ],
)
def test_sound_stays_with_the_pictures(tmp_path: Path, file: str, codec: str, why: str, kept: str) -> None:
    source = tmp_path / file
    with_sound(source, codec)
    way = playable(source)
    assert way.why.startswith(why) and way.direct is (why == "")
    if way.direct:
        return
    growing, proxy = tmp_path / "growing", tmp_path / "proxy.mp4"
    write_proxy(source, growing, way)
    settle(growing, proxy)
    with av.open(str(proxy)) as container:
        assert container.streams.audio[0].codec_context.codec.canonical_name == kept
        assert container.streams.video[0].codec_context.name == "h264"
        loud = [
            float(frame.pts * frame.time_base)
            for frame in container.decode(audio=0)
            if frame.pts is not None and np.abs(frame.to_ndarray().astype(np.float64)).max() > 0.3 * _full(frame)
        ]
    assert loud and abs(loud[0] - 1.0) < 0.05


def _full(frame: av.AudioFrame) -> float:
    return 1.0 if frame.format.name.startswith("flt") else 2.0 ** (8 * frame.format.bytes - 1)


def test_sound_alone_and_pictures_without_film(tmp_path: Path) -> None:
    with_sound(tmp_path / "film.mp4", "aac")
    with (
        av.open(str(tmp_path / "film.mp4")) as source,
        av.open(str(tmp_path / "talk.mka"), "w", format="matroska") as out,
    ):
        template = source.streams.audio[0]
        stream = out.add_stream_from_template(template)
        for packet in source.demux(template):
            if packet.size:
                packet.stream = stream
                out.mux(packet)
    way = playable(tmp_path / "talk.mka")
    assert (way.direct, way.mime) == (False, "audio/mp4")
    write_proxy(tmp_path / "talk.mka", tmp_path / "growing", way)
    settle(tmp_path / "growing", tmp_path / "proxy.mp4")
    assert playable(tmp_path / "proxy.mp4").mime == "audio/mp4"


def until(what: Callable[[], bool], seconds: float = 20.0) -> None:
    end = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < end
        time.sleep(0.02)


def hevc(path: Path, *, count: int = 50, seed: int = 0) -> Path:
    write_video(path, count=count, codec="libx265", options={"x265-params": "log-level=none"}, fps=25 + seed)
    return path


def test_a_film_that_browsers_cannot_play_comes_as_a_proxy(tmp_path: Path) -> None:
    library = Library(tmp_path / "library")
    id = put(library, hevc(tmp_path / "a.mp4"))
    with client_of(library.folder) as client:
        page = client.get(f"/api/videos/{id}").json()
        assert page["proxy"] is True and "HEVC pictures" in page["mediaNote"] and "a.mp4" in page["mediaNote"]
        assert client.get(f"/api/proxy/{id}").json() == {"state": "none", "progress": 0.0, "error": ""}
        streamed = client.get(f"/media/{id}")
        assert streamed.status_code == 200 and "accept-ranges" not in streamed.headers
        (tmp_path / "streamed.mp4").write_bytes(streamed.content)
        assert shown(tmp_path / "streamed.mp4")[0] == list(range(50))
        until(lambda: client.get(f"/api/proxy/{id}").json()["state"] == "ready")
        assert client.get(f"/api/proxy/{id}").json() == {"state": "ready", "progress": 1.0, "error": ""}
        part = client.get(f"/media/{id}", headers={"Range": "bytes=0-99"})
        assert part.status_code == 206
        assert client.head(f"/media/{id}").headers["accept-ranges"] == "bytes"
    folder = library.folder / "cache" / "proxies"
    assert [path.suffix for path in folder.iterdir()] == [".mp4"], "nothing unfinished is left"
    with client_of(library.folder) as client:
        assert client.get(f"/media/{id}", headers={"Range": "bytes=0-99"}).content == part.content


def test_a_proxy_that_cannot_be_made_says_why(tmp_path: Path) -> None:
    proxies = Proxies(tmp_path / "proxies")
    source = hevc(tmp_path / "a.mp4", count=10)
    way = playable(source)
    source.write_bytes(source.read_bytes()[:200])
    assert proxies.want("a", source, way) is Stage.WAITING
    until(lambda: proxies.state("a")[0] is Stage.FAILED)
    assert "a.mp4" in proxies.state("a")[2]
    assert list((tmp_path / "proxies").iterdir()) == []
    proxies.close()


def test_a_full_disk_leaves_no_half_proxy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = hevc(tmp_path / "a.mp4", count=10)

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("longshot.web._proxy.os.replace", full)
    proxies = Proxies(tmp_path / "proxies")
    proxies.want("a", source, playable(source))
    until(lambda: proxies.state("a")[0] is Stage.FAILED)
    assert "No space left on device" in proxies.state("a")[2]
    assert list((tmp_path / "proxies").iterdir()) == []
    proxies.close()


def test_closing_stops_a_proxy_and_leaves_nothing(tmp_path: Path) -> None:
    proxies = Proxies(tmp_path / "proxies")
    source = tmp_path / "a.mp4"
    write_video(source, count=200, size=(640, 480), pixel_format="yuv444p", options={"preset": "ultrafast"})
    proxies.want("a", source, playable(source))
    until(lambda: proxies.state("a")[1] > 0)
    began = time.monotonic()
    proxies.close()
    assert time.monotonic() - began < 1.0
    assert list((tmp_path / "proxies").iterdir()) == []
    assert proxies.want("b", source, playable(source)) is Stage.NONE


def test_proxies_that_nobody_waits_for_make_way(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("longshot.web._proxy._IDLE", 0.0)
    first = tmp_path / "a.mp4"
    write_video(first, count=300, size=(640, 480), pixel_format="yuv444p", options={"preset": "ultrafast"})
    second = hevc(tmp_path / "b.mp4", count=10)
    proxies = Proxies(tmp_path / "proxies")
    proxies.want("a", first, playable(first))
    until(lambda: proxies.state("a")[1] > 0)
    proxies.want("b", second, playable(second))
    until(lambda: proxies.path("b").exists())
    assert proxies.state("a") == (Stage.NONE, 0.0, "")
    proxies.close()


def test_what_a_killed_server_left_is_swept(tmp_path: Path) -> None:
    folder = tmp_path / "proxies"
    folder.mkdir()
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    kept = [folder / f".a.1.{os.getppid()}.part", folder / "b.1.mp4", folder / ".else.part"]
    for path in (*kept, folder / f".c.1.{process.pid}.part", folder / f".c.1.settled.{process.pid}.part"):
        path.write_text("half")
    sweep(folder)
    assert set(folder.iterdir()) == set(kept)


def test_old_proxies_make_room(tmp_path: Path) -> None:
    proxies = Proxies(tmp_path / "proxies", room=1)
    for seed, name in enumerate("ab"):
        source = hevc(tmp_path / f"{name}.mp4", count=10, seed=seed)
        proxies.want(name, source, playable(source))
        until(lambda name=name: proxies.state(name)[0] is Stage.READY)  # type: ignore[misc]
    assert not proxies.path("a").exists() and proxies.path("b").exists()
    proxies.close()


def test_a_library_that_cannot_be_written_has_proxies_elsewhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    library = Library(tmp_path / "library")
    id = put(library, hevc(tmp_path / "a.mp4", count=10))
    monkeypatch.setattr("longshot.web.server.os.access", lambda *_: False)
    with client_of(library.folder) as client:
        assert client.get(f"/media/{id}").status_code == 200
        until(lambda: client.get(f"/api/proxy/{id}").json()["state"] == "ready")
    assert not (library.folder / "cache").exists()


# --- uploads


def adder(exit: int = 0, said: str = "") -> Callable[[Path], list[str]]:
    return lambda path: [sys.executable, "-c", f"import sys; sys.stderr.write({said!r}); sys.exit({exit})"]


def test_uploads_are_off_unless_asked_for(client: TestClient) -> None:
    answer = client.post("/api/upload?name=a.mp4", content=b"x", headers=OWN)
    assert answer.status_code == 403
    assert "--upload" in answer.json()["error"]


def test_an_upload_is_kept_and_added(tmp_path: Path) -> None:
    library = Library(tmp_path / "library")
    write_video(tmp_path / "ball.mp4")
    put(library, tmp_path / "ball.mp4")
    content = hevc(tmp_path / "new.mp4", count=10).read_bytes()
    application = app(library.folder, upload=True, largest=len(content) + 10)
    added: list[Path] = []

    def command(path: Path) -> list[str]:
        added.append(path)
        return adder()(path)

    application.state.viewer.uploads._command = command
    with TestClient(application, base_url=HERE) as client:
        assert client.get("/api/videos").json()["upload"] is True
        for name in ("../../new.mp4", "new.mp4"):
            answer = client.post("/api/upload", params={"name": name}, content=content, headers=OWN)
            assert answer.status_code == 202
        until(lambda: all(row["state"] == "added" for row in client.get("/api/uploads").json()["uploads"]))
        folder = library.folder / "uploads"
        assert sorted(path.name for path in folder.iterdir()) == ["new-2.mp4", "new.mp4"]
        assert added == [folder / "new.mp4", folder / "new-2.mp4"]
        assert (folder / "new.mp4").read_bytes() == content
        refused = [
            (b"not a video", OWN, 400),
            (b"", OWN, 400),
            (content, OWN | {"Content-Type": "text/html"}, 400),
            (content, {"Origin": HERE}, 400),
            (content + b"x" * 100, OWN, 413),
            (iter([content, b"x" * 100]), OWN, 413),
        ]
        for body, headers, status in refused:
            answer = client.post("/api/upload?name=bad.mp4", content=body, headers=headers)
            assert answer.status_code == status
            assert answer.json()["error"]
            assert str(tmp_path) not in answer.text
        assert len(list(folder.iterdir())) == 2, "nothing of a refused upload is left"


def test_an_upload_that_cannot_be_added_says_why(tmp_path: Path) -> None:
    uploads = Uploads(tmp_path, command=adder(3, "/some/where/a.mp4: no good\n"))
    part = uploads.part()
    part.write_bytes(hevc(tmp_path / "a.mp4", count=5).read_bytes())
    upload = uploads.take(part, "a.mp4")
    until(lambda: upload.stage == "failed")
    assert upload.reason == "/some/where/a.mp4: no good"
    part = uploads.part()
    part.write_text("no video")
    with pytest.raises(UsageError, match=r"^b.mp4: not a video"):
        uploads.take(part, "../b.mp4")
    uploads.close()


def test_an_upload_that_breaks_off_leaves_nothing(tmp_path: Path, shelf: tuple[Path, str, Path]) -> None:
    folder = tmp_path / "library"
    shutil.copytree(shelf[0] / "tracks", folder / "tracks")
    with serving(folder, upload=True) as (address, _):
        host = address.removeprefix("http://").rstrip("/")
        with socket.create_connection((host.split(":")[0], int(host.split(":")[1]))) as sender:
            head = f"POST /api/upload?name=a.mp4 HTTP/1.1\r\nHost: {host}\r\nOrigin: http://{host}\r\n"
            sender.sendall(f"{head}Content-Type: video/mp4\r\nContent-Length: 1000000\r\n\r\n".encode() + bytes(5000))
            until(lambda: (folder / "uploads").is_dir() and len(list((folder / "uploads").iterdir())) == 1)
        until(lambda: list((folder / "uploads").iterdir()) == [])


def test_an_upload_to_a_full_disk_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    uploads = Uploads(tmp_path, command=adder())

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    part = uploads.part()
    part.write_bytes(hevc(tmp_path / "a.mp4", count=5).read_bytes())
    monkeypatch.setattr("longshot.web._uploads.os.replace", full)
    with pytest.raises(LongshotError, match="No space left"):
        uploads.take(part, "a.mp4")
    part.unlink()
    assert list((tmp_path / "uploads").iterdir()) == []
    assert uploads.states() == []


def test_closing_ends_what_is_being_added(tmp_path: Path) -> None:
    uploads = Uploads(tmp_path, command=lambda path: [sys.executable, "-c", "import time; time.sleep(60)"])
    part = uploads.part()
    part.write_bytes(hevc(tmp_path / "a.mp4", count=5).read_bytes())
    upload = uploads.take(part, "a.mp4")
    until(lambda: upload.stage == "adding")
    began = time.monotonic()
    uploads.close()
    assert time.monotonic() - began < 5


# --- a real server


@contextmanager
def serving(folder: Path, **options: Any) -> Iterator[tuple[str, _Server]]:
    with _listening("127.0.0.1", 0) as listener:
        address = _address("127.0.0.1", listener.getsockname()[1], None)
        up = threading.Event()
        server = _Server(app(folder, **options), address, open_browser=False, ready=lambda _: up.set())
        thread = threading.Thread(target=server.run_on, args=(listener,))
        thread.start()
        assert up.wait(10)
        try:
            yield address, server
        finally:
            server.should_exit = True
            thread.join(10)
            assert not thread.is_alive()


def test_a_slow_question_holds_nobody_up(shelf: tuple[Path, str, Path]) -> None:
    with serving(shelf[0]) as (address, server):
        viewer = server.config.app.state.viewer  # type: ignore[union-attr]
        begun, stopped = threading.Event(), threading.Event()

        def slow(id: str, query: str, *, limit: int, progress: Callable[[float, float], None]) -> dict[str, Any]:
            begun.set()
            try:
                for _ in range(1000):
                    time.sleep(0.01)
                    progress(0, 1)
            finally:
                stopped.set()
            return {}

        viewer.seeking.find = slow
        host, port = address.removeprefix("http://").rstrip("/").split(":")
        asker = socket.create_connection((host, int(port)))
        asker.sendall(f"GET /api/find?video={shelf[1]}&q=a HTTP/1.1\r\nHost: {host}\r\n\r\n".encode())
        assert begun.wait(5)
        began = time.monotonic()
        with urlopen(f"{address}api/videos") as answer:
            assert answer.status == 200
        assert time.monotonic() - began < 1.0
        assert not stopped.is_set()
        asker.close()
        assert stopped.wait(2), "the client is gone, and so is the work"


def test_what_a_client_no_longer_waits_for_is_not_begun(shelf: tuple[Path, str, Path]) -> None:
    with serving(shelf[0]) as (address, server):
        viewer = server.config.app.state.viewer  # type: ignore[union-attr]
        hold, asked = threading.Event(), []

        def thumb(id: str, second: float, height: int) -> bytes:
            asked.append(second)
            hold.wait(5)
            return b"picture"

        viewer.shown.thumb = thumb
        host, port = address.removeprefix("http://").rstrip("/").split(":")
        sockets = []
        for second in range(6):
            one = socket.create_connection((host, int(port)))
            one.sendall(f"GET /thumb/{shelf[1]}?t={second} HTTP/1.1\r\nHost: {host}\r\n\r\n".encode())
            sockets.append(one)
            until(lambda second=second: len(asked) == min(2, second + 1))  # type: ignore[misc]
        for one in sockets[2:]:
            one.close()
        time.sleep(0.2)
        hold.set()
        assert sockets[0].recv(100).startswith(b"HTTP/1.1 200")
        with urlopen(f"{address}thumb/{shelf[1]}?t=7") as answer:
            assert answer.read() == b"picture"
        assert sorted(asked) == [0.0, 1.0, 7.0]
        for one in sockets:
            one.close()


def test_a_client_that_leaves_in_the_middle_of_a_film(tmp_path: Path) -> None:
    library, video = Library(tmp_path / "library"), tmp_path / "ball.mp4"
    write_video(video)
    with video.open("ab") as file:
        file.write(b"\0\0\0\x08free" + bytes(64 << 20))
    id = put(library, video)
    with serving(library.folder) as (address, _):
        opened = len(os.listdir("/proc/self/fd"))
        for _ in range(5):
            answer = urlopen(Request(f"{address}media/{id}", headers={"Range": "bytes=0-"}))
            assert len(answer.read(1 << 16)) == 1 << 16
            answer.close()
        until(lambda: len(os.listdir("/proc/self/fd")) <= opened + 2, 5)


@pytest.mark.parametrize("sign", [signal.SIGINT, signal.SIGTERM])
def test_it_ends_within_a_second_with_open_connections(
    tmp_path: Path, shelf: tuple[Path, str, Path], sign: signal.Signals
) -> None:
    program = (
        "import sys; from longshot.web.server import serve; "
        f"serve({str(shelf[0])!r}, port=0, ready=lambda address: print(address, flush=True))"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", program], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    try:
        assert process.stdout is not None
        address = process.stdout.readline().strip()
        host, port = address.removeprefix("http://").rstrip("/").split(":")
        idle = socket.create_connection((host, int(port)))
        half = socket.create_connection((host, int(port)))
        half.sendall(b"GET / HTTP/1.1\r\nHost: 127")
        with urlopen(f"{address}media/{shelf[1]}"):
            began = time.monotonic()
            process.send_signal(sign)
            _, errors = process.communicate(timeout=10)
        assert time.monotonic() - began < 1.5
        assert process.returncode == (0 if sign is signal.SIGINT else -signal.SIGTERM)
        assert errors == ""
        idle.close()
        half.close()
    finally:
        process.kill()
        process.wait()


@pytest.mark.parametrize(
    ("host", "token", "address"),
    [
        ("127.0.0.1", None, "http://127.0.0.1:80/"),
        ("localhost", None, "http://localhost:80/"),
        ("::1", None, "http://[::1]:80/"),
        ("10.0.0.7", "abc", "http://10.0.0.7:80/?token=abc"),
        ("0.0.0.0", "abc", f"http://{socket.gethostname()}:80/?token=abc"),
        ("::", "abc", f"http://{socket.gethostname()}:80/?token=abc"),
    ],
)
def test_the_address_that_is_told_can_be_opened(host: str, token: str | None, address: str) -> None:
    assert _address(host, 80, token) == address


def test_a_token_is_made_where_others_can_reach_it(
    shelf: tuple[Path, str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[str] = []

    def run_on(self: _Server, listener: socket.socket) -> None:
        told.append(self._address)

    monkeypatch.setattr(_Server, "run_on", run_on)
    for host in ("0.0.0.0", "127.0.0.1"):
        serve(shelf[0], host=host, port=0)
    assert len(told[0].partition("?token=")[2]) >= 32
    assert "token" not in told[1]
    serve(shelf[0], host="0.0.0.0", port=0)
    assert told[2].partition("?token=")[2] != told[0].partition("?token=")[2]


# --- a real browser

_SEEK = """
const [address, times, done] = arguments;
const video = document.createElement("video");
video.muted = true;
video.src = address;
video.onerror = () => done([video.error.message]);
video.onloadeddata = async () => {
  const found = [];
  for (const time of times) {
    await new Promise((go) => { video.onseeked = go; video.currentTime = time; });
    await new Promise((go) => { video.requestVideoFrameCallback(go); setTimeout(go, 500); });
    const canvas = document.createElement("canvas");
    canvas.width = 160; canvas.height = 96;
    const pen = canvas.getContext("2d");
    pen.drawImage(video, 0, 0, 160, 96);
    const cell = (row, column) => pen.getImageData(column * 40 + 20, row * 24 + 12, 1, 1).data[0];
    found.push([0, 1, 2, 3].map((row) => [0, 1, 2, 3].map((column) => cell(row, column))));
  }
  done(found);
};
"""


@pytest.mark.slow
def test_a_browser_shows_our_frames_at_our_seconds(tmp_path: Path) -> None:
    """The player's clock, moved by the offset that the page is told, shows at a second what `Video.frames` does."""
    if reason := why_not():
        pytest.skip(reason)
    late = [Fraction(3) + Fraction(k, 25) for k in range(75)]
    quick = {"deadline": "realtime", "cpu-used": "8"}
    films: dict[str, dict[str, Any]] = {
        "plain.mp4": {"options": {"bf": "3", "g": "25"}},
        "late.mp4": {"times": late},
        "late.webm": {"times": late, "codec": "libvpx-vp9", "options": quick},
        "copied.mkv": {"options": {"bf": "3", "g": "12"}},
        "encoded.mp4": {"codec": "libx265", "options": {"x265-params": "log-level=none"}, "times": late},
    }
    library = Library(tmp_path / "library")
    for name, how in films.items():
        write_video(tmp_path / name, **{"count": 75, **how})
    ids = {name: put(library, tmp_path / name, ["one"]) for name in films}
    seconds = (0.02, 0.5, 1.02, 2.9, 1.5)
    with serving(library.folder) as (address, _), browser(tmp_path / "browser") as driver:
        for name, id in ids.items():
            page = json.loads(urlopen(f"{address}api/videos/{id}").read())
            assert page["proxy"] is (name in ("copied.mkv", "encoded.mp4"))
            if page["proxy"]:
                urlopen(f"{address}media/{id}").read()
                until(lambda id=id: json.loads(urlopen(f"{address}api/proxy/{id}").read())["state"] == "ready")  # type: ignore[misc]
            driver.get(f"{address}page.css")
            found = driver.execute_async_script(_SEEK, f"/media/{id}", [page["offset"] + second for second in seconds])
            assert len(found) == len(seconds), (name, found)
            boards = [np.kron(np.array(board, np.uint8), np.ones((24, 40), np.uint8)) for board in found]
            numbers = [read_number(np.repeat(board[..., None], 3, axis=2)) for board in boards]
            assert numbers == [int(second * 25 + 1e-6) for second in seconds], name
