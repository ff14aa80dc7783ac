"""The server of `evalkit view --serve` over real HTTP: what it gives, and to whom."""

from __future__ import annotations

import http.client
import os
import socket
import threading
from collections.abc import Iterator
from http.client import HTTPResponse
from pathlib import Path

import pytest

from evalkit.errors import InputError
from evalkit.operations.serve import RunsServer, path_parts
from evalkit.store.folder import MANIFEST, REPORT, ROWS


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A run, a comparison, and files that nobody may read."""
    (tmp_path / "secret.txt").write_text("secret", encoding="utf-8")
    (tmp_path / "outside").mkdir()
    for run in (tmp_path / "outside", tmp_path / "reports" / "one", tmp_path / "reports" / "many" / "systems" / "a"):
        run.mkdir(parents=True, exist_ok=True)
        (run / MANIFEST).write_text("{}", encoding="utf-8")
        (run / REPORT).write_text("<!doctype html><title>report</title>", encoding="utf-8")
    reports = tmp_path / "reports"
    (reports / "many" / "comparison.json").write_text("{}", encoding="utf-8")
    (reports / "many" / REPORT).write_text("several", encoding="utf-8")
    (reports / "one" / "junit.xml").write_text("<a/>", encoding="utf-8")
    (reports / "one" / "private.txt").write_text("secret", encoding="utf-8")
    (reports / "one" / ".running").write_text("secret", encoding="utf-8")
    (reports / "notes").mkdir()
    (reports / "notes" / REPORT).write_text("secret", encoding="utf-8")
    (reports / REPORT).write_text("secret", encoding="utf-8")
    (reports / "linked").symlink_to(tmp_path / "outside")
    (reports / "one" / "summary.md").symlink_to(tmp_path / "secret.txt")
    os.mkfifo(reports / "one" / ROWS)
    return reports


@pytest.fixture
def server(folder: Path) -> Iterator[RunsServer]:
    """The server on a free port."""
    with RunsServer(folder, 0) as made:
        thread = threading.Thread(target=made.serve_forever)
        thread.start()
        yield made
        made.shutdown()
        thread.join()


def ask(server: RunsServer, path: str, method: str = "GET", host: str | None = None) -> tuple[HTTPResponse, bytes]:
    """Send one request as it is written, without a client that tidies the path."""
    port = server.server_address[1]
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    connection.putrequest(method, path, skip_host=True, skip_accept_encoding=True)
    for name in [f"127.0.0.1:{port}"] if host is None else host.split():
        connection.putheader("Host", name)
    connection.endheaders()
    answer = connection.getresponse()
    body = answer.read()
    connection.close()
    return answer, body


def test_page_and_files_of_runs_are_served(server: RunsServer) -> None:
    """The page made anew, reports in a sandbox, the rest as JSON or text; HEAD has no body."""
    answer, body = ask(server, "/")
    assert (answer.status, answer.headers["Content-Type"]) == (200, "text/html; charset=utf-8")
    assert b"<title>Runs in" in body
    assert ask(server, "/index.html")[0].status == 200
    answer, body = ask(server, "/one/report.html?x=1")
    assert body == b"<!doctype html><title>report</title>"
    assert answer.headers["Content-Security-Policy"].startswith(
        "sandbox allow-scripts allow-downloads; default-src 'none'"
    )
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert ask(server, "/many/report.html")[1] == b"several"
    assert ask(server, "/many/systems/a/report.html")[0].status == 200
    assert ask(server, "/one/manifest.json")[0].headers["Content-Type"] == "application/json"
    assert ask(server, "/one/junit.xml")[0].headers["Content-Type"] == "text/plain; charset=utf-8"
    answer, body = ask(server, "/one/report.html", "HEAD")
    assert (answer.status, answer.headers["Content-Length"], body) == (200, "36", b"")


@pytest.mark.parametrize(
    "path",
    [
        "/one",
        "/one/",
        "/many/systems/",
        "/notes/report.html",
        "/report.html",
        "/one/private.txt",
        "/one/.running",
        "/one/rows.jsonl",
        "/one/summary.md",
        "/linked/report.html",
        "/../secret.txt",
        "/one/../one/report.html",
        "/one/%2e%2e/one/report.html",
        "/one/..%2f..%2fsecret.txt",
        "/%2e%2e%2foutside/report.html",
        "/..%5c..%5cone/report.html",
        "/one%2freport.html",
        "/one//report.html",
        "/one/report.html/",
        "/one/report.html%00",
        "/%ff%fe/report.html",
        "/" + "a" * 5000 + "/report.html",
        "/" + "one/" * 50 + "report.html",
        "http://127.0.0.1/one/report.html",
        "*",
    ],
)
def test_nothing_else_is(server: RunsServer, path: str) -> None:
    """No listing, no file of its user, no way out by dots, separators, links or pipes: 404, at once."""
    answer, body = ask(server, path)
    assert answer.status == 404
    assert b"secret" not in body


@pytest.mark.parametrize("host", ["evil.example", "evil.example:80", "", "127.0.0.1", "127.0.0.1:{port} evil.example"])
def test_a_name_that_someone_else_points_here_is_refused(server: RunsServer, host: str) -> None:
    """DNS rebinding: another host, no port, none, or two of them."""
    answer, body = ask(server, "/", host=host.replace("{port}", str(server.server_address[1])))
    assert answer.status == 403
    assert b"Runs in" not in body
    assert ask(server, "/", host=f"localhost:{server.server_address[1]}")[0].status == 200


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "CONNECT", "BREW"])
def test_only_reading_is_answered(server: RunsServer, method: str) -> None:
    """Nothing can be changed."""
    assert ask(server, "/one/report.html", method)[0].status in (405, 501)


def test_it_listens_on_this_machine_only(server: RunsServer) -> None:
    """Bound to 127.0.0.1; and a taken port is reported with a fix."""
    assert server.socket.getsockname()[0] == "127.0.0.1"
    assert server.socket.family == socket.AF_INET
    with pytest.raises(InputError, match=r"--port: port \d+ cannot be used: .*; name another one, or write `--port 0`"):
        RunsServer(server.folder, server.server_address[1])


def test_the_page_follows_the_folder(server: RunsServer) -> None:
    """A run that has ended since is there; a folder that is gone is reported."""
    assert b"no-such-run" not in ask(server, "/")[1]
    (server.folder / "no-such-run").mkdir()
    (server.folder / "no-such-run" / MANIFEST).write_text("{}", encoding="utf-8")
    assert b"no-such-run" in ask(server, "/")[1]
    server.folder.rename(server.folder.with_name("moved"))
    answer, body = ask(server, "/")
    assert answer.status == 500
    assert b"cannot be listed" in body


def test_a_path_is_split_before_it_is_decoded() -> None:
    """So that an encoded separator stays part of a name, which is refused."""
    assert path_parts("/") == []
    assert path_parts("/a%20b/report.html?x=/../y") == ["a b", "report.html"]
    assert path_parts("/a%2fb") is None
    assert path_parts("/C:/x") is None
    assert path_parts("/a/%2e") is None
