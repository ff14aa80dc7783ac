"""What a scorer may do besides scoring reaches the run however the suite names it."""

from __future__ import annotations

import ast
import asyncio
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import pytest

from evalkit.errors import InputError
from evalkit.operations.estimate import _counted
from evalkit.runner.grading import grade_all
from evalkit.runner.prepare import Prepared, prepare
from evalkit.scorers import registry
from evalkit.scorers.base import POWERS, Abbreviated, Concerned, Questions, Services
from evalkit.suite.parse import load_suite
from evalkit.types import Case, Metric, Output, Score

ASKED: Any = object()
"""Stands for a judge."""


@dataclass(frozen=True, kw_only=True)
class Able:
    """A scorer with every power."""

    name: str = "able"
    word: str = "x"

    version: ClassVar[str] = "3"
    shorthand: ClassVar[str] = "word"
    concern: ClassVar[str] = "safety"
    needs: ClassVar[frozenset[str]] = frozenset()
    notice: ClassVar[str] = "able: a sentence"

    @property
    def metrics(self) -> tuple[Metric, ...]:
        """One pass or fail."""
        return (Metric(self.name, binary=True),)

    @property
    def key_parts(self) -> dict[str, str]:
        """A part of its own."""
        return {"own part": "7"}

    def bind(self, services: Services) -> Able:
        """Bind to nothing."""
        return self

    def check_case(self, case: Case) -> None:
        """Refuse one id."""
        if case.id == "bad":
            raise ValueError("cannot be read; fix it")

    def questions(self, case: Case) -> tuple[Questions, ...]:
        """Two questions."""
        return (Questions(ASKED, 2, 2, 2),)

    def score(self, case: Case, output: Output) -> Score:
        """Look for the word."""
        return self.score_repeat(case, output, 0)

    def score_repeat(self, case: Case, output: Output, repeat: int) -> Score:
        """Look for the word, and tell the repeat."""
        found = self.word in output.text
        return Score(self.name, float(found), found, f"repeat {repeat}")


def prepared(tmp_path: Path, scorer: str, case_id: str = "a") -> Prepared:
    """A suite with one scorer, ready to run."""
    (tmp_path / "cases.jsonl").write_text(f'{{"id": "{case_id}", "input": "q", "output": "x"}}\n', encoding="utf-8")
    gate = "gate:\n  - latency_p95_s: {max: 3, on_fail: warn}\n"
    text = f"name: s\ngolden: cases.jsonl\nsystem: {{command: [cat]}}\nscorers:\n  - {scorer}\n{gate}"
    (tmp_path / "suite.yaml").write_text(text, encoding="utf-8")

    async def ready() -> Prepared:
        async with AsyncExitStack() as stack:
            return await prepare(load_suite(tmp_path / "suite.yaml"), {}, stack)

    return asyncio.run(ready())


@pytest.mark.parametrize("written", ["able: x", "not_able: x", "able: {word: x, when: {kind: golden}, advisory: true}"])
def test_every_power_of_a_scorer_reaches_the_run(written: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The notice is shown, the key has its part, the case is checked and the questions are counted; `not_` too."""
    assert all(isinstance(Able(), power) for power in POWERS), "the scorer of this test lacks a power"
    assert isinstance(Able, Abbreviated)
    assert isinstance(Able, Concerned)
    monkeypatch.setattr(registry, "SCORERS", {**registry.SCORERS, "able": "able:Able"})
    monkeypatch.setattr(registry, "scorer_class", lambda target: Able)
    ready = prepared(tmp_path, written)
    (grader,) = ready.graders
    assert ready.notices == ("able: a sentence",)
    assert grader.key["own part"] == "7"
    assert grader.key["scorer"] == ("able not 3" if written.startswith("not_") else "able 3")
    (grade,) = asyncio.run(grade_all([grader])(Case(id="a", input="q"), Output(text="x"), 2)).values()
    assert isinstance(grade, Score)
    assert grade.reason.endswith("repeat 2")
    work: Any = type("Work", (), {"open": [(next(iter(ready.golden.open())), 3)], "regraded": []})
    assert [span.low for span in _counted(ready, work, [ASKED]).calls] == [6]
    with pytest.raises(InputError, match="able: cannot be read"):
        prepared(tmp_path, written, "bad")


def test_no_power_of_a_scorer_is_found_by_its_name_as_a_text() -> None:
    """The protocols in `scorers/base.py` are the one way to ask: a misspelled text would find nothing, quietly."""
    powers = [*POWERS, Abbreviated, Concerned]
    names = {name for power in powers for name in {**power.__dict__, **power.__annotations__} if name[0] != "_"}
    assert names >= {"bind", "key_parts", "notice", "check_case", "questions", "shorthand", "concern"}
    found = [
        f"{file}:{node.lineno}"
        for file in sorted(Path(registry.__file__).parents[1].rglob("*.py"))
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8")))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in ("getattr", "hasattr")
        for named in node.args[1:2]
        if isinstance(named, ast.Constant) and named.value in names | {"opinion", "version"}
    ]
    assert found == []
