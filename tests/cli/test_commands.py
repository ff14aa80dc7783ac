"""The commands as a user meets them: real processes, real files, exit codes."""

import json
import shutil
import signal
import subprocess
import sys
import time

import pytest
from cli_project import Project

RUN_FILES = {
    "manifest.json", "rows.jsonl", "summary.json", "timings.json", "decision.json", "report.html", "summary.md",
    "junit.xml", "release_decision.md", "failure_analysis.md", "comment.json", "seal.txt",
}  # fmt: skip


def test_a_first_run_says_how_to_keep_it_as_baseline(project: Project) -> None:
    """Without a baseline the run is approved with conditions, and every file of a run is there."""
    ran = project.run("run", "suite.yaml", "--out", "first")
    assert ran.returncode == 0, ran.stderr
    assert "APPROVED WITH CONDITIONS" in ran.stdout
    assert "evalkit baseline save" in " ".join(ran.stdout.split())
    assert {file.name for file in (project.root / "first").iterdir()} == RUN_FILES


def test_a_regressed_system_is_blocked_and_its_cohort_named(project: Project) -> None:
    """The same system is approved against its baseline; one that broke in a cohort is blocked by name."""
    assert project.run("run", "suite.yaml", "--out", "first").returncode == 0
    saved = project.run("baseline", "save", "first", "--name", "main")
    assert saved.returncode == 0, saved.stderr
    same = project.run("run", "suite.yaml", "--out", "second")
    assert same.returncode == 0
    assert same.stdout.startswith("APPROVED")
    project.suite("left")
    broken = project.run("run", "suite.yaml", "--out", "third")
    assert broken.returncode == 1
    assert "group=left" in broken.stdout.splitlines()[0]
    assert "group=right" not in broken.stdout.splitlines()[0]
    shown = project.run("diff", "first", "third", "--case", "left-001")
    assert "no idea" in shown.stdout
    assert project.run("diff", "first", "third").returncode == 0


def test_check_counts_calls_and_stored_answers_apart(project: Project) -> None:
    """A system that replays is not called."""
    assert "a run makes 120 calls, 4 at once" in project.run("check", "suite.yaml").stdout
    rows = "".join(json.dumps({"id": f"c{i}", "input": "q", "answer": "a", "reference": "a"}) + "\n" for i in range(3))
    (project.root / "stored.jsonl").write_text(rows, encoding="utf-8")
    text = "name: s\ngolden: stored.jsonl\nsystem: {replay: golden}\nscorers: [exact]\n"
    project.suite(text=text, name="stored.yaml")
    assert "a run reads 3 stored answers and calls no system" in project.run("check", "stored.yaml").stdout


def test_a_partial_run_is_no_gate(project: Project) -> None:
    """A part of the suite never approves: exit 3, and the reason in words."""
    for flags in (["--limit", "10"], ["--case", "left-001"], ["--cohort", "group=left"]):
        ran = project.run("run", "suite.yaml", "--out", flags[0].strip("-"), *flags)
        assert ran.returncode == 3
        assert "partial run" in ran.stdout
    assert project.run("baseline", "save", "limit").returncode == 2


def test_a_selection_of_nothing_has_its_own_exit_code(project: Project) -> None:
    """No case selected: exit 5, and no call."""
    ran = project.run("run", "suite.yaml", "--case", "nobody")
    assert ran.returncode == 5
    assert project.calls() == []


@pytest.mark.parametrize(
    ("text", "said"),
    [
        pytest.param(
            "name: x\nscorrers: [exact]\n", "suite.yaml:2:1 scorrers: unknown key; did you mean `scorers`?", id="key"
        ),
        pytest.param("name: [\n", "suite.yaml:2:1", id="syntax"),
        pytest.param("name: no\n", "suite.yaml:1:7 name: YAML reads `no` as true or false", id="yaml 1.1"),
    ],
)
def test_a_bad_suite_is_refused_before_any_call(project: Project, text: str, said: str) -> None:
    """Exit 2 with file, line and fix; no traceback, no call."""
    project.suite(text=text)
    ran = project.run("run", "suite.yaml")
    assert ran.returncode == 2
    assert said in ran.stderr
    assert "Traceback" not in ran.stderr
    assert project.calls() == []


def test_a_system_that_cannot_be_loaded_is_named_with_its_line(project: Project) -> None:
    """What only shows when the system is looked at has file and line too."""
    text = (project.root / "suite.yaml").read_text(encoding="utf-8").replace("bot:answer", "nobot:answer")
    project.suite(text=text)
    ran = project.run("run", "suite.yaml")
    assert ran.returncode == 2
    assert ran.stderr.startswith("suite.yaml:3:10 system.python: importing nobot failed")
    assert "Traceback" not in ran.stderr


def test_bad_rows_are_named_together(project: Project) -> None:
    """Every problem of the golden set comes with file, line and id, all at once."""
    good = '{"id": "a", "input": "1 + 1", "reference": "2", "cohorts": {"group": "x"}}\n'
    bad = '{"id": "b", "input": "", "kind": "gold"}\n{"id": "a", "input": "1 + 1"}\nnot json\n'
    (project.root / "cases.jsonl").write_text(good + bad, encoding="utf-8")
    ran = project.run("check", "suite.yaml")
    assert ran.returncode == 2
    for said in (
        "cases.jsonl:2 id b: `input` is empty",
        '`kind` is "gold"',
        "cases.jsonl:3",
        "repeats line 1",
        "cases.jsonl:4",
    ):
        assert said in ran.stderr
    assert project.calls() == []


def test_a_killed_run_resumes_where_it_was(project: Project) -> None:
    """After kill -9 no finished case is asked again; summary and decision equal those of a run that nobody killed."""
    slow = {"BOT_DELAY_S": "0.02"}
    import os

    process = subprocess.Popen(
        project.command("run", "suite.yaml", "--out", "killed", "--progress", "none"),
        cwd=project.root, env={**os.environ, **slow}, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    journal = project.root / "killed" / "rows.jsonl"
    deadline = time.monotonic() + 600
    while (not journal.exists() or journal.read_bytes().count(b"\n") < 20) and time.monotonic() < deadline:
        time.sleep(0.01)
    process.kill()
    process.wait()
    finished = [json.loads(line)["row"]["case"]["id"] for line in journal.read_bytes().split(b"\n")[:-1]]
    asked = len(project.calls())
    assert 20 <= len(finished) < 120
    resumed = project.run("run", "suite.yaml", "--out", "killed", "--resume")
    assert resumed.returncode == 0, resumed.stderr
    assert not set(project.calls()[asked:]) & set(finished)
    assert len(project.calls()) - 120 <= 4  # at most those in flight were asked twice
    assert project.run("run", "suite.yaml", "--out", "clean").returncode == 0
    assert comparable(project, "killed") == comparable(project, "clean")


def comparable(project: Project, folder: str) -> tuple[object, object]:
    """The summary, and the decision without what names the run."""
    decision = project.json(f"{folder}/decision.json")
    return (project.root / folder / "summary.json").read_bytes(), {**decision, "run_id": "", "head": ""}


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)], ids=["ctrl-c", "term"])
def test_a_stopped_run_says_how_to_go_on(project: Project, number: signal.Signals, code: int) -> None:
    """A signal lets the calls in flight end, keeps every row, and prints the command that resumes."""
    import os

    process = subprocess.Popen(
        project.command("run", "suite.yaml", "--out", "stopped", "--progress", "none"),
        cwd=project.root, env={**os.environ, "BOT_DELAY_S": "0.05"}, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    journal = project.root / "stopped" / "rows.jsonl"
    deadline = time.monotonic() + 600
    while (not journal.exists() or journal.stat().st_size == 0) and time.monotonic() < deadline:
        time.sleep(0.01)
    process.send_signal(number)
    _, said = process.communicate(timeout=600)
    assert process.returncode == code
    assert "--out stopped --resume" in " ".join(said.split())
    assert not (project.root / "stopped" / "decision.json").exists()
    assert project.run("run", "suite.yaml", "--out", "stopped", "--resume").returncode == 0


@pytest.mark.parametrize("flags", [(), ("--dry-run",)], ids=str)
def test_what_a_system_prints_is_no_part_of_the_result(project: Project, flags: tuple[str, ...]) -> None:
    """A forgotten `print` of the user's goes where messages go, and breaks no document."""
    bot = project.root / "bot.py"
    code = bot.read_text(encoding="utf-8").replace("    a, b =", '    print("asked", id)\n    a, b =')
    bot.write_text('print("imported")\n' + code, encoding="utf-8")
    ran = project.run("run", "suite.yaml", "--json", "--progress", "none", *flags)
    assert isinstance(json.loads(ran.stdout), dict)
    assert "imported" in ran.stderr
    assert ran.stderr.count("asked") == (0 if flags else 120)


def test_json_prints_the_decision_and_nothing_else(project: Project) -> None:
    """`--json` puts decision.json on stdout."""
    ran = project.run("run", "suite.yaml", "--out", "run", "--json")
    assert json.loads(ran.stdout) == project.json("run/decision.json")


@pytest.mark.parametrize("flags", [[], ["--json"], ["--verbose"]], ids=str)
def test_a_reader_that_leaves_changes_no_exit_code(project: Project, flags: list[str]) -> None:
    """`evalkit run | head -1` still says what was decided."""
    command = project.command("run", "suite.yaml", "--out", "run", *flags)
    process = subprocess.Popen(command, cwd=project.root, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert process.stdout is not None
    process.stdout.close()
    _, said = process.communicate(timeout=600)
    assert process.returncode == 0, said
    assert b"Traceback" not in said
    assert project.json("run/decision.json")["exit_code"] == 0


@pytest.mark.parametrize(
    ("redirected", "code"),
    [(">&- 2>&-", 0), (">/dev/null 2>/dev/full", 0), (">/dev/full", 4), ("--json >/dev/full", 4), ("| head -1", 0)],
)
def test_streams_that_fail_change_no_decision(redirected: str, code: int, project: Project) -> None:
    """Closed, full, or left early: the decision stands, and nothing of it reads as another exit code."""
    project.cases(20)
    line = f"{sys.executable} -m evalkit run suite.yaml --out run {redirected}; exit ${{PIPESTATUS[0]}}"
    for runner in ("", "GITHUB_ACTIONS=true "):
        shutil.rmtree(project.root / "run", ignore_errors=True)
        ended = subprocess.run(
            ["bash", "-c", runner + line], cwd=project.root, capture_output=True, text=True, check=False
        )
        assert ended.returncode == code, ended.stderr
        assert project.json("run/decision.json")["exit_code"] == 0
        assert "Traceback" not in ended.stderr


def test_the_gate_decides_again_without_a_call(project: Project) -> None:
    """A changed gate is applied to stored rows."""
    project.suite("left")
    assert project.run("run", "suite.yaml", "--out", "run").returncode == 0
    asked = len(project.calls())
    strict = project.suite("left", text=project.suite("left").read_text(encoding="utf-8").replace("0.3", "0.9"))
    assert strict.exists()
    ran = project.run("gate", "run")
    assert ran.returncode == 1
    assert project.json("run/decision.json")["outcome"] == "blocked"
    (project.root / "run" / "report.html").unlink()
    assert project.run("report", "run").returncode == 0
    assert (project.root / "run" / "report.html").stat().st_size > 10_000
    assert len(project.calls()) == asked


def test_a_completed_record_is_not_overwritten(project: Project) -> None:
    """What a person wrote into release_decision.md stays; the newer one stands beside it, and the command says so."""
    project.cases(20)
    assert project.run("run", "suite.yaml", "--out", "run").returncode == 0
    record = project.root / "run" / "release_decision.md"
    assert project.run("report", "run").returncode == 0
    assert not (project.root / "run" / "release_decision.new.md").exists()
    completed = record.read_text(encoding="utf-8").replace("| Approvers | (to be filled in) |", "| Approvers | ana |")
    record.write_text(completed, encoding="utf-8")
    ran = project.run("report", "run")
    assert ran.returncode == 0
    assert record.read_text(encoding="utf-8") == completed
    assert "kept    release_decision.md: it was completed by hand" in ran.stderr
    assert "(to be filled in)" in (project.root / "run" / "release_decision.new.md").read_text(encoding="utf-8")


def test_another_scorer_option_is_no_silent_comparison(project: Project) -> None:
    """A baseline whose scores were made differently is refused with the part that differs."""
    assert project.run("run", "suite.yaml", "--out", "first").returncode == 0
    assert project.run("baseline", "save", "first").returncode == 0
    text = (project.root / "suite.yaml").read_text(encoding="utf-8").replace("- exact", "- exact: {mode: numeric}")
    project.suite(text=text)
    ran = project.run("run", "suite.yaml", "--out", "second")
    assert ran.returncode == 2
    assert "its exact was scored differently (options)" in ran.stderr


def test_a_folder_that_holds_something_is_not_written_into(project: Project) -> None:
    """`--out` wants an empty folder."""
    (project.root / "full").mkdir()
    (project.root / "full" / "note.txt").write_text("mine", encoding="utf-8")
    ran = project.run("run", "suite.yaml", "--out", "full")
    assert ran.returncode == 2
    assert "is not empty" in ran.stderr
    assert project.calls() == []


def test_failed_calls_are_no_decision(project: Project) -> None:
    """A system that fails on many cases leaves them unknown: exit 3, never a pass and never a 0."""
    bot = (project.root / "bot.py").read_text(encoding="utf-8")
    (project.root / "bot.py").write_text(
        bot.replace("    a, b", "    if id.startswith('left'): raise RuntimeError('down')\n    a, b"), encoding="utf-8"
    )
    ran = project.run("run", "suite.yaml", "--out", "run")
    assert ran.returncode == 3
    assert "NO DECISION" in ran.stdout
    summary = project.json("run/summary.json")
    assert summary["error_kinds"] == {"exception": 60}
    rate = next(c for c in summary["cells"] if (c["metric"], c["cohort"]) == ("pass_rate", "overall"))  # type: ignore[attr-defined]
    assert (rate["n_scored"], rate["n_errored"], rate["estimate"]["value"]) == (60, 60, 1.0)


def test_init_runs_without_editing_and_fails_one_case_honestly(project: Project) -> None:
    """`evalkit init` gives a suite that checks, runs, and shows one wrong answer."""
    began = project.run("init", "evals")
    assert began.returncode == 0
    assert str(project.root) not in began.stdout
    assert project.run("check", "evals/suite.yaml").returncode == 0
    ran = project.run("run", "evals/suite.yaml", "--out", "run")
    assert ran.returncode == 0, ran.stderr
    assert "1 failing ✗ cards-1" in " ".join(ran.stdout.split())
    assert "the golden set has no such case" not in ran.stdout
    again = project.run("init", "evals")
    assert again.returncode == 2
    assert "already exists" in again.stderr


def test_the_doctor_looks_at_every_package(project: Project) -> None:
    """`evalkit doctor --quick` names what is installed."""
    ran = project.run("doctor", "--quick")
    assert ran.returncode == 0
    for package in ("ragas", "deepeval", "datasets", "pandas", "scikit-learn"):
        assert package in ran.stdout


@pytest.mark.parametrize("command", ["init", "check", "run", "gate", "report", "diff", "doctor", "baseline save"])
def test_help_leads_with_an_example(project: Project, command: str) -> None:
    """Each command's help shows how it is used."""
    ran = project.run(*command.split(), "--help")
    assert ran.returncode == 0
    assert "Example: evalkit" in ran.stdout


def test_help_imports_nothing_heavy() -> None:
    """`evalkit --help` leaves the heavy packages alone."""
    heavy = "ragas deepeval datasets pandas sklearn numpy scipy aiohttp pydantic yaml rich jinja2 evalkit.types".split()
    program = (
        "import sys; sys.argv = ['evalkit', '--help']\n"
        "from evalkit.cli.app import main\n"
        "try: main()\n"
        "except SystemExit: pass\n"
        f"print([name for name in {heavy} if name in sys.modules], file=sys.stderr)"
    )
    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert ran.stderr.strip() == "[]"


def test_the_first_call_waits_for_no_library_of_the_decision(project: Project) -> None:
    """What only the aggregate and the gate need is imported while calls are in flight, or never."""
    code = (
        "import sys, evalkit.cli.app, evalkit.runner.engine as engine\n"
        "called = engine.run_cases\n"
        "def first(*given, **named):\n"
        "    found = [name for name in ('numpy', 'scipy', 'pydantic') if name in sys.modules]\n"
        "    print(found, file=sys.__stdout__)\n"
        "    raise SystemExit\n"
        "engine.run_cases = first\n"
        "sys.argv = ['evalkit', 'run', 'suite.yaml', '--no-report']\n"
        "evalkit.cli.app.main()\n"
    )
    ended = subprocess.run([sys.executable, "-c", code], cwd=project.root, capture_output=True, text=True, check=False)
    assert ended.stdout.strip() == "[]", ended.stderr
