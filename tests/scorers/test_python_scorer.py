"""A function of the project as a scorer: what it is given, what it may return, what its errors say."""

from __future__ import annotations

import asyncio
import math
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from evalkit.disk.sources import imported_files, imported_texts
from evalkit.errors import InputError
from evalkit.scorers.base import OwnProject, Services
from evalkit.scorers.custom.python_scorer import BoundPythonScorer, MetricOptions, PythonScorer
from evalkit.scorers.custom.returned import read_grade
from evalkit.systems.threads import own_code
from evalkit.types import Case, Message, Metric, Output, Score, Unscored, Usage

CASE = Case(
    id="c1",
    input="Hello?",
    reference=("Please wait",),
    contexts=("from the case",),
    cohorts={"topic": "hours"},
    severity="high",
    fields={"tone": "formal", "words": ["please"]},
)
OUTPUT = Output(text="Please wait", contexts=("from the system",))


@pytest.fixture
def grade(tmp_path: Path) -> Iterator[Callable[..., Score | Unscored]]:
    """Grades one answer with the function `f` of a module that has this text."""
    before = [*sys.path]

    def graded(code: str, case: Case = CASE, **options: Any) -> Score | Unscored:
        (tmp_path / "my_scorers.py").write_text(code, encoding="utf-8")
        sys.modules.pop("my_scorers", None)

        async def run() -> Score | Unscored:
            async with own_code(2) as own:
                bound = PythonScorer(call="my_scorers:f", **options).bind(services(tmp_path, own))
                bound.check_case(case)
                return await bound.score(case, OUTPUT)

        return asyncio.run(run())

    yield graded
    sys.path[:] = before
    sys.modules.pop("my_scorers", None)


def services(root: Path, code: Any) -> Services:
    """What a scorer of a project is bound to."""
    return Services(root, project=OwnProject(root, code))


Graded = Callable[..., Any]


def test_five_lines_are_a_scorer(grade: Graded) -> None:
    """A function that takes `text` and returns True or False is a pass/fail metric with the function's name."""
    found = grade("def f(text):\n    return 'please' in text.lower()\n")
    assert found == Score("f", 1.0, True, "returned True")
    assert PythonScorer(call="my_scorers:polite").measured == Metric("polite", binary=True)


@pytest.mark.parametrize(
    ("parameter", "value"),
    [
        ("text", "Please wait"),
        ("input", "Hello?"),
        ("reference", "Please wait"),
        ("references", ["Please wait"]),
        ("contexts", ["from the system"]),
        ("cohorts", {"topic": "hours"}),
        ("id", "c1"),
        ("kind", "golden"),
        ("severity", "high"),
        ("tone", "formal"),
        ("words", ["please"]),
    ],
)
def test_a_parameter_is_given_what_it_names(grade: Graded, parameter: str, value: object) -> None:
    """A part of the case or of the answer, or a field of the row; the same arrives by `**rest`."""
    assert grade(f"def f({parameter}):\n    return {parameter} == {value!r}\n").passed
    assert grade(f"def f(**rest):\n    return rest[{parameter!r}] == {value!r}\n").passed


def test_case_and_output_are_copies(grade: Graded) -> None:
    """What a function does to them changes no row."""
    code = "def f(case, output, words):\n    case.fields['words'].clear()\n    words.clear()\n    return True\n"
    assert grade(code).passed
    assert CASE.fields["words"] == ["please"]


def test_a_chat_is_given_as_turns(grade: Graded) -> None:
    """As python systems get it."""
    case = replace(CASE, input=(Message("user", "Hi"),))
    assert grade("def f(input):\n    return input == [{'role': 'user', 'content': 'Hi'}]\n", case).passed


def test_a_parameter_with_a_default_is_optional(grade: Graded) -> None:
    """A field that the row does not have, and a reference that the case does not have, keep the default."""
    case = replace(CASE, reference=())
    assert grade("def f(text, reference='none', limit=3):\n    return (reference, limit) == ('none', 3)\n", case).passed


def test_a_field_that_a_row_lacks_is_refused_before_the_first_call(grade: Graded) -> None:
    """An empty list is a value."""
    with pytest.raises(ValueError, match=r"my_scorers\.py:1 takes `tune`, which this row does not have; add the field"):
        grade("def f(text, tune):\n    return True\n")
    assert grade("def f(words):\n    return words == []\n", replace(CASE, fields={"words": []})).passed


def test_a_row_with_two_references_is_refused_where_one_is_taken(grade: Graded) -> None:
    """The second acceptable answer is never ignored unseen."""
    case = replace(CASE, reference=("Please wait", "One moment"))
    with pytest.raises(ValueError, match="this row has 2; name the parameter `references`"):
        grade("def f(text, reference):\n    return text == reference\n", case)
    assert grade("def f(text, references):\n    return text in references\n", case).passed


def test_an_async_function_is_awaited(grade: Graded) -> None:
    """With `async def`, or by returning an awaitable."""
    code = "import asyncio\nasync def f(text):\n    await asyncio.sleep(0)\n    return True\n"
    assert grade(code).passed
    assert grade(code.replace("def f", "def g") + "def f(text):\n    return g(text)\n").passed


def test_a_slow_function_does_not_hold_the_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A sync function runs on a thread, so that the system's other calls go on and their times stay true."""
    module = ModuleType("slow_scorers")
    seen: list[int] = []
    module.f = lambda text: bool(seen.append(threading.get_ident()) or time.sleep(0.2) or True)  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "slow_scorers", module)
    module.__file__ = str(tmp_path / "elsewhere.py")

    async def run() -> float:
        async with own_code(4) as own:
            bound = PythonScorer(call="slow_scorers:f").bind(services(tmp_path, own))
            started = time.perf_counter()
            await asyncio.gather(*(bound.score(CASE, OUTPUT) for _ in range(4)))
            return time.perf_counter() - started

    assert asyncio.run(run()) < 0.7
    assert threading.get_ident() not in seen


def test_a_function_that_never_ends_leaves_the_answer_unscored(grade: Graded) -> None:
    """After `timeout_s`; the run goes on."""
    found = grade("import time\ndef f(text):\n    time.sleep(5)\n", timeout_s=0.1)
    assert found == Unscored("f", "scorer_error", "my_scorers.py:2: no result within 0.1 s")


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ("return 1 / 0", "my_scorers.py:2: ZeroDivisionError: division by zero"),
        ("import json; return json.loads('{')", "my_scorers.py:2: JSONDecodeError: Expecting property name"),
        ("raise SystemExit", "my_scorers.py:2: SystemExit"),
        ("raise KeyboardInterrupt('now')", "my_scorers.py:2: KeyboardInterrupt: now"),
    ],
)
def test_what_a_function_raises_is_unscored_with_its_place(grade: Graded, body: str, said: str) -> None:
    """File and line are the last ones in the project, not those of a library; the exception is one line."""
    for head in ("def", "async def"):
        found = grade(f"{head} f(text):\n    {body}\n")
        assert isinstance(found, Unscored)
        assert (found.kind, found.message[: len(said)]) == ("scorer_error", said)


GRADED = Metric("f", pass_at=0.5)
PASSES = Metric("f", binary=True)
FREE = Metric("f", high=10)


@pytest.mark.parametrize(
    ("value", "metric", "score"),
    [
        (False, PASSES, Score("f", 0.0, False, "returned False")),
        (1, PASSES, Score("f", 1.0, True, "returned 1")),
        (np.bool_(True), PASSES, Score("f", 1.0, True, "returned True")),
        (np.float32(0.5), GRADED, Score("f", 0.5, True, "returned 0.5")),
        (Decimal("0.5"), GRADED, Score("f", 0.5, True, "returned 0.5")),
        (0.4, GRADED, Score("f", 0.4, False, "returned 0.4")),
        (7, FREE, Score("f", 7.0, None, "returned 7")),
        (2, Metric("f", high=9, higher_is_better=False, pass_at=3), Score("f", 2.0, True, "returned 2")),
        ({"value": 0.9, "reason": "close"}, GRADED, Score("f", 0.9, True, "close")),
        ({"score": 0.9, "passed": True}, GRADED, Score("f", 0.9, True)),
        ({"passed": False, "reason": "rude"}, PASSES, Score("f", 0.0, False, "rude")),
        (Score("x", 0.9, reason="r", details={"n": 1}), GRADED, Score("f", 0.9, True, "r", {"n": 1})),
        (Score("x", 1, usage=Usage(cost_usd=0.1)), PASSES, Score("f", 1.0, True, "", {}, Usage(cost_usd=0.1))),
        (Unscored("x", "no_tool", "none"), PASSES, Unscored("f", "no_tool", "none")),
        (None, PASSES, Unscored("f", "no_grade", "m.py:1: returned nothing")),
    ],
    ids=repr,
)
def test_what_a_function_may_return(value: object, metric: Metric, score: object) -> None:
    """The metric's name and the suite's pass mark hold, whatever the function says."""
    assert read_grade(value, metric, "m.py:1") == score


@pytest.mark.parametrize(
    ("value", "metric", "said"),
    [
        ("yes", PASSES, "returned str 'yes'; return True, False, a number"),
        ([1], PASSES, "returned list"),
        (np.array([1, 2]), GRADED, "returned ndarray, which is not one number"),
        (math.nan, GRADED, "returned nan, which is not a finite number"),
        (-math.inf, FREE, "returned -inf, which is not a finite number"),
        (0.7, PASSES, "returned 0.7, but a pass/fail scorer returns True or False; for a graded scorer set `min:`"),
        (11, FREE, "returned 11, outside 0 to 10; set `metric: {low: ..., high: ...}`"),
        (10**400, FREE, "int too large"),
        ({"valu": 1}, FREE, "returned the unknown key str 'valu'; the keys are value, score, passed, reason"),
        ({"value": 1, "score": 1}, FREE, "returned both `value` and `score`"),
        ({"reason": "r"}, PASSES, "returned {reason} without a `value`"),
        ({"passed": True}, GRADED, "returned {passed} without a `value`"),
        ({"value": 1, "reason": 3}, FREE, "returned a reason that is int 3"),
        ({"value": 1, "passed": True}, FREE, "returned `passed`, but the scorer has no pass mark"),
        ({"value": 0.4, "passed": True}, GRADED, "passed=True, which contradicts the pass mark 0.5"),
        ({"value": 1, "passed": False}, PASSES, "passed=False, which contradicts its value"),
        (Score("f", 1, details={"x": {1, 2}}), PASSES, "details.x: JSON cannot hold set"),
        (Score("f", 1, usage=Usage(cost_usd=math.nan)), PASSES, "returned a usage with float nan"),
    ],
    ids=repr,
)
def test_anything_else_is_unscored(value: object, metric: Metric, said: str) -> None:
    """With the file and line of the function, and what to return instead."""
    found = read_grade(value, metric, "m.py:1")
    assert isinstance(found, Unscored)
    assert found.kind == "scorer_error"
    assert found.message.startswith("m.py:1: ")
    assert said in found.message


@pytest.mark.parametrize(
    ("options", "metric"),
    [
        ({"min": 0.5}, Metric("f", pass_at=0.5)),
        ({"metric": MetricOptions(binary=False)}, Metric("f")),
        ({"metric": MetricOptions(high=5, unit="stars")}, Metric("f", high=5, unit="stars")),
        (
            {"max": 20, "metric": MetricOptions(name="words", high=500)},
            Metric("words", high=500, higher_is_better=False, pass_at=20),
        ),
    ],
    ids=repr,
)
def test_a_range_or_a_pass_mark_makes_a_graded_metric(options: dict[str, Any], metric: Metric) -> None:
    """Without either, the function says pass or fail."""
    assert PythonScorer(call="m:f", **options).measured == metric


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"call": "m.f"}, "call: expected `module:function`"),
        ({"min": 1, "max": 2}, "max: given together with min"),
        ({"min": 2}, "min: 2 is outside the range 0 to 1"),
        ({"min": 1, "metric": MetricOptions(binary=True)}, "min: a pass/fail scorer has no range"),
        ({"metric": MetricOptions(binary=True, high=3)}, "metric: a pass/fail scorer has no range"),
        ({"min": 1, "metric": MetricOptions(higher_is_better=False)}, "min: less is better here; write `max`"),
        ({"max": 1, "metric": MetricOptions(higher_is_better=True)}, "max: more is better here; write `min`"),
        ({"timeout_s": 0}, "timeout_s: expected seconds above 0"),
    ],
    ids=repr,
)
def test_options_that_contradict_each_other_are_refused(options: dict[str, Any], said: str) -> None:
    """With the option that is wrong."""
    with pytest.raises(ValueError, match=said):
        PythonScorer(**{"call": "m:f", **options})


@pytest.mark.parametrize(
    ("code", "said"),
    [
        ("x = 1\n", "module 'my_scorers' has no attribute 'f'"),
        ("f = 3\n", "f is int, not a callable"),
        ("import json\n\n1 / 0\n", "importing my_scorers failed: my_scorers.py:3: ZeroDivisionError"),
        ("def f(text, /): ...\n", "`text` can be given by position only"),
    ],
)
def test_a_function_that_cannot_be_called_is_a_problem(grade: Graded, code: str, said: str) -> None:
    """Found when the suite is made ready."""
    with pytest.raises(InputError) as caught:
        grade(code)
    assert said in caught.value.problems[0].what
    assert caught.value.problems[0].place == "call"


def test_an_installed_package_in_the_project_is_not_the_place_of_an_error(grade: Graded, tmp_path: Path) -> None:
    """An environment below the root is not the project's code: the line that called it is named."""
    library = tmp_path / ".venv" / "lib" / "site-packages"
    library.mkdir(parents=True)
    (library / "far_away.py").write_text("def fails():\n    1 / 0\n", encoding="utf-8")
    sys.path.append(str(library))
    found = grade("import far_away\n\ndef f(text):\n    return far_away.fails()\n")
    assert isinstance(found, Unscored)
    assert found.message == "my_scorers.py:4: ZeroDivisionError: division by zero"


def test_a_cancellation_that_a_scorer_raises_itself_has_its_place(grade: Graded) -> None:
    """It leaves one answer unscored, as every other error does."""
    code = "import asyncio\n\n{}def f(text):\n    raise asyncio.CancelledError\n"
    for found in (grade(code.format("")), grade(code.format("async "))):
        assert isinstance(found, Unscored)
        assert found.message == "my_scorers.py:4: CancelledError"


@pytest.mark.parametrize("name", ["my_scorers.py", "helper.py", "lists/rude.txt", "pkg/__init__.py", "pkg/inner.py"])
def test_the_files_that_a_scorer_rests_on(tmp_path: Path, name: str) -> None:
    """The module, what it imports from the project and the files that it names; from a folder or from a commit."""
    texts = {
        "my_scorers.py": "import json, helper\nfrom pkg import inner\ndef f(text): ...\n",
        "helper.py": "from pathlib import Path\nRUDE = Path(__file__).parent / 'lists' / 'rude.txt'\n",
        "lists/rude.txt": "words",
        "pkg/__init__.py": "",
        "pkg/inner.py": "",
        "bot.py": "def answer(input): ...\n",
        "notes.txt": "",
    }
    for each, text in texts.items():
        (tmp_path / each).parent.mkdir(exist_ok=True)
        (tmp_path / each).write_text(text, encoding="utf-8")
    found = imported_files(tmp_path / "my_scorers.py", "my_scorers", tmp_path)
    assert name in found
    assert {"bot.py", "notes.txt"}.isdisjoint(found)
    held = {each: text.encode() for each, text in texts.items()}
    assert imported_texts("my_scorers", lambda names: {n: held[n] for n in names if n in held}).keys() == found.keys()


def test_each_file_is_a_part_of_the_score_key(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """So that a comparison can name the file that changed."""
    monkeypatch.setattr(sys, "path", [*sys.path])
    (tmp_path / "keyed_scorers.py").write_text("import keyed_helper\ndef f(text): ...\n", encoding="utf-8")

    def key(helper: str) -> dict[str, str]:
        (tmp_path / "keyed_helper.py").write_text(helper, encoding="utf-8")
        bound = PythonScorer(call="keyed_scorers:f").bind(services(tmp_path, None))
        assert isinstance(bound, BoundPythonScorer)
        return dict(bound.key_parts)

    before, after = key("A = 1\n"), key("A = 2\n")
    assert {part for part in before if before[part] != after[part]} == {"file keyed_helper.py"}
