"""A server that speaks the chat-completions protocol on 127.0.0.1, and misbehaves as it is told.

with FakeServer() as server:
    server.script = [Answer(status=429, headers={"Retry-After": "1"}), Answer("a cat")]   # one for each request
    ...
    server.bodies                                                                          # what it was asked
"""

from __future__ import annotations

import json
import socket
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self


@dataclass(frozen=True)
class Answer:
    """How one request is answered: with `raw` bytes, or a completion of `text` with `message` and `choice` over it.

    delay: seconds before it. drip: seconds between the bytes. hang: never answer. cut: close in the middle.
    """

    text: str | None = "fine"
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    message: Mapping[str, Any] = field(default_factory=dict)
    choice: Mapping[str, Any] = field(default_factory=dict)
    usage: Any = field(default_factory=lambda: {"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 15})
    raw: bytes | None = None
    delay: float = 0.0
    drip: float = 0.0
    hang: bool = False
    cut: bool = False
    pieces: Sequence[str] = ()

    def body(self) -> bytes:
        if self.raw is not None:
            return self.raw
        message = {"role": "assistant", "content": self.text, **self.message}
        choice = {"index": 0, "finish_reason": "stop", "message": message, **self.choice}
        return json.dumps({"object": "chat.completion", "choices": [choice], "usage": self.usage}).encode()

    def events(self) -> bytes:
        if self.raw is not None:
            return self.raw
        pieces = self.pieces or [self.text or ""]
        rows: list[dict[str, Any]] = [{"choices": [{"index": 0, "delta": {"role": "assistant"}}]}]
        rows += [{"choices": [{"index": 0, "delta": {"content": piece}}]} for piece in pieces]
        rows += [{"choices": [{"index": 0, "delta": {}, "finish_reason": "stop", **self.choice}]}]
        rows += [{"choices": [], "usage": self.usage}]
        return "".join(f"data: {json.dumps(row)}\n\n" for row in rows).encode() + b"data: [DONE]\n\n"


def error(status: int, message: str, **more: Any) -> Answer:
    """An error as OpenAI words it."""
    return Answer(status=status, raw=json.dumps({"error": {"message": message, **more}}).encode())


class FakeServer:
    """The server; `script` answers requests in turn, then `answer` does (a value, or a function of the body)."""

    def __init__(self, *, models: Sequence[str | dict[str, Any]] = ("tiny",), slots: int = 0) -> None:
        self.models: Any = {"object": "list", "data": [m if isinstance(m, dict) else {"id": m} for m in models]}
        self.models_answer: Answer | None = None
        self.script: list[Answer] = []
        self.answer: Answer | Callable[[dict[str, Any]], Answer] = Answer()
        self.bodies: list[dict[str, Any]] = []
        self.keys: list[str | None] = []
        self.paths: list[str] = []
        self.busy = self.most_busy = 0
        self._connections: list[socket.socket] = []
        self.spans: list[tuple[float, float]] = []
        self._room = threading.Semaphore(slots) if slots else None
        self._lock = threading.Lock()
        self._closing = threading.Event()
        self._http = _Http(("127.0.0.1", 0), self._handler())
        self._thread = threading.Thread(target=self._http.serve_forever, args=(0.02,), daemon=True)

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self._http.server_address[1]}/v1"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Stop listening and hang up on everybody."""
        self._closing.set()
        self._http.shutdown()
        self._http.server_close()
        for connection in self._connections:
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
        self._thread.join()

    def text_of(self, body: dict[str, Any]) -> str:
        """All the words of a request's last user message."""
        content = body["messages"][-1]["content"]
        return content if isinstance(content, str) else " ".join(p["text"] for p in content if p["type"] == "text")

    def _next(self, body: dict[str, Any]) -> Answer:
        with self._lock:
            self.bodies.append(body)
            if self.script:
                return self.script.pop(0)
        return self.answer if isinstance(self.answer, Answer) else self.answer(body)

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        server = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            disable_nagle_algorithm = True
            wbufsize = -1

            def setup(self) -> None:
                super().setup()
                server._connections.append(self.connection)

            def log_message(self, *_: object) -> None:
                pass

            def do_GET(self) -> None:
                server.keys.append(self.headers.get("Authorization"))
                server.paths.append(self.path)
                self.send(server.models_answer or Answer(raw=json.dumps(server.models).encode()))

            def do_POST(self) -> None:
                server.keys.append(self.headers.get("Authorization"))
                server.paths.append(self.path)
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                if server._room:
                    server._room.acquire()
                began = time.perf_counter()
                with server._lock:
                    server.busy += 1
                    server.most_busy = max(server.most_busy, server.busy)
                try:
                    answer = server._next(body)
                    if answer.hang:
                        server._closing.wait(30)
                        self.close_connection = True
                        return
                    if answer.delay:
                        server._closing.wait(answer.delay)
                finally:
                    with server._lock:
                        server.busy -= 1
                        server.spans.append((began, time.perf_counter()))
                    if server._room:
                        server._room.release()
                self.send(answer, streaming=bool(body.get("stream")))

            def send(self, answer: Answer, *, streaming: bool = False) -> None:
                events = streaming and answer.status == 200
                content = answer.events() if events else answer.body()
                head = {"Content-Type": "text/event-stream" if events else "application/json"}
                head |= {"Content-Length": str(len(content))} | dict(answer.headers)
                self.send_response(answer.status)
                for name, value in head.items():
                    self.send_header(name, value)
                self.end_headers()
                if answer.cut:
                    content = content[: len(content) // 2]
                    self.close_connection = True
                if answer.drip:
                    for k in range(len(content)):
                        self.wfile.write(content[k : k + 1])
                        self.wfile.flush()
                        if server._closing.wait(answer.drip):
                            return
                else:
                    self.wfile.write(content)

        return Handler


class _Http(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128
    block_on_close = False

    def handle_error(self, *_: object) -> None:
        """An asker that went away in the middle is no news."""
