"""Tests for claims that a function of the project looks up."""

from __future__ import annotations

import asyncio
import datetime
import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from judge_room import no_wait

from evalkit.errors import InputError
from evalkit.llm.client import ChatClient
from evalkit.llm.config import ChatConfig
from evalkit.scorers.base import OwnProject, Services
from evalkit.scorers.judges.claims import Claims
from evalkit.scorers.judges.knowledge import KnowledgeOptions
from evalkit.systems.threads import own_code
from evalkit.testing import FakeModel
from evalkit.types import Case, Output, Score, Unscored

LOOKUP = """
import asyncio, datetime

async def lookup(claim, kind):
    await asyncio.sleep(0)
    if "Bonn" in claim:
        return []
    if "fails" in claim:
        raise LookupError("no index")
    return [{"text": "Berlin is the capital.", "source": "atlas", "as_of": "2026-01-31"}]

def wrong(claim, kind):
    return RETURNED

def slow(claim, kind):
    import time
    time.sleep(5)
"""
TODAY = datetime.date(2026, 11, 28)


@pytest.fixture
def root(tmp_path: Path) -> Iterator[Path]:
    """A project with a lookup."""
    (tmp_path / "pyproject.toml").touch()
    (tmp_path / "atlas_lookup.py").write_text(LOOKUP, encoding="utf-8")
    yield tmp_path
    sys.modules.pop("atlas_lookup", None)


def judge(*claims: str, verdicts: Callable[[int, str], dict[str, Any]] | None = None) -> FakeModel:
    """Lists these claims, and says of each asked one what `verdicts` says, else that it is supported."""

    def one(number: int, text: str) -> dict[str, Any]:
        return {"claim": number, "quote": "Berlin is the capital", "verdict": "SUPPORTED"}

    def reply(request: dict[str, Any]) -> dict[str, Any]:
        said = request["messages"][1]["content"]
        if "<<<ANSWER" in said:
            return {"claims": list(claims)}
        asked = [part.split("\n")[1] for part in said.split("<<<CLAIM-")[1:]]
        return {"verdicts": [(verdicts or one)(n, text) for n, text in enumerate(asked, 1)]}

    return FakeModel(reply)


def scored(
    root: Path, server: FakeModel, *, contexts: tuple[str, ...] = (), function: str = "lookup", **given: Any
) -> Any:
    """The grade of one answer."""
    options = Claims(knowledge=KnowledgeOptions(python=f"atlas_lookup:{function}", **given), by_type=True)

    async def run() -> Any:
        async with server, own_code(2) as code:
            config = ChatConfig(model="m", base_url=server.base_url, timeout_s=60, max_retries=0)
            async with ChatClient(config, env={}, sleep=no_wait) as client:
                bound = options.bind(Services(root, llm=client, project=OwnProject(root, code)))
                bound.today = lambda: TODAY
                return await bound.score(Case(id="1", input="?", contexts=contexts), Output(text="x"))

    return asyncio.run(run())


def test_a_claim_is_checked_against_what_was_looked_up(root: Path) -> None:
    """Without any context: supported by the lookup, and of the type `factual`."""
    whole, score, citation, numerical, faithfulness, factual = scored(root, judge("Berlin is the capital of Germany."))
    assert (whole.value, score.value, factual.value) == (1.0, 1.0, 1.0)
    assert (citation.value, numerical.value, faithfulness.value) == (1.0, 1.0, 1.0)
    assert whole.details["claims"] == [
        {
            "claim": "Berlin is the capital of Germany.",
            "type": "factual",
            "verdict": "supported",
            "quote": "Berlin is the capital",
            "source": "atlas",
            "as_of": "2026-01-31",
        }
    ]


def test_nothing_found_is_unsupported_and_unknown(root: Path) -> None:
    """The judge is not even asked about it."""
    server = judge("Bonn is a city.")
    whole, *_, factual = scored(root, server)
    assert (whole.value, factual.value) == (0.0, 0.0)
    assert (whole.details["claims"][0]["verdict"], whole.details["claims"][0]["unknown"]) == ("unsupported", True)
    assert len(server.requests) == 1


def denied(number: int, text: str) -> dict[str, Any]:
    """Every claim is contradicted."""
    return {"claim": number, "quote": "Berlin is the capital", "verdict": "CONTRADICTED"}


def test_nothing_found_is_never_contradicted_by_what_others_found(root: Path) -> None:
    """Only its own passages or a context can deny a claim."""
    server = judge("Bonn is the capital.", "Berlin is no capital.", verdicts=denied)
    whole, *_ = scored(root, server, contexts=("Something else entirely.",))
    bonn, berlin = whole.details["claims"]
    assert (bonn["verdict"], bonn["unknown"]) == ("unsupported", True)
    assert (berlin["verdict"], berlin["source"]) == ("contradicted", "atlas")


def test_a_context_may_deny_what_the_lookup_does_not_know(root: Path) -> None:
    """The contexts count as before."""
    server = judge("Bonn is the capital.", verdicts=denied)
    whole, *_ = scored(root, server, contexts=("Berlin is the capital since 1990.",))
    assert whole.details["claims"][0]["verdict"] == "contradicted"
    assert "unknown" not in whole.details["claims"][0]
    assert whole.details["claims"][0]["type"] == "faithfulness"


def test_an_old_passage_is_named_in_the_reason(root: Path) -> None:
    """31 January is 301 days before 28 November."""
    claim = "Berlin is the capital."
    assert "stale" not in scored(root, judge(claim), fresh_days=301)[0].reason
    assert scored(root, judge(claim), fresh_days=300)[0].reason.endswith(
        "stale: Berlin is the capital. rests on atlas of 2026-01-31"
    )


@pytest.mark.parametrize(
    ("returned", "why"),
    [
        ("'text'", "the lookup returned"),
        ("[5]", "the lookup returned the passage"),
        ("[{'text': ''}]", "the passage"),
        ("[{'text': 'a', 'as_of': 'May'}]", "as_of is"),
        ("[{'text': 'a'}] * 21", "21 passages"),
        ("None", "None"),
    ],
)
def test_a_lookup_that_returns_something_else_leaves_the_answer_unscored(root: Path, returned: str, why: str) -> None:
    """With what to return."""
    (root / "atlas_lookup.py").write_text(LOOKUP.replace("RETURNED", returned), encoding="utf-8")
    whole, *rest = scored(root, judge("Berlin."), function="wrong")
    assert isinstance(whole, Unscored)
    assert (whole.kind, why in whole.message, "return" in whole.message) == ("lookup_failed", True, True)
    assert {each.kind for each in rest} == {"lookup_failed"}


def test_a_lookup_that_raises_or_hangs_leaves_the_answer_unscored(root: Path) -> None:
    """With its file and line."""
    whole, *_ = scored(root, judge("It fails."))
    assert whole.message == "atlas_lookup.py:9: LookupError: no index"
    whole, *_ = scored(root, judge("Berlin."), function="slow", timeout_s=0.05)
    assert "no result within 0.05 s" in whole.message


def test_a_lookup_that_cannot_be_imported_is_named(root: Path) -> None:
    """Before the first call."""
    with pytest.raises(InputError, match=r"knowledge\.python"):
        scored(root, judge("x"), function="absent")
    with pytest.raises(ValueError, match="knowledge: there is no project"):
        Claims(knowledge=KnowledgeOptions(python="a:b")).bind(Services(root))


@pytest.mark.parametrize(
    "given", [{"python": "a.b"}, {"python": "a:b", "fresh_days": 0}, {"python": "a:b", "timeout_s": 0}]
)
def test_options_out_of_range_are_refused(given: dict[str, Any]) -> None:
    """With what to write."""
    with pytest.raises(ValueError, match="write"):
        KnowledgeOptions(**given)


def test_a_suite_looks_claims_up(root: Path) -> None:
    """From YAML to scores, and an edit of the lookup is another score key."""
    from evalkit import run

    (root / "cases.jsonl").write_text('{"id": "a", "input": "?", "output": "Berlin."}\n', encoding="utf-8")
    with judge("Berlin is the capital.") as server:
        (root / "suite.yaml").write_text(
            "name: s\ngolden: cases.jsonl\nsystem: {replay: golden}\n"
            f"judge: {{chat: {{model: m, base_url: '{server.base_url}'}}}}\n"
            "scorers: [{claims: {pass: 0.5, knowledge: {python: 'atlas_lookup:lookup', fresh_days: 30}}}]\n"
            "gate: [{pass_rate: {min: 0.1, on_fail: warn}}]\n",
            encoding="utf-8",
        )
        ended = run(root / "suite.yaml", out=root / "out", reports=False)
    (row,) = ended.rows()
    score = row.scores["claims"]
    assert isinstance(score, Score)
    assert score.value == 1.0
    manifest = json.loads((root / "out" / "manifest.json").read_text(encoding="utf-8"))
    assert "file atlas_lookup.py" in json.dumps(manifest["score_keys"])
