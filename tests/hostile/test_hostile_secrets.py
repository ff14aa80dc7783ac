"""A key of the environment is in no file of a run and on neither stream, however it was encoded on the way."""

import asyncio
import base64
import gzip
import json
import re
import sqlite3
import zlib
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote, quote_plus

import pytest
from hostile_lab import HERE, command, write_project
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from evalkit.systems.base import timed
from evalkit.systems.secret_values import KNOWN_TO_ALL
from evalkit.systems.secrets import MASK, SHORTEST, redact, secrets_of, without_secrets
from evalkit.types import Case, Failure, Output, Row, Score, ToolCall

CANARY = "kanarie/0+Bird?&\"tweet'"
ENV = {"CANARY_API_KEY": CANARY, "NAMED_BY_SUITE": "swallow-4471-é"}
LEAKY = """\
import base64, os, urllib.parse

KEY = os.environ["CANARY_API_KEY"]

def answer(input: str, id: str):
    number = int(id.removeprefix("c"))
    if number == 0:
        return "the key is " + KEY
    if number == 1:
        return base64.b64encode(("user:" + KEY + ":x").encode()).decode()
    if number == 2:
        return urllib.parse.quote(KEY, safe="") + " " + urllib.parse.quote_plus(KEY) + " " + KEY.encode().hex()
    if number == 3:
        return {"text": "x", "contexts": [KEY], "tool_calls": [{"name": KEY, "arguments": {KEY: [KEY]}}],
                "trajectory": [{"step": KEY}]}
    if number == 4:
        try:
            raise ValueError(KEY)
        except ValueError as error:
            raise RuntimeError("failed with " + repr(KEY) + " " + KEY) from error
    return {"text": "Paris", "unknown key " + KEY: 1}
"""


def forms(value: str) -> list[str]:
    """A value as it may stand in a file."""
    data = value.encode()
    encoded = [
        base64.b64encode(data).decode().rstrip("=")[:-2],
        base64.urlsafe_b64encode(data).decode().rstrip("=")[:-2],
    ]
    shifted = [base64.b64encode(b"user:"[:size] + data).decode()[4:-4] for size in (1, 2)]
    plain = [value, json.dumps(value)[1:-1], quote(value, safe=""), quote(value), quote_plus(value), data.hex()]
    return [*plain, *encoded, *shifted]


def texts(root: Path, ignored: set[Path]) -> Iterator[tuple[str, str]]:
    """Every file below a folder as text, packed ones unpacked, and the data blocks inside of reports."""
    for file in sorted(path for path in root.rglob("*") if path.is_file() and path not in ignored):
        data = gzip.decompress(file.read_bytes()) if file.suffix == ".gz" else file.read_bytes()
        yield str(file), data.decode("utf-8", "replace")
        for block in re.findall(rb'<script type="text/plain"[^>]*>([A-Za-z0-9+/=\s]+)</script>', data):
            yield f"{file} block", zlib.decompress(base64.b64decode(block), 47).decode("utf-8", "replace")


def assert_clean(root: Path, ignored: set[Path]) -> int:
    """No form of a secret anywhere; gives the number of texts that were looked at."""
    looked = 0
    for name, text in texts(root, ignored):
        looked += 1
        for value in ENV.values():
            for form in forms(value):
                assert form not in text, f"{form} in {name}"
    return looked


def test_a_key_is_in_no_artefact(tmp_path: Path) -> None:
    """Answers, encoded answers, contexts, tool calls, errors and tracebacks of a system that gives its key away."""
    sources = write_project(tmp_path, bot=LEAKY)
    streams = ""
    for words in (
        ["check", "suite.yaml"],
        ["run", "suite.yaml", "--out", "run", "--progress", "lines", "--summary", "step.md", "--verbose"],
        ["gate", "run"],
        ["baseline", "save", "run", "--accept", f"because {CANARY[:4]}"],
        ["run", "suite.yaml", "--out", "again", "--json"],
        ["report", "run"],
        ["diff", "run", "again", "--case", "c0"],
        ["diff", "run", "again", "--case", "c4"],
        ["score", "run", "--suite", "suite.yaml", "--out", "scored"],
        ["run", f"no-{CANARY.replace('/', '')}.yaml"],
    ):
        ran = command(tmp_path, *words, env=ENV)
        assert "Traceback" not in ran.err
        assert ran.code in (0, 1, 2, 3), ran
        streams += ran.out + ran.err
    (tmp_path / "streams.txt").write_text(streams, encoding="utf-8")
    assert assert_clean(tmp_path, sources) > 30
    rows = (tmp_path / "run" / "rows.jsonl").read_text(encoding="utf-8")
    assert rows.count("***") >= 8
    assert "Paris" in rows


def test_a_key_in_headers_and_addresses_stays_there(tmp_path: Path) -> None:
    """A service that repeats what it was sent, in its answer and in its refusal."""
    sources = write_project(tmp_path)
    with HERE.echoing() as address:
        url, headers = f"'{address}/x?key=${{CANARY_API_KEY}}'", "{Authorization: 'Bearer ${NAMED_BY_SUITE}'}"
        system = f"system: {{http: {url}, headers: {headers}}}"
        suite = (tmp_path / "suite.yaml").read_text(encoding="utf-8").replace('system: {python: "bot:answer"}', system)
        (tmp_path / "suite.yaml").write_text(suite, encoding="utf-8")
        ran = command(
            tmp_path,
            "run",
            "suite.yaml",
            "--out",
            "run",
            "--progress",
            "lines",
            env={**ENV, "NAMED_BY_SUITE": "swallow-4471"},
        )
    assert HERE.asked >= 6
    assert ran.code in (1, 3), ran
    (tmp_path / "streams.txt").write_text(ran.out + ran.err, encoding="utf-8")
    for name, text in texts(tmp_path, sources):
        assert "swallow-4471" not in text, name
        assert base64.b64encode(b"swallow-4471").decode()[:-2] not in text, name
    assert_clean(tmp_path, sources)


def test_a_bug_shows_no_key(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The traceback of exit 4 is told without the values of the environment."""
    import evalkit.operations.check

    write_project(tmp_path)

    async def broken(*_: object, **__: object) -> None:
        raise RuntimeError(f"bug at {CANARY}")

    monkeypatch.setattr(evalkit.operations.check, "ready", broken)
    ran = command(tmp_path, "check", "suite.yaml", env=ENV)
    assert ran.code == 4
    assert "Traceback" in ran.err
    assert CANARY not in ran.err


def test_a_kept_reply_of_a_judge_holds_no_key(tmp_path: Path) -> None:
    """The cache stores what the judge said, without what it quoted."""
    from evalkit.llm.cache import ReplyCache

    secrets = secrets_of(ENV)
    with ReplyCache(tmp_path / "c" / "cache.sqlite", lambda reply: without_secrets(reply, secrets)) as cache:
        cache.put("k", {"text": f"it says {CANARY}", "tokens": [[CANARY, {CANARY: -1.0}]], "rung": 1})
        assert cache.get("k") == {"text": "it says ***", "tokens": [["***", {"***": -1.0}]], "rung": 1}
    kept = sqlite3.connect(tmp_path / "c" / "cache.sqlite").execute("SELECT reply FROM replies").fetchall()
    assert CANARY not in str(kept)
    assert json.dumps(CANARY)[1:-1] not in str(kept)


@settings(deadline=None)
@given(st.text(min_size=8, max_size=30), st.binary(max_size=4), st.binary(max_size=4))
def test_a_value_is_found_wherever_it_begins_in_base64(value: str, before: bytes, after: bytes) -> None:
    """Whatever comes before and after it; a path that a variable names is not a secret."""
    assume("/" not in value and "\\" not in value and value.casefold() not in KNOWN_TO_ALL)
    secrets = secrets_of({"A_KEY": value})
    data = value.encode("utf-8", "replace")
    if data.decode() != value:
        return
    whole = base64.b64encode(before + data + after).decode()
    assert len(redact(whole, secrets)) < len(whole)
    assert data.hex() not in redact((before + data + after).hex(), secrets)


def test_without_a_secret_nothing_is_copied() -> None:
    """The same object comes back."""
    row = Row(
        case=Case(id="a", input="q", fields={"x": [1, None, True]}),
        output=Output(text="t", tool_calls=(ToolCall("n", {"a": 1}),)),
        scores={"s": Score("s", 0.5, details={"b": float("nan")})},
    )
    assert without_secrets(row, secrets_of(ENV)) is row


LONG_KEY = "egret-9f8e7d6c5b4a-of-the-lagoon"


@pytest.mark.parametrize("before", range(440, 505, 4))
def test_a_key_that_a_cut_goes_through_is_no_less_a_key(before: int) -> None:
    """Messages are cut after some hundred characters: what is left of a key goes as well."""

    async def answer(case: Case, repeat: int) -> Output | Failure:
        raise ValueError("x " * (before // 2) + LONG_KEY)

    secrets = secrets_of({"A_TOKEN": LONG_KEY})
    ended = asyncio.run(timed(answer, 5, secrets)(Case(id="a", input="q"), 0))
    assert isinstance(ended, Failure)
    assert LONG_KEY[:SHORTEST] not in ended.message


@pytest.mark.parametrize("size", range(SHORTEST, len(LONG_KEY)))
@pytest.mark.parametrize("frame", ["{}…", "got str '{}…'", "{}… and more"])
def test_what_a_cut_leaves_of_a_key_is_blotted_out(size: int, frame: str) -> None:
    """Before the ellipsis that marks a cut; in hexadecimal too."""
    secrets = secrets_of({"A_TOKEN": LONG_KEY})
    assert redact(frame.format(LONG_KEY[:size]), secrets) == frame.format(MASK)
    assert redact(frame.format(LONG_KEY.encode().hex()[:size]), secrets) == frame.format(MASK)
    assert redact(f"{LONG_KEY[:size]} stays where it is a word", secrets).startswith(LONG_KEY[:size])


@pytest.mark.parametrize("said", ["London", "It is London.", '"London"', "a system called postgresql"])
def test_an_answer_that_ends_as_a_secret_begins_stays_whole(said: str) -> None:
    """Nothing was cut there: blotting it out would grade another answer at the next resume."""
    secrets = secrets_of({"A_TOKEN": "London-2024-secret", "B_TOKEN": "postgresql://me:password@host/db"})
    assert redact(said, secrets) == said
