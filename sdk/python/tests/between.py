"""A small proxy between a client and the gateway, which meddles with the connection or with what is said."""

from __future__ import annotations

import http.client
import json
import threading
from collections.abc import Callable, Mapping, Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any
from urllib.parse import urlsplit


class Answer:
    """What the gateway answered, to be altered."""

    def __init__(self, status: int, headers: dict[str, str], body: bytes) -> None:
        self.status = status
        self.headers = headers
        self.body = body

    def alter(self, change: Callable[[Any], None]) -> None:
        """Changes the JSON of the body."""
        value = json.loads(self.body)
        change(value)
        self.body = json.dumps(value).encode()


class Between:
    """Passes requests on, but for `faults` first ones, each of which happens to one request:

    - `cut before`: the connection is closed, and nothing was passed on;
    - `cut after`: the gateway has acted and answered, and the connection is closed without a word;
    - `cut within`: the connection is closed in the middle of the answer;
    - `silence`: nothing is ever answered, until the proxy ends;
    - an `Answer` is given in place of the gateway's.

    `alter` may change each answer, and `paths` leads requests elsewhere.
    """

    def __init__(
        self,
        endpoint: str,
        faults: Sequence[str | Answer] = (),
        alter: Callable[[str, Answer], None] | None = None,
        paths: Mapping[str, str] | None = None,
    ) -> None:
        self.seen: list[tuple[str, str, str | None]] = []
        self.answers: list[Answer] = []
        self._gateway = urlsplit(endpoint).netloc
        self._faults = list(faults)
        self._alter = alter
        self._paths = paths or {}
        self._ended = threading.Event()
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do(self) -> None:
                outer._handle(self)

            do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = do

            def log_message(self, format: str, *args: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.endpoint = f"http://127.0.0.1:{self._server.server_address[1]}"

    def __enter__(self) -> Between:
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._ended.set()
        self._server.shutdown()
        self._server.server_close()

    def _handle(self, asked: BaseHTTPRequestHandler) -> None:
        body = asked.rfile.read(int(asked.headers.get("content-length", "0")))
        self.seen.append((asked.command, asked.path, asked.headers.get("idempotency-key")))
        fault = self._faults.pop(0) if self._faults else ""
        asked.close_connection = True
        if fault == "cut before":
            return
        if fault == "silence":
            self._ended.wait(30)
            return
        answer = fault if isinstance(fault, Answer) else self._ask(asked, body)
        self.answers.append(answer)
        if fault == "cut after":
            return
        if self._alter is not None:
            self._alter(asked.path, answer)
        asked.send_response(answer.status)
        for name, value in answer.headers.items():
            asked.send_header(name, value)
        asked.send_header("content-length", str(len(answer.body)))
        asked.send_header("connection", "close")
        asked.end_headers()
        asked.wfile.write(answer.body[: len(answer.body) // 2] if fault == "cut within" else answer.body)

    def _ask(self, asked: BaseHTTPRequestHandler, body: bytes) -> Answer:
        connection = http.client.HTTPConnection(self._gateway, timeout=30)
        headers = {name: value for name, value in asked.headers.items() if name.lower() not in ("host", "connection", "accept-encoding")}
        path, _, query = asked.path.partition("?")
        connection.request(asked.command, f"{self._paths.get(path, path)}?{query}", body or None, headers)
        answer = connection.getresponse()
        kept = {name: value for name, value in answer.getheaders() if name.lower() not in ("content-length", "connection", "transfer-encoding")}
        read = Answer(answer.status, kept, answer.read())
        connection.close()
        return read
