"""Run folders of several systems to a comparison on disk, and its sentence."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

import evalkit
from evalkit.aggregate.compare_systems import compare_systems
from evalkit.aggregate.system_columns import columns_of_run
from evalkit.aggregate.system_comparison import RankInterval
from evalkit.report.system_sentence import sentence
from evalkit.stats.paired import mcnemar
from evalkit.store.comparison import store_comparison, stored_comparison
from evalkit.store.folder import RunFolder
from evalkit.store.stored_run import load_run

SYSTEM = """\
def answer(input: str) -> dict:
    number = int(input[1:])
    if number in {broken}:
        raise RuntimeError("down")
    return {{"text": input.upper() if number not in {wrong} else "no", "usage": {{"cost_usd": {cost}}}}}
"""
NAMES = ("today", "cheap", "worse", "down")


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The runs of four systems on 80 cases; it is the current folder."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])
    (tmp_path / "pyproject.toml").touch()
    rows = [{"id": f"c{i:02d}", "input": f"q{i}", "reference": f"Q{i}", "cohorts": {"half": i % 2}} for i in range(80)]
    (tmp_path / "cases.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    wrong = {"today": [1, 2, 3, 4], "cheap": [1, 2, 3], "worse": list(range(30)), "down": [1]}
    for name in NAMES:
        sys.modules.pop(f"system_{name}", None)
        broken = list(range(70, 80)) if name == "down" else []
        code = SYSTEM.format(broken=broken, wrong=wrong[name], cost=0.01 if name == "today" else 0.004)
        (tmp_path / f"system_{name}.py").write_text(code, encoding="utf-8")
        suite = f'name: s\ngolden: cases.jsonl\nsystem: {{python: "system_{name}:answer"}}\nscorers: [exact]\n'
        (tmp_path / f"{name}.yaml").write_text(f"{suite}cohorts: [half]\ngate: [pass_rate: {{min: 0.1}}]\n")
        evalkit.run(f"{name}.yaml", out=f"reports/systems/{name}")
    return tmp_path


def test_runs_become_a_comparison(root: Path) -> None:
    """Figures of the runs, p of the paired test, ranks, errors, and the same value read back from disk."""
    systems = [
        columns_of_run(load_run(RunFolder(root / "reports/systems" / name)).frame, name=name, folder=f"systems/{name}")
        for name in NAMES
    ]
    found = compare_systems(systems, suite="s", primary="pass_rate", reference="today", seed=3)
    today, cheap, worse, down = found.systems
    assert [each.primary.value for each in found.systems] == pytest.approx([0.95, 0.9625, 0.625, 69 / 70])
    assert (today.cost_usd_per_case, cheap.cost_usd_per_case) == pytest.approx((0.01, 0.004))
    assert (down.n_cases, down.n_scored, down.n_errors, down.rank) == (80, 70, 10, None)
    assert worse.rank == RankInterval(best=3, worst=3)
    assert found.candidates == ("today", "cheap")
    two = compare_systems(systems[:3:2], suite="s", primary="pass_rate", reference="today", seed=3)
    assert two.systems[1].p_value == pytest.approx(mcnemar(26, 0, one_sided=False), abs=2e-4)
    assert found.notes == ("down has no rank: 12% errors; pass_rate is 86% with errors counted as failures",)
    assert sentence(found) in (
        "cheap is as good as today within 2 points and costs 60% less",
        "cheap is as good as today within 3 points and costs 60% less",
    )
    store_comparison(root / "reports", found)
    assert stored_comparison(root / "reports") == found
