"""Serve the page of a folder's runs and their reports on this machine, read-only."""

from __future__ import annotations

import os
import socketserver
import stat
import sys
from contextlib import suppress
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any, BinaryIO
from urllib.parse import unquote_to_bytes

from evalkit.errors import InputError, Problem
from evalkit.operations.view import PAGE, page_of_runs
from evalkit.store.folder import (
    COMMENT,
    COMPARISON,
    DECISION,
    FAILURES,
    JUNIT,
    MANIFEST,
    MARKDOWN,
    RECORD,
    REPORT,
    ROWS,
    SEAL,
    SUMMARY,
    TIMINGS,
)

HOST = "127.0.0.1"
_HTML, _TEXT, _JSON = "text/html; charset=utf-8", "text/plain; charset=utf-8", "application/json"
_TYPES = {
    REPORT: _HTML,
    **dict.fromkeys((COMMENT, DECISION, MANIFEST, SUMMARY, TIMINGS, COMPARISON), _JSON),
    # As text, because a browser runs scripts in XML.
    **dict.fromkeys((FAILURES, JUNIT, MARKDOWN, RECORD, ROWS, SEAL), _TEXT),
}
"""Name of a file in a run folder -> its content type; no other file is served."""
_MARKS = (MANIFEST, COMPARISON)
"""A folder with one of these is a run, or a comparison of several."""
_PIECE_BYTES = 1 << 20
_MOST_PARTS = 4
"""Parts of the longest path: `run/systems/name/report.html`."""
_SANDBOX = (
    "sandbox allow-scripts allow-downloads; default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; "
    "img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
"""Added to the policy in a report: a report that someone else has written can neither read another one nor send it."""
_ALWAYS = {
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-store",
}


class RunsServer(socketserver.ThreadingTCPServer):
    """A server on 127.0.0.1 for one folder."""

    daemon_threads = True
    allow_reuse_address = os.name != "nt"

    def __init__(self, folder: Path, port: int) -> None:
        """Listen on a port; 0 for any free one.

        Raises:
            InputError: the port is taken.
        """
        self.folder = folder.resolve()
        try:
            super().__init__((HOST, port), _Handler)
        except (OSError, OverflowError) as error:
            what = f"port {port} cannot be used: {getattr(error, 'strerror', None) or error}"
            raise InputError(
                Problem("--port", what, "name another one, or write `--port 0` for any free one")
            ) from None

    @property
    def url(self) -> str:
        """Address of the page."""
        return f"http://{HOST}:{self.server_address[1]}/"

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Report a fault of evalkit in one line; a reader that leaves is not one."""
        error = sys.exception()
        if not isinstance(error, ConnectionError | TimeoutError):
            sys.stderr.write(f"evalkit: a request failed ({type(error).__name__}: {error})\n")


class _Handler(BaseHTTPRequestHandler):
    """Answer GET and HEAD."""

    server: RunsServer
    timeout = 30
    server_version, sys_version = "evalkit", ""

    def do_GET(self) -> None:
        self._answer(body=True)

    def do_HEAD(self) -> None:
        self._answer(body=False)

    def _refused(self) -> None:
        self._say(HTTPStatus.METHOD_NOT_ALLOWED, "only GET and HEAD are answered", body=True, Allow="GET, HEAD")

    do_POST = do_PUT = do_PATCH = do_DELETE = do_OPTIONS = do_TRACE = do_CONNECT = _refused

    def _answer(self, *, body: bool) -> None:
        port = self.server.server_address[1]
        if self.headers.get_all("Host") not in ([f"{HOST}:{port}"], [f"localhost:{port}"]):
            # A name that someone else points at 127.0.0.1 would make their page the same site as this one.
            self._say(HTTPStatus.FORBIDDEN, f"open {self.server.url}", body=body)
            return
        parts = path_parts(self.path)
        if parts in ([], [PAGE]):
            self._page(body=body)
        elif parts is None or (opened := open_inside(self.server.folder, parts)) is None:
            self._say(HTTPStatus.NOT_FOUND, "no such page", body=body)
        else:
            with opened:
                self._file(opened, _TYPES[parts[-1]], body=body)

    def _page(self, *, body: bool) -> None:
        try:
            text = page_of_runs(self.server.folder)
        except InputError as error:
            self._say(HTTPStatus.INTERNAL_SERVER_ERROR, str(error), body=body)
            return
        data = text.encode("utf-8", "replace")
        self._head(HTTPStatus.OK, _HTML, len(data), {"Content-Security-Policy": "frame-ancestors 'none'"})
        if body:
            self.wfile.write(data)

    def _file(self, opened: BinaryIO, kind: str, *, body: bool) -> None:
        size = os.fstat(opened.fileno()).st_size
        self._head(HTTPStatus.OK, kind, size, {"Content-Security-Policy": _SANDBOX})
        if body:
            while size > 0 and (piece := opened.read(min(size, _PIECE_BYTES))):  # the file may have grown
                self.wfile.write(piece)
                size -= len(piece)

    def _say(self, status: HTTPStatus, text: str, *, body: bool, **headers: str) -> None:
        data = f"{text}\n".encode("utf-8", "replace")
        self._head(status, _TEXT, len(data), headers)
        if body:
            self.wfile.write(data)

    def _head(self, status: HTTPStatus, kind: str, size: int, headers: dict[str, str]) -> None:
        self.send_response(status)
        for name, value in {"Content-Type": kind, "Content-Length": str(size), **_ALWAYS, **headers}.items():
            self.send_header(name, value)
        self.end_headers()

    def log_message(self, format: str, *args: Any) -> None:
        """Log nothing."""


def path_parts(path: str) -> list[str] | None:
    """Split the path of a request into names; `None` if a name is empty, hidden, `..`, or holds a separator or NUL.

    Names are decoded after the split, so that an encoded slash does not become a separator.
    """
    path = path.partition("?")[0]
    if not path.startswith("/"):
        return None
    parts = [os.fsdecode(unquote_to_bytes(part)) for part in path.split("/")[1:]]
    if parts == [""]:
        return []
    unsafe = any(not part or part.startswith(".") or any(mark in part for mark in "/\\\0:") for part in parts)
    return None if unsafe else parts


def open_inside(folder: Path, parts: list[str]) -> BinaryIO | None:
    """Open a file of a run folder; `None` for any other file, and for one that a link leads out of `folder`.

    Args:
        folder: the resolved folder around the run folders.
        parts: names below it, as of `path_parts`.
    """
    place = folder.joinpath(*parts)
    if not 2 <= len(parts) <= _MOST_PARTS or parts[-1] not in _TYPES:
        return None
    with suppress(OSError, RuntimeError, ValueError):
        real = place.resolve(strict=True)
        if not real.is_relative_to(folder) or not any((place.parent / mark).is_file() for mark in _MARKS):
            return None
        # Without waiting for the other end of a pipe.
        fd = os.open(real, os.O_RDONLY | (0 if sys.platform == "win32" else os.O_NONBLOCK | os.O_NOFOLLOW))
        opened = os.fdopen(fd, "rb")
        if stat.S_ISREG(os.fstat(fd).st_mode):
            return opened
        opened.close()
    return None
