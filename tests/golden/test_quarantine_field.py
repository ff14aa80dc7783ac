"""`quarantine` of a golden row: a reason, on 5 % of the cases, on no canary and no critical case."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from evalkit.errors import InputError
from evalkit.golden.read import GoldenSet, open_golden
from evalkit.golden.source import GoldenSource
from evalkit.golden.variants.make import VariantCounts, VariantPlan, make_variants
from evalkit.golden.variants.transforms import TRANSFORMS
from evalkit.types import Case


def golden(folder: Path, *changed: dict[str, Any], n: int = 20) -> GoldenSet:
    """Read a set of `n` cases whose first ones are changed."""
    rows = [{"id": f"c{at}", "input": f"question {at}", "reference": "yes"} for at in range(n)]
    for row, change in zip(rows, changed, strict=False):
        row |= change
    file = folder / "g.jsonl"
    file.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return open_golden(GoldenSource(path="g.jsonl"), file, "g.jsonl")


def test_a_reason_puts_a_case_aside(tmp_path: Path) -> None:
    """One of 20 is 5 %."""
    cases = list(golden(tmp_path, {"quarantine": "flaky"}).open())
    assert [case.quarantine for case in cases] == ["flaky", *[""] * 19]


def test_more_than_five_percent_are_refused(tmp_path: Path) -> None:
    """By name, and with the number that may be."""
    with pytest.raises(InputError, match=r"g.jsonl:1.*2 cases of 20 in quarantine, at most 1 can be \(5 %\): c0, c1"):
        golden(tmp_path, {"quarantine": "flaky"}, {"quarantine": "flaky"})
    with pytest.raises(InputError, match="at most 0 can be"):
        golden(tmp_path, {"quarantine": "flaky"}, n=19)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"quarantine": "flaky", "kind": "canary"}, "a canary case is in quarantine"),
        ({"quarantine": "flaky", "severity": "Critical"}, "a critical case is in quarantine"),
        ({"quarantine": True}, "`quarantine` is true; write the reason as a text, or remove it"),
        ({"quarantine": "  "}, "write the reason"),
    ],
)
def test_what_cannot_be_put_aside_is_refused(tmp_path: Path, change: dict[str, Any], said: str) -> None:
    """Before any call, with the line."""
    with pytest.raises(InputError, match=r"g\.jsonl:1 id c0") as found:
        golden(tmp_path, change)
    assert said in str(found.value)


def test_an_empty_cell_of_a_table_is_none(tmp_path: Path) -> None:
    """As in every other column."""
    cases = golden(tmp_path, {"quarantine": ""}, {"quarantine": None}, n=2).open()
    assert [case.quarantine for case in cases] == ["", ""]


def test_no_variant_is_made_of_it() -> None:
    """Its variants would be compared with a case that does not count."""
    case = Case(id="a", input="What is due to whom?", fields={"quarantine": "flaky"})
    made = VariantCounts()
    plan = VariantPlan(name="upper", transform=TRANSFORMS["upper"](), per_case=1, applies=lambda case: True)
    assert [*make_variants(lambda: iter([case]), [plan], 1, made)] == []
    assert list(made.left_out) == [("upper", "the case is in quarantine")]
