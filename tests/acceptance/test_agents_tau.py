"""Known answers of the agent scorers on 100 stored conversations of an airline agent."""

from __future__ import annotations

import gzip
import json
import statistics
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from sklearn.metrics import cohen_kappa_score

from evalkit.formats.turns import with_all_answers
from evalkit.scorers.agents.acts import Act, ActMatcher
from evalkit.scorers.agents.expected import acts_of, expected_calls, is_named
from evalkit.scorers.agents.loops import Loops
from evalkit.scorers.agents.matching import Match, in_order, is_match
from evalkit.scorers.agents.policy import KeepsPolicy
from evalkit.scorers.agents.steps import Steps
from evalkit.scorers.agents.tool_calls import ToolCalls
from evalkit.scorers.agents.tool_errors import ToolErrors
from evalkit.scorers.base import Services
from evalkit.scorers.rules.keywords import Keywords
from evalkit.systems.output import to_output
from evalkit.systems.tool_errors import with_tool_errors
from evalkit.types import Case, Output, Score

DATA = Path(__file__).parents[3] / "shared" / "data" / "tools_tau_airline_dev.jsonl.gz"
pytestmark = pytest.mark.skipif(not DATA.is_file(), reason="the shared tool-use rows are not on this machine")
WRITES = (
    "book_reservation",
    "cancel_reservation",
    "send_certificate",
    "update_reservation_baggages",
    "update_reservation_flights",
    "update_reservation_passengers",
)
Rows = list[tuple[Case, Output, bool]]


@pytest.fixture(scope="module")
def rows() -> Rows:
    """Case, output with the errors of tools, and whether the final database was right."""
    found: Rows = []
    with gzip.open(DATA, "rt", encoding="utf-8") as lines:
        for row in map(json.loads, lines):
            fields = {"expected_tool_calls": row["expected_tool_calls"], "required": row["expected_outputs"]}
            output = to_output({"messages": row["messages"], "tool_calls": row["tool_calls"]})
            assert isinstance(output, Output), output
            case = Case(id=row["id"], input=row["input"], fields=fields)
            found.append((case, with_tool_errors(output, "^Error"), row["auto"]["reward"] == 1.0))
    return found


def values(scorer: Any, rows: Rows, at: int = 0) -> list[float | None]:
    """One metric of a scorer for every row; `None` where it is unscored."""
    grades = [scorer.score(case, output) for case, output, _ in rows]
    chosen = [grade[at] if isinstance(grade, Sequence) else grade for grade in grades]
    return [grade.value if isinstance(grade, Score) else None for grade in chosen]


def kappa(rows: Rows, values: Sequence[float | None]) -> float:
    """Agreement with the comparison of databases."""
    return float(cohen_kappa_score([right for _, _, right in rows], [value == 1.0 for value in values]))


@pytest.mark.parametrize(("count", "n", "agreement"), [("successful", 49, 0.940), ("all", None, 0.818)])
def test_writes(rows: Rows, count: Any, n: int | None, agreement: float) -> None:
    """The successful writes tell a right database better than all writes; rows that expect none are scored too."""
    found = values(ToolCalls(only=WRITES, match="any_order", count=count), rows, -1)
    assert None not in found
    assert n is None or found.count(1.0) == n
    assert kappa(rows, found) == pytest.approx(agreement, abs=5e-4)


def test_writes_and_the_words_of_all_answers(rows: Rows) -> None:
    """With what the customer has to be told in some answer, one conversation alone is judged otherwise."""
    seen = [(case, with_all_answers(output, case), right) for case, output, right in rows]
    words = [
        not case.fields["required"] or Keywords(min_recall=1.0).score(case, output).value == 1.0
        for case, output, _ in seen
    ]
    writes = values(ToolCalls(only=WRITES, match="any_order", count="successful"), rows, -1)
    both = [float(value == 1.0 and told) for value, told in zip(writes, words, strict=True)]
    assert both.count(1.0) == 47
    assert kappa(rows, both) == pytest.approx(0.980, abs=5e-4)
    differ = [case.id for (case, _, right), value in zip(rows, both, strict=True) if right != (value == 1.0)]
    assert differ == ["tau-airline-02-t1"]


@pytest.mark.parametrize(
    ("match", "n"), [("exact", 7), ("any_order", 7), ("in_order", 47), ("at_least", 47), ("at_most", 12)]
)
def test_whole_paths_tell_little(rows: Rows, match: Match, n: int) -> None:
    """All successful calls against the expected ones: 24 rows that expect none meet two of the modes by nothing."""
    pairs = [
        (expected_calls(case), acts_of([call for call in output.tool_calls or () if call.error is None]))
        for case, output, _ in rows
    ]
    assert sum(is_match(match, expected, made, ActMatcher()) for expected, made in pairs) == n
    scored = values(ToolCalls(match=match, count="successful"), rows, -1)
    empty = sum(not expected for expected, _ in pairs)
    assert empty == 24
    vacuous = match in ("in_order", "at_least")
    assert scored.count(None) == (24 if vacuous else 0)
    assert scored.count(1.0) == (n - 24 if vacuous else n)


def test_similarity(rows: Rows) -> None:
    """2 LCS / (E + M) of all calls, failed ones too."""
    found = []
    for case, output, _ in rows:
        expected: Sequence[Act] = expected_calls(case)
        made = acts_of(output.tool_calls or ())
        total = len(expected) + len(made)
        found.append(2 * in_order(expected, made, ActMatcher()) / total if total else 1.0)
    assert statistics.mean(found) == pytest.approx(0.3568, abs=5e-5)


def test_errors(rows: Rows) -> None:
    """36 of 684 calls failed, in 21 rows; 28 times the same tool succeeded later."""
    errors = [sum(call.error is not None for call in output.tool_calls or ()) for _, output, _ in rows]
    n_calls = sum(len(output.tool_calls or ()) for _, output, _ in rows)
    assert (sum(errors), sum(map(bool, errors)), n_calls) == (36, 21, 684)
    shares = values(ToolErrors(), rows, 1)
    assert sum((share or 0) * n for share, n in zip(shares, errors, strict=True)) == pytest.approx(28)


def test_loops(rows: Rows) -> None:
    """Arguments count: without them a cycle has up to 12 turns."""
    cycles = values(Loops(writes=WRITES), rows)
    assert {n: cycles.count(n) for n in (0, 1, 2)} == {0: 4, 1: 93, 2: 3}
    redundant = [value or 0.0 for value in values(Loops(writes=WRITES), rows, 1)]
    assert statistics.mean(redundant) == pytest.approx(0.00801, abs=5e-6)
    assert sum(map(bool, redundant)) == 6


def test_steps(rows: Rows) -> None:
    """684 steps; right answers took fewer."""
    found = [value or 0.0 for value in values(Steps(), rows)]
    assert (sum(found), statistics.median(found), max(found), sum(n > 15 for n in found)) == (684, 6, 27, 4)
    right = [n for n, (_, _, good) in zip(found, rows, strict=True) if good]
    wrong = [n for n, (_, _, good) in zip(found, rows, strict=True) if not good]
    assert statistics.mean(right) == pytest.approx(4.80, abs=0.005)
    assert statistics.mean(wrong) == pytest.approx(8.57, abs=0.005)


CHANGES = ("cancel_reservation", "update_reservation_*")
BEFORE = f"before: {{of: {json.dumps(CHANGES)}, needs: get_reservation_details, same: [reservation_id]}}"


def test_policy(rows: Rows, tmp_path: Path) -> None:
    """3 of 125 changes were made without a look at the reservation; 5 writes were repeated blindly."""
    reads = {call.name for _, output, _ in rows for call in output.tool_calls or ()} - {"think", "calculate", *WRITES}
    retry = f"no_blind_retry: {{of: {json.dumps(WRITES)}, reads: {json.dumps(sorted(reads))}}}"
    found = {}
    for name, text in (("before", BEFORE), ("retry", retry)):
        (tmp_path / f"{name}.yaml").write_text(text, encoding="utf-8")
        scorer = KeepsPolicy(file=f"{name}.yaml").bind(Services(tmp_path))
        grades = [(case.id, scorer.score(case, output)) for case, output, _ in rows]
        found[name] = {
            case_id.removeprefix("tau-airline-"): grade.details["n_violations"]
            for case_id, grade in grades
            if isinstance(grade, Score) and not grade.passed
        }
    assert found["before"] == {"00-t3": 1, "04-t2": 1, "41-t2": 1}
    assert sum(found["retry"].values()) == 5
    made = [call.name for _, output, _ in rows for call in output.tool_calls or ()]
    assert sum(is_named(name, CHANGES) for name in made) == 125
