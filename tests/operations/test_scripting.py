"""`from evalkit import ...` in a script, in a running event loop, and under pytest."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from pathlib import Path

import pytest

import evalkit

SUITE = """\
name: shouting
golden: cases.jsonl
system: {python: "shout:answer"}
scorers: [exact]
cohorts: [half]
gate:
  - pass_rate: {min: MIN}
"""


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project whose system is right about 54 of 60 cases; it is the current folder."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])
    sys.modules.pop("shout", None)
    (tmp_path / "pyproject.toml").touch()
    (tmp_path / "shout.py").write_text("def answer(input: str) -> str:\n    return input.upper()\n", encoding="utf-8")
    rows = [
        {"id": f"c{i:02d}", "input": f"q{i}", "reference": f"Q{i}" if i % 10 else "no", "cohorts": {"half": str(i % 2)}}
        for i in range(60)
    ]
    (tmp_path / "cases.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    write_suite(tmp_path, "0.5")
    return tmp_path


def write_suite(root: Path, least: str) -> None:
    """A suite that asks for a pass rate."""
    (root / "suite.yaml").write_text(SUITE.replace("MIN", least), encoding="utf-8")


def test_a_run_is_taken_wherever_its_folder_is(root: Path) -> None:
    """What `run` returned can be compared, decided, scored and read without its path."""
    first = evalkit.run("suite.yaml", out="reports/first")
    again = evalkit.score(first, "suite.yaml", out="reports/again", baseline=first)
    found = evalkit.compare(first, again).comparison
    assert found is not None and found.n_paired == 60
    assert evalkit.decide(again, baseline=first).outcome == evalkit.load_run(again).outcome == "approved"
    assert len(evalkit.to_pandas(first)) == 60
    assert evalkit.run("suite.yaml", out="reports/last", baseline=first).outcome == "approved"


def test_a_baseline_that_no_check_compares_with_is_noted(root: Path) -> None:
    """Whoever names one is told that the gate looks at it in no check, and how to change that."""
    first = evalkit.run("suite.yaml", out="reports/first")
    assert first.summary is not None
    for ended in (evalkit.run("suite.yaml", out="reports/last", baseline=first), evalkit.decide(first, baseline=first)):
        assert ended.summary is not None
        (note,) = set(ended.summary.notes) - set(first.summary.notes)
        assert note.startswith(
            f"the gate compares nothing with --baseline {first.folder}: it has no `no_regression`; add"
        )
    suite = SUITE.replace("MIN", "0.5") + "  - no_regression: {baseline: main}\n"
    (root / "suite.yaml").write_text(suite, encoding="utf-8")
    compared = evalkit.run("suite.yaml", out="reports/compared", baseline=first)
    assert compared.summary is not None
    assert not any("compares nothing" in note for note in compared.summary.notes)


def test_a_suite_is_run_and_its_run_is_read_again(root: Path) -> None:
    """`run` gives what `load_run` finds on disk afterwards, reports included."""
    ended = evalkit.run("suite.yaml", out="reports/first")
    assert ended.outcome == "approved"
    assert repr(ended) == f"Run({str(root / 'reports/first')!r}, suite='shouting', outcome='approved')"
    assert (root / "reports/first/report.html").exists()
    read = evalkit.load_run("reports/first")
    assert read.decision == ended.decision
    assert read.summary is not None
    assert ended.summary is not None
    assert {(cell.metric, cell.cohort): cell for cell in read.summary.cells} == {
        (cell.metric, cell.cohort): cell for cell in ended.summary.cells
    }
    assert len(list(read.rows())) == 60
    assert read.to_pandas().equals(evalkit.to_pandas("reports/first"))
    assert evalkit.to_pandas(root / "reports/first")["passed"].sum() == 54


def test_a_blocked_run_is_a_value_and_no_exit(root: Path) -> None:
    """The caller decides what a block means."""
    write_suite(root, "0.99")
    ended = evalkit.run(root / "suite.yaml", out=root / "red", reports=False)
    assert (ended.outcome, (root / "red/report.html").exists()) == ("blocked", False)
    assert ended.decision is not None
    assert "pass_rate" in ended.decision.reasons[0] or "pass rate" in ended.decision.reasons[0]


def test_a_suite_is_run_where_an_event_loop_is_running(root: Path) -> None:
    """As in a cell of a notebook: the loop goes on afterwards."""

    async def cell() -> tuple[str | None, str]:
        ended = evalkit.run("suite.yaml", out="cell", reports=False)
        await asyncio.sleep(0)
        return ended.outcome, "still here"

    assert asyncio.run(cell()) == ("approved", "still here")


@pytest.mark.parametrize("edited", ["shout.py", "loud.py", "late.py", "my_scorers.py"])
def test_code_that_was_edited_between_two_runs_of_a_process_is_loaded_again(root: Path, edited: str) -> None:
    """As in a notebook: answers and scores are those of the source that the fingerprint and the score key name.

    The system, a module that it imports, one that it imports in a call, and a scorer; with a text of the same size.
    """
    texts = {
        "shout.py": "import loud\n\ndef answer(input):\n    import late\n    return 'aa' + loud.A + late.B\n",
        "loud.py": "A = 'aa'\n",
        "late.py": "B = 'aa'\n",
        "my_scorers.py": "def found(text):\n    return 'aa' in text\n",
    }
    for name, text in texts.items():
        (root / name).write_text(text, encoding="utf-8")
        sys.modules.pop(name.removesuffix(".py"), None)
    suite = SUITE.replace("[exact]", '[{python: "my_scorers:found"}]').replace("MIN", "0.5")
    (root / "suite.yaml").write_text(suite, encoding="utf-8")

    def said(out: str) -> tuple[str, object, object]:
        ended = evalkit.run("suite.yaml", out=out, cases=["c01"], reports=False)
        (row,) = ended.rows()
        assert row.output is not None
        return row.output.text, row.scores["found"], ended.manifest.system.fingerprint

    before = said("before")
    assert said("same") == before
    (root / edited).write_text(texts[edited].replace("'aa'", "'bb'"), encoding="utf-8")
    after = said("after")
    assert (after[0] != before[0]) == (after[2] != before[2]) == (edited != "my_scorers.py")
    assert (after[1] != before[1]) == (edited == "my_scorers.py")


def test_a_module_that_a_script_imported_itself_is_loaded_again_only_if_a_run_needs_it(root: Path) -> None:
    """The system is as on disk, whoever imported it first; other modules of the project keep their objects."""
    (root / "own.py").write_text("X = 1\n", encoding="utf-8")
    sys.path.insert(0, str(root))
    system, own = __import__("shout"), __import__("own")
    evalkit.run("suite.yaml", out="before", cases=["c01"], reports=False)
    assert sys.modules["shout"] is system
    (root / "shout.py").write_text("def answer(input: str) -> str:\n    return 'edited'\n", encoding="utf-8")
    (root / "own.py").write_text("X = 22\n", encoding="utf-8")
    ended = evalkit.run("suite.yaml", out="after", cases=["c01"], reports=False)
    assert [row.output and row.output.text for row in ended.rows()] == ["edited"]
    assert sys.modules.pop("own") is own


def test_a_single_text_is_one_id(root: Path) -> None:
    """Not a list of its letters."""
    with pytest.raises(evalkit.EvalkitError, match="--case c99 selects no case"):
        evalkit.run(root / "suite.yaml", cases="c99")


def test_a_part_of_the_cases_is_no_decision(root: Path) -> None:
    """Cases and cohorts choose as the flags do."""
    one = evalkit.run("suite.yaml", out="one", cases=["c01"], reports=False)
    half = evalkit.run("suite.yaml", out="half", cohorts=["half=1"], repeat=2, reports=False)
    assert (one.outcome, half.outcome) == ("no decision", "no decision")
    assert (len(list(one.rows())), len(list(half.rows()))) == (1, 60)


def test_every_problem_is_raised_at_once(root: Path) -> None:
    """Before the first call, with places."""
    (root / "suite.yaml").write_text(SUITE.replace("MIN", "many").replace("[exact]", "[exakt]"), encoding="utf-8")
    with pytest.raises(evalkit.InputError) as raised:
        evalkit.run("suite.yaml")
    assert len(raised.value.problems) == 2
    assert isinstance(raised.value, evalkit.EvalkitError)


def test_stored_answers_are_scored_decided_and_compared(root: Path) -> None:
    """None of these calls the system."""
    evalkit.run("suite.yaml", out="first", reports=False)
    (root / "shout.py").write_text("def answer(input):\n    raise RuntimeError\n", encoding="utf-8")
    again = evalkit.score("first", "suite.yaml", out="again", reports=False)
    assert again.outcome == "approved"
    write_suite(root, "0.99")
    assert evalkit.decide("again", suite="suite.yaml").outcome == "blocked"
    assert evalkit.load_run("again").outcome == "blocked"
    compared = evalkit.compare("first", root / "again").comparison
    assert compared is not None
    assert (compared.n_paired, compared.new_failures) == (60, ())


def test_what_is_not_a_run_is_refused(root: Path) -> None:
    """By a name that says what it is not."""
    with pytest.raises(evalkit.InputError, match="no run folder or saved baseline has this name"):
        evalkit.load_run("gone")


def test_a_run_without_a_decision_says_so(root: Path) -> None:
    """A folder that was left before its end has rows and nothing decided."""
    ended = evalkit.run("suite.yaml", out="first", reports=False)
    (ended.folder / "decision.json").unlink()
    read = evalkit.load_run("first")
    assert (read.decision, read.summary, read.outcome, len(list(read.rows()))) == (None, None, None, 60)


def test_a_damaged_summary_is_named(root: Path) -> None:
    """It is not read as something else."""
    ended = evalkit.run("suite.yaml", out="first", reports=False)
    (ended.folder / "summary.json").write_text('{"suite": 5}', encoding="utf-8")
    with pytest.raises(evalkit.InputError, match="summary or decision cannot be read"):
        evalkit.load_run("first")


def test_the_package_shows_its_names_and_imports_nothing() -> None:
    """`import evalkit` is free, `dir` is `__all__`, and a name that is not there is an error."""
    code = (
        "import sys, evalkit\n"
        "assert dir(evalkit) == sorted(evalkit.__all__) == list(evalkit.__all__)\n"
        "assert [m for m in sys.modules if m.startswith('evalkit.')] == []\n"
        "assert not {'numpy', 'typer', 'msgspec', 'asyncio'} & sys.modules.keys()\n"
        "assert all(getattr(evalkit, name) is not None for name in evalkit.__all__)\n"
        "try:\n    evalkit.nothing\nexcept AttributeError as error:\n    assert 'nothing' in str(error)\n"
        "else:\n    raise SystemExit('a name that is not there')\n"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr


def test_a_suite_without_a_gate_runs_and_decides_nothing(root: Path) -> None:
    """The figures are measured, and the reason says what is missing."""
    text = (root / "suite.yaml").read_text(encoding="utf-8").partition("gate:")[0]
    (root / "suite.yaml").write_text(text, encoding="utf-8")
    ended = evalkit.run("suite.yaml", out="reports/first")
    assert ended.outcome == "no decision"
    assert ended.decision is not None
    assert ended.decision.reasons == (
        "the suite has no gate, so nothing is decided; "
        "add one, such as `gate: [{pass_rate: {min: 0.85}}]`, then decide with `evalkit gate RUN`",
    )
    assert ended.summary is not None
    assert next(cell for cell in ended.summary.cells if cell.metric == "pass_rate").estimate.value == 0.9
    write_suite(root, "0.95")
    assert evalkit.decide("reports/first").outcome == "blocked"
