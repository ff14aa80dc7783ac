"""A project whose data and system are hostile, the command run on it, and a service that repeats what it is sent."""

import contextlib
import json
import sys
import threading
from collections.abc import Iterator, Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, ClassVar

sys.path.append(str(Path(__file__).parents[1] / "bad_inputs"))

from bad_lab import Ran, command

__all__ = ["HERE", "SUITE", "Ran", "command", "write_project"]

BOT = """\
def answer(input: str, id: str, said: str = "Paris"):
    return said
"""
SUITE = """\
name: hostile
golden: cases.jsonl
system: {python: "bot:answer"}
scorers:
  - exact
  - contains: {any: [Paris]}
cohorts: [topic]
concurrency: 1
gate:
  - pass_rate: {min: 0.2, by: topic}
  - no_regression: {baseline: main}
"""


def write_project(
    root: Path, *, bot: str = BOT, suite: str = SUITE, cases: Sequence[dict[str, Any]] | None = None
) -> set[Path]:
    """Write a project of six cases, or of those given; gives the files that are its sources."""
    rows = cases or [
        {"id": f"c{number}", "input": f"question {number}", "reference": "Paris", "cohorts": {"topic": "t"}}
        for number in range(6)
    ]
    sources = {
        "pyproject.toml": "",
        "bot.py": bot,
        "suite.yaml": suite,
        "cases.jsonl": "".join(json.dumps(row) + "\n" for row in rows),
    }
    for name, text in sources.items():
        (root / name).write_text(text, encoding="utf-8")
    return {root / name for name in sources}


class Echo(BaseHTTPRequestHandler):
    """Answers with its own address and headers; every second request is refused with them."""

    asked = 0
    bodies: ClassVar[list[bytes]] = []

    def do_POST(self) -> None:
        """Repeat everything."""
        kind = type(self)
        kind.asked += 1
        kind.bodies.append(self.rfile.read(int(self.headers.get("Content-Length", 0))))
        said = f"{self.path} {self.headers}"
        body = json.dumps({"text": said, "contexts": [said]}).encode()
        self.send_response(200 if kind.asked % 2 else 400)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        """Print nothing."""


class _Here:
    """The echoing service of a test."""

    @property
    def asked(self) -> int:
        """Requests so far."""
        return Echo.asked

    @property
    def bodies(self) -> list[bytes]:
        """What was sent."""
        return Echo.bodies

    @contextlib.contextmanager
    def echoing(self) -> Iterator[str]:
        """Its address."""
        Echo.asked, Echo.bodies = 0, []
        httpd = ThreadingHTTPServer(("127.0.0.1", 0), Echo)
        threading.Thread(target=httpd.serve_forever, daemon=True).start()
        try:
            yield f"http://127.0.0.1:{httpd.server_port}"
        finally:
            httpd.shutdown()
            httpd.server_close()


HERE = _Here()
