"""A small sound project to spoil, and the command run inside this process, as its process would run it."""

import contextlib
import hashlib
import io
import json
import os
import sys
import threading
from collections.abc import Iterator, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, NamedTuple

BOT = """\
import pathlib

def answer(input: str, id: str) -> str:
    with pathlib.Path(__file__).with_name("calls.log").open("a") as log:
        log.write(id + "\\n")
    return "Paris" if "France" in input else "Rome"
"""
SUITE = """\
name: capitals
golden: cases.jsonl
system: {python: "bot:answer", timeout_s: 60}
judge: {local: correctness}
scorers:
  - exact
  - keywords: {min_recall: 0.5, when: {has: required}}
  - regex: {name: word, pattern: '\\w+'}
  - judge: {name: correctness, advisory: true}
cohorts: [topic]
labels: [labels.jsonl]
concurrency: 2
repeat: 1
seed: 7
gate:
  - pass_rate: {min: 0.3, by: topic}
  - failures: {severity: critical, max: 0}
  - canary: {rule: 2 of 3}
  - latency_p95_s: {max: 3}
  - no_regression: {baseline: main}
"""
RUBRIC = """\
---
name: right
version: 1
scale: [1, 5]
---
Grade {{answer}} beside {{reference}}.
"""


def case(number: int, country: str, capital: str) -> dict[str, Any]:
    """One golden row with every field."""
    return {
        "id": f"c{number}",
        "input": f"What is the capital of {country}?",
        "reference": capital,
        "required": [capital],
        "contexts": [f"{capital} is the capital of {country}."],
        "kind": "canary" if number == 3 else "golden",
        "severity": "critical" if number == 1 else "medium",
        "cohorts": {"topic": "west" if number % 2 else "east"},
        "cluster": f"k{number}",
    }


COUNTRIES = (("France", "Paris"), ("Italy", "Rome"), ("France today", "Paris"), ("Italy today", "Rome"))
CASES = [case(number, *names) for number, names in enumerate(COUNTRIES)]
LABELS = [
    {
        "case_id": each["id"],
        "answer_sha256": hashlib.sha256(each["reference"].encode()).hexdigest(),
        "scorer": "correctness",
        "label": "pass",
        "rater": "ann",
        "rater_kind": "person",
    }
    for each in CASES
]


class Ran(NamedTuple):
    """How a command ended."""

    code: int
    out: str
    err: str


def jsonl(rows: list[dict[str, Any]]) -> str:
    """JSON Lines."""
    return "".join(json.dumps(row) + "\n" for row in rows)


class Lab:
    """The project in a folder."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.write("pyproject.toml", "")
        self.write("bot.py", BOT)
        self.write("suite.yaml", SUITE)
        self.write("rubric.md", RUBRIC)
        self.write("cases.jsonl", jsonl(CASES))
        self.write("labels.jsonl", jsonl(LABELS))

    def write(self, name: str, content: str | bytes) -> None:
        """Write one file of the project."""
        file = self.root / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content if isinstance(content, bytes) else content.encode("utf-8", "surrogatepass"))

    def swap(self, name: str, old: str, new: str) -> None:
        """Replace what stands exactly once in a file."""
        text = (self.root / name).read_text(encoding="utf-8")
        assert text.count(old) == 1, (name, old)
        self.write(name, text.replace(old, new))

    def lines(self, name: str, changes: Mapping[int, str | bytes]) -> None:
        """Replace lines of a file, counted from 1."""
        found: list[bytes] = (self.root / name).read_bytes().split(b"\n")
        for number, line in changes.items():
            found[number - 1] = line if isinstance(line, bytes) else line.encode("utf-8", "surrogatepass")
        self.write(name, b"\n".join(found))

    def calls(self) -> list[str]:
        """Ids that the system was asked."""
        log = self.root / "calls.log"
        return log.read_text(encoding="utf-8").split() if log.exists() else []

    def run(self, *words: str, env: Mapping[str, str] | None = None) -> Ran:
        """One command to its end."""
        return command(self.root, *words, env=env)

    def baseline(self) -> Path:
        """A sound run `old`, saved as `main`; the calls that it took are forgotten."""
        assert self.run("run", "suite.yaml", "--out", "old", "--no-report", "--progress", "none").code == 0
        assert self.run("baseline", "save", "old").code == 0
        (self.root / "calls.log").unlink()
        return self.root / "reports" / "baselines" / "main"


def command(folder: Path, *words: str, env: Mapping[str, str] | None = None) -> Ran:
    """`evalkit WORDS` in a folder, without the cost of a process: the same entry, arguments, streams and exit code."""
    from evalkit.cli.app import main

    out, err = io.StringIO(), io.StringIO()
    before = os.getcwd(), list(sys.path), sys.argv, dict(os.environ)
    os.chdir(folder)
    os.environ.update({"COLUMNS": "80", **(env or {})})
    sys.argv = ["evalkit", *words]
    code: int | str | None = 0
    try:
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            try:
                main()
            except SystemExit as leaving:
                code = leaving.code
    finally:
        os.chdir(before[0])
        sys.path[:], sys.argv = before[1], before[2]
        os.environ.clear()
        os.environ.update(before[3])
        sys.modules.pop("bot", None)
    return Ran(int(code or 0), out.getvalue(), err.getvalue())


class Counting(BaseHTTPRequestHandler):
    """Counts what it is asked, and answers nothing useful."""

    asked = 0

    def do_POST(self) -> None:
        """Count one request."""
        type(self).asked += 1
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b'{"text": "Paris"}')

    def log_message(self, format: str, *args: object) -> None:
        """Print nothing."""


@contextlib.contextmanager
def server() -> Iterator[str]:
    """The address of a server that counts its requests in `Counting.asked`."""
    Counting.asked = 0
    httpd = ThreadingHTTPServer(("127.0.0.1", 0), Counting)
    threading.Thread(target=httpd.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{httpd.server_port}"
    finally:
        httpd.shutdown()
        httpd.server_close()
