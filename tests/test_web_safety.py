"""Nothing but the videos of the library leaves, and only to the page of this server."""

from __future__ import annotations

import json
import os
import re
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from starlette.testclient import TestClient

from longshot.errors import UsageError
from longshot.library import Library, VideoRecord
from longshot.timeline import Caption, Source, Span, Track
from longshot.video import content_id
from longshot.web._safety import attachment, in_script, is_loopback, without_folders
from longshot.web._uploads import safe_name
from longshot.web.server import _address, _listening, _Server, app, serve
from tests.videos import write_video

HERE = "http://127.0.0.1:8765"
SECRET = "the words of a file that nobody added"
XSS = '</script><script>alert(1)</script><img src=x onerror="alert(2)">'


def library_of(folder: Path, *, text: str = "a red ball") -> tuple[Path, str]:
    """A library with one video of two seconds, and the video's id."""
    video = folder / "films" / "ball.mp4"
    video.parent.mkdir(parents=True)
    write_video(video)
    library, id = Library(folder / "library"), content_id(video)
    library.save_video(VideoRecord(id, video.name, str(video), 2.0, (160, 96), 25.0, "h264"))
    library.save(Track(id, "clip", Source("recap", "observer"), (Caption(Span(0, 2), text),), video.name, 2.0))
    (folder / "secret.txt").write_text(SECRET)
    (folder / "library" / "secret.txt").write_text(SECRET)
    return library.folder, id


@pytest.fixture(scope="module")
def shelf(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    return library_of(tmp_path_factory.mktemp("safety"))


@contextmanager
def client_of(folder: Path, **options: object) -> Iterator[TestClient]:
    with TestClient(app(folder, **options), base_url=HERE, follow_redirects=False) as client:  # type: ignore[arg-type]
        yield client


@pytest.fixture(scope="module")
def client(shelf: tuple[Path, str]) -> Iterator[TestClient]:
    with client_of(shelf[0]) as client:
        yield client


# --- what is asked for, byte by byte


@pytest.fixture(scope="module")
def port(shelf: tuple[Path, str]) -> Iterator[int]:
    """A real server, since a client would tidy up the paths that matter here."""
    with _listening("127.0.0.1", 0) as listener:
        number = listener.getsockname()[1]
        up = threading.Event()
        server = _Server(
            app(shelf[0]), _address("127.0.0.1", number, None), open_browser=False, ready=lambda _: up.set()
        )
        thread = threading.Thread(target=server.run_on, args=(listener,))
        thread.start()
        assert up.wait(10)
        yield number
        server.should_exit = True
        thread.join(10)
        assert not thread.is_alive()


def raw(port: int, request: bytes) -> bytes:
    with socket.create_connection(("127.0.0.1", port), timeout=10) as connection:
        connection.sendall(request)
        return b"".join(iter(lambda: connection.recv(65536), b""))


def get(port: int, target: bytes, *lines: bytes) -> bytes:
    head = [b"GET " + target + b" HTTP/1.1", b"Host: 127.0.0.1:%d" % port, b"Connection: close", *lines]
    return raw(port, b"\r\n".join(head) + b"\r\n\r\n")


TRAVERSALS = [
    b"/../secret.txt",
    b"/media/../../secret.txt",
    b"/media/..%2f..%2fsecret.txt",
    b"/media/%2e%2e/%2e%2e/secret.txt",
    b"/media/%2e%2e%2f%2e%2e%2fsecret.txt",
    b"/media/%252e%252e%252fsecret.txt",
    b"/media/..%5c..%5csecret.txt",
    b"/media/..",
    b"/media/%2e%2e",
    b"/media/.",
    b"/media/%00",
    b"/media/ID%00.txt",
    b"/media/ID/../../../secret.txt",
    b"/media/ID%2f..%2f..%2fsecret.txt",
    b"/media//etc/passwd",
    b"/media/%2fetc%2fpasswd",
    b"//etc/passwd",
    b"/%2fetc%2fpasswd",
    b"/page.css/../../server.py",
    b"/page%2ecss/..%2f__init__.py",
    b"/thumb/..%2f..?t=0",
    b"/thumb/%2e%2e?t=0",
    b"/captions/../clip.vtt",
    b"/captions/ID/..%2f..%2fsecret.txt.vtt",
    b"/captions/ID/%2e%2e%2fclip.vtt",
    b"/captions/ID/..%00.vtt",
    b"/export/..?format=srt",
    b"/export/ID?format=..%2f..%2fsecret",
    b"/export/ID?format=srt&level=..%2f..%2fsecret",
    b"/api/videos/..%2f..%2fsecret.txt",
    b"/api/videos/tracks%2f..",
    b"/api/find?video=..%2f..%2fsecret.txt&q=words",
    b"/api/proxy/..%2fsecret.txt",
    b"/media/con",
    b"/media/" + b"a" * 300,
    b"/media/\xff\xfe",
    b"/media/%ff%fe",
    b"file:///etc/passwd",
    b"/media/ID;/../../secret.txt",
]


@pytest.mark.parametrize("target", TRAVERSALS)
def test_no_path_leads_out(port: int, shelf: tuple[Path, str], target: bytes) -> None:
    answer = get(port, target.replace(b"ID", shelf[1].encode()))
    status = int(answer.split(b" ", 2)[1])
    assert 400 <= status < 500
    assert SECRET.encode() not in answer
    assert b"root:" not in answer
    assert str(shelf[0].parent).encode() not in answer
    assert b"Traceback" not in answer


@pytest.mark.parametrize(
    ("request_", "status"),
    [
        (b"GET / HTTP/1.1\r\nConnection: close\r\n\r\n", 400),
        (b"GET / HTTP/1.0\r\n\r\n", 421),
        (b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nHost: evil.example\r\nConnection: close\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: \r\nConnection: close\r\n\r\n", 421),
        (b"GET / HTTP/1.1\r\nHost: evil.example\r\nConnection: close\r\n\r\n", 421),
        (b"GET / HTTP/1.1\r\nHost: 127.0.0.1.evil.example\r\nConnection: close\r\n\r\n", 421),
        (b"GET / HTTP/1.1\r\nHost: evil.example@127.0.0.1\r\nConnection: close\r\n\r\n", 421),
        (b"GET / HTTP/1.1\r\nHost: 127.0.0.1 evil\r\nConnection: close\r\n\r\n", 421),
        (b"GET http://evil.example/ HTTP/1.1\r\nHost: evil.example\r\nConnection: close\r\n\r\n", 421),
        (b"GET / HTTP/1.1\r\nHost: 192.168.0.7\r\nConnection: close\r\n\r\n", 421),
        (b"GET / HTTP/1.1\r\nHost: [::2]\r\nConnection: close\r\n\r\n", 421),
        (b"DELETE / HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n", 405),
        (b"OPTIONS /api/videos HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n", 405),
        (b"TRACE / HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n", 405),
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n", 400),
    ],
)
def test_a_host_that_is_not_ours_is_refused(port: int, request_: bytes, status: int) -> None:
    answer = raw(port, request_)
    assert int(answer.split(b" ", 2)[1]) == status
    assert b"<html" not in answer.lower()


def test_headers_without_end_are_cut_off(port: int) -> None:
    with socket.create_connection(("127.0.0.1", port), timeout=10) as connection:
        try:
            connection.sendall(b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nX: " + b"a" * 3_000_000)
            answer = connection.recv(65536)
        except ConnectionError:
            answer = b""
    assert answer == b"" or answer.startswith(b"HTTP/1.1 400")


@pytest.mark.parametrize("host", ["127.0.0.1", "127.0.0.1:9", "localhost:8765", "LOCALHOST", "[::1]:8765", "127.1.2.3"])
def test_this_machine_is_let_in_by_every_name_of_it(port: int, host: str) -> None:
    answer = raw(port, f"GET /api/videos HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n".encode())
    assert answer.startswith(b"HTTP/1.1 200")


def test_the_server_does_not_say_what_it_is_made_of(port: int) -> None:
    head = get(port, b"/").partition(b"\r\n\r\n")[0].lower()
    assert b"\r\nserver:" not in head


# --- headers


@pytest.mark.parametrize(
    "path",
    [
        *("/", "/page.css", "/page.js", "/api/videos", "/api/videos/ID", "/media/ID", "/thumb/ID?t=1", "/nothing"),
        *("/media/x", "/captions/ID/clip.vtt", "/export/ID?format=srt&level=clip", "/api/search?q="),
        "/api/find?video=ID&q=ball",
    ],
)
def test_every_answer_has_the_headers(client: TestClient, shelf: tuple[Path, str], path: str) -> None:
    headers = client.get(path.replace("ID", shelf[1])).headers
    assert "default-src 'self'" in headers["content-security-policy"]
    assert "frame-ancestors 'none'" in headers["content-security-policy"]
    assert "unsafe" not in headers["content-security-policy"]
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["referrer-policy"] == "no-referrer"
    assert headers["cross-origin-resource-policy"] == "same-origin"
    assert "access-control-allow-origin" not in headers


def test_a_refusal_and_a_bug_have_the_headers_too(shelf: tuple[Path, str]) -> None:
    with client_of(shelf[0]) as client:
        assert client.get("/", headers={"Host": "evil.example"}).headers["x-content-type-options"] == "nosniff"
    application = app(shelf[0])

    def broken() -> None:
        raise RuntimeError(f"went wrong in {shelf[0]}")

    application.state.viewer.shown.videos = broken
    with TestClient(application, base_url=HERE, raise_server_exceptions=False) as client:
        answer = client.get("/api/videos")
    assert answer.status_code == 500
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert str(shelf[0]) not in answer.text
    assert "RuntimeError" not in answer.text


def test_the_page_has_no_script_or_style_of_its_own(client: TestClient) -> None:
    page = client.get("/").text
    scripts = re.findall(r"<script\b[^>]*>", page)
    assert all("src=" in tag or 'type="application/json"' in tag for tag in scripts)
    assert "<style" not in page
    assert not re.search(r"\son\w+=", page)
    assert not re.search(r"https?://(?!www\.w3\.org/)", page)


# --- who asks


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 200),
        ({"Sec-Fetch-Site": "same-origin"}, 200),
        ({"Sec-Fetch-Site": "none", "Sec-Fetch-Mode": "navigate"}, 200),
        ({"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "no-cors"}, 403),
        ({"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "cors"}, 403),
        ({"Sec-Fetch-Site": "same-site", "Sec-Fetch-Mode": "cors"}, 403),
        ({"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate"}, 403),
    ],
)
def test_other_pages_cannot_ask(client: TestClient, headers: dict[str, str], status: int) -> None:
    assert client.get("/api/videos", headers=headers).status_code == status


def test_a_link_from_elsewhere_opens_the_page(client: TestClient) -> None:
    assert client.get("/", headers={"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate"}).status_code == 200


@pytest.mark.parametrize(
    "origin",
    [
        *(None, "null", "", "http://evil.example", "http://127.0.0.1:9999", "http://127.0.0.1"),
        *("https://x.127.0.0.1:8765", "http://127.0.0.1:8765.evil.example", "http://evil@127.0.0.1:8765"),
        "file://127.0.0.1:8765",
    ],
)
def test_only_the_own_page_may_send(shelf: tuple[Path, str], origin: str | None) -> None:
    headers = {"Content-Type": "video/mp4"} | ({"Origin": origin} if origin is not None else {})
    with client_of(shelf[0], upload=True) as client:
        answer = client.post("/api/upload?name=a.mp4", content=b"x", headers=headers)
        assert answer.status_code == 403
        assert client.get("/api/uploads").json() == {"uploads": []}


# --- the token


def test_another_host_needs_a_token(shelf: tuple[Path, str]) -> None:
    with pytest.raises(UsageError, match="token"):
        app(shelf[0], host="0.0.0.0")
    with pytest.raises(UsageError, match="empty"):
        app(shelf[0], token="")
    assert is_loopback("127.0.0.1") and is_loopback("localhost") and is_loopback("::1")
    assert not is_loopback("0.0.0.0") and not is_loopback("::") and not is_loopback("example.org")


def test_the_token_opens_by_its_address_and_stays_as_a_cookie(shelf: tuple[Path, str]) -> None:
    with client_of(shelf[0], host="0.0.0.0", token="s3cret") as client:
        for path in (
            "/",
            "/api/videos",
            f"/media/{shelf[1]}",
            "/page.js",
            "/?token=wrong",
            "/?token=",
            "/?token=s3cre",
        ):
            assert client.get(path).status_code == 401
        assert client.get("/api/videos?token=s3cret").status_code == 401, "only the page takes it from its address"
        opened = client.get("/?token=s3cret&video=abc")
        assert opened.status_code == 303
        assert opened.headers["location"] == "/?video=abc"
        cookie = opened.headers["set-cookie"].lower()
        assert "httponly" in cookie and "samesite=strict" in cookie
        assert client.get("/api/videos").status_code == 200
        client.cookies.clear()
        assert client.get("/api/videos", headers={"Authorization": "Bearer s3cret"}).status_code == 200
        assert client.get("/api/videos", headers={"Authorization": "Bearer wrong"}).status_code == 401
        assert client.get("/api/videos", headers={"Cookie": "longshot-8765=wrong"}).status_code == 401
        assert "s3cret" not in client.get("/", headers={"Authorization": "Bearer s3cret"}).text


@pytest.mark.parametrize(
    ("host", "name"), [("[::1]", "longshot-80"), ("[::1]:99", "longshot-99"), ("10.0.0.1", "longshot-80")]
)
def test_each_port_has_a_cookie_of_its_own(shelf: tuple[Path, str], host: str, name: str) -> None:
    with client_of(shelf[0], host="0.0.0.0", token="s3cret") as client:
        opened = client.get("/?token=s3cret", headers={"Host": host})
        assert opened.headers["set-cookie"].startswith(f"{name}=s3cret;")
        assert client.get("/api/videos", headers={"Host": host, "Cookie": f"{name}=s3cret"}).status_code == 200
        assert client.get("/api/videos", headers={"Host": host, "Cookie": "longshot-1=s3cret"}).status_code == 401


@pytest.mark.parametrize(("host", "status"), [("10.1.2.3:8765", 200), ("[fe80::1]:8765", 200), ("evil.example", 421)])
def test_elsewhere_addresses_are_taken_and_foreign_names_are_not(
    shelf: tuple[Path, str], host: str, status: int
) -> None:
    headers = {"Host": host, "Authorization": "Bearer s3cret"}
    with client_of(shelf[0], host="0.0.0.0", token="s3cret") as client:
        assert client.get("/api/videos", headers=headers).status_code == status
        own = {**headers, "Host": f"{socket.gethostname()}:8765"}
        assert client.get("/api/videos", headers=own).status_code == 200


# --- files


def test_a_file_that_was_replaced_is_not_sent(tmp_path: Path) -> None:
    folder, id = library_of(tmp_path)
    video = tmp_path / "films" / "ball.mp4"
    with client_of(folder) as client:
        assert client.get(f"/media/{id}").status_code == 200
        for put in (
            lambda: video.write_text(SECRET),
            lambda: video.symlink_to(tmp_path / "secret.txt"),
            lambda: video.symlink_to("/dev/zero"),
            lambda: os.mkfifo(video),
            lambda: video.mkdir(),
            lambda: None,
        ):
            if video.is_dir():
                video.rmdir()
            video.unlink(missing_ok=True)
            put()
            for path in (f"/media/{id}", f"/thumb/{id}?t=0"):
                answer = client.get(path)
                assert answer.status_code == 404
                assert SECRET not in answer.text
                assert str(tmp_path) not in answer.text
            page = client.get(f"/api/videos/{id}").json()
            assert page["media"] is None
            assert "ball.mp4" in page["mediaNote"]
            assert page["levels"][0]["captions"][0][2] == "a red ball"


def test_links_inside_the_library_lead_nowhere(tmp_path: Path) -> None:
    folder, id = library_of(tmp_path)
    outside, other = library_of(tmp_path / "outside", text=SECRET)
    (folder / "tracks" / "linked").symlink_to(outside / "tracks" / other)
    (folder / "tracks" / id / "speech.jsonl").symlink_to(outside / "tracks" / other / "clip.jsonl")
    with client_of(folder) as client:
        assert [row["id"] for row in client.get("/api/videos").json()["videos"]] == [id]
        for path in (
            "/api/videos/linked",
            f"/api/videos/{id}",
            f"/captions/{id}/speech.vtt",
            "/api/find?video=linked&q=a",
        ):
            answer = client.get(path)
            assert answer.status_code >= 400
            assert SECRET not in answer.text


def test_one_video_is_shown_alone_when_that_was_asked(tmp_path: Path) -> None:
    folder, id = library_of(tmp_path)
    Library(folder).save_video(VideoRecord("other", "other.mp4"))
    with client_of(folder, video=id) as client:
        assert [row["id"] for row in client.get("/api/videos").json()["videos"]] == [id]
        assert client.get("/api/videos/other").status_code == 404
        assert f'"video":"{id}"' in client.get("/").text
    with pytest.raises(UsageError, match="no video 'nothing'"):
        app(folder, video="nothing")
    with pytest.raises(UsageError, match="nothing to view"):
        app(tmp_path / "nowhere")


# --- text


def test_text_stays_text(tmp_path: Path) -> None:
    folder, id = library_of(tmp_path, text=XSS)
    library = Library(folder)
    library.save_video(VideoRecord(id, XSS, str(tmp_path / "films" / "ball.mp4"), 2.0))
    with client_of(folder) as client:
        page = client.get(f"/api/videos/{id}")
        assert page.headers["content-type"] == "application/json"
        assert page.json()["levels"][0]["captions"][0][2] == XSS
        assert page.json()["name"] == XSS
        found = client.get(f"/api/find?video={id}", params={"video": id, "q": XSS})
        assert found.headers["content-type"] == "application/json"
        captions = client.get(f"/captions/{id}/clip.vtt")
        assert captions.headers["content-type"].startswith("text/vtt")
        assert "<script" not in captions.text
        saved = client.get(f"/export/{id}?format=markdown")
        assert saved.headers["content-type"] == "application/octet-stream"
        assert saved.headers["content-disposition"].startswith("attachment;")


def test_data_cannot_leave_its_script_element() -> None:
    value = {"name": XSS + "<!--\u2028\u2029&amp;]]>"}
    text = in_script(value)
    assert not re.search("[<>&\u2028\u2029]", text)
    assert json.loads(text) == value


@pytest.mark.parametrize(
    ("name", "plain"),
    [
        ("talk.srt", "talk.srt"),
        ('a"b\r\nSet-Cookie: x=1.srt', "a_b_Set-Cookie_ x=1.srt"),
        ("../../etc/passwd", "_.._etc_passwd"),
        ("Größe 1.srt", "Gr__e 1.srt"),
        ("日本語.vtt", "___.vtt"),
        ("a%2e%2e.srt", "a_2e_2e.srt"),
        ("  ..  ", "download"),
        ("", "download"),
        ("x" * 300, "x" * 150),
        ("\udc80.srt", "_.srt"),
    ],
)
def test_a_download_has_a_name_that_is_safe(name: str, plain: str) -> None:
    header = attachment(name)
    assert f'filename="{plain}"' in header
    assert re.fullmatch(r"attachment; filename=\"[^\"\\/\r\n]+\"; filename\*=UTF-8''[A-Za-z0-9%._~-]+", header)


@pytest.mark.parametrize(
    ("name", "safe"),
    [
        ("talk.mp4", "talk.mp4"),
        ("../../.ssh/authorized_keys", "authorized_keys"),
        ("C:\\Windows\\evil.exe", "evil.exe"),
        (".hidden.mp4", "hidden.mp4"),
        ("..", "video"),
        ("", "video"),
        ("a\0b\nc.mp4", "a_b_c.mp4"),
        ("x?*<>|.mp4", "x_____.mp4"),
        ("a.mp4/", "video"),
        ("\u00e9" * 200 + ".mp4", "\u00e9" * 58 + ".mp4"),
        ("a.not-a-suffix", "a"),
    ],
)
def test_an_upload_has_a_name_that_is_safe(name: str, safe: str) -> None:
    assert safe_name(name) == safe


def test_messages_name_files_and_not_folders() -> None:
    assert without_folders("/home/ann/talks/one.mp4: is empty") == "one.mp4: is empty"
    assert without_folders("see line 3 of '/a/b/c.jsonl' and d/e.srt") == "see line 3 of 'c.jsonl' and d/e.srt"
    assert without_folders("1/2 of 3") == "1/2 of 3"


# --- limits


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/api/find?video=ID&q=" + "a" * 2001, 400),
        ("/api/search?q=" + "a" * 2001, 400),
        ("/api/search?q=", 400),
        ("/api/search", 400),
        ("/api/search?q=%20%09", 400),
        ("/api/search?q=a&limit=0", 400),
        ("/api/search?q=a&limit=1e9", 400),
        ("/api/search?q=a&limit=nan", 400),
        ("/thumb/ID?t=nan", 400),
        ("/thumb/ID?t=inf", 400),
        ("/thumb/ID?t=-1", 400),
        ("/thumb/ID?t=1&h=100000", 400),
        ("/thumb/ID?t=1&h=0", 400),
        ("/thumb/ID?t=<script>", 400),
        ("/export/ID?format=", 404),
        ("/export/ID?format=exe", 404),
        ("/export/ID?format=srt:nothing&level=clip", 400),
        ("/export/ID?format=srt&level=nothing", 400),
        ("/captions/ID/nothing.vtt", 404),
        ("/captions/ID/clip.vtt?kind=nothing", 400),
        ("/api/find?q=ball", 404),
        ("/api/nothing", 404),
    ],
)
def test_bad_requests_get_one_line(client: TestClient, shelf: tuple[Path, str], path: str, status: int) -> None:
    answer = client.get(path.replace("ID", shelf[1]))
    assert answer.status_code == status
    said = answer.json()["error"]
    assert said and "\n" not in said and len(said) < 400
    assert str(shelf[0].parent) not in said


def test_a_taken_port_is_one_line(shelf: tuple[Path, str]) -> None:
    with _listening("127.0.0.1", 0) as listener:
        taken = listener.getsockname()[1]
        with pytest.raises(UsageError, match=f"port {taken} is taken"):
            serve(shelf[0], port=taken)
    with pytest.raises(UsageError, match="65536"):
        serve(shelf[0], port=65536)
    with pytest.raises(UsageError, match="no address of this machine"):
        serve(shelf[0], host="no such host", token="x")
