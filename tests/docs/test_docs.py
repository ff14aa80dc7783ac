"""What the documents show runs: commands, suites, tables made by the program, workflows."""

import asyncio
import dataclasses
import hashlib
import importlib.util
import json
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import Any, get_args

import jsonschema
import pytest
import yaml
from typer.testing import CliRunner

import evalkit
from evalkit.cli.app import app
from evalkit.cli.commands import command
from evalkit.errors import InputError
from evalkit.formats.build import Builder, key_of
from evalkit.formats.yaml_text import parse
from evalkit.gate.policy import CHECKS
from evalkit.golden.fields import to_case
from evalkit.guard.levels import GuardModels
from evalkit.monitor.settings import load_monitor
from evalkit.operations.monitor_thresholds import GuardOptions, guard_thresholds
from evalkit.scorers.agents.policy_file import read_policy
from evalkit.scorers.registry import SCORERS
from evalkit.suite.gate import load_gate
from evalkit.suite.model import SuiteOptions
from evalkit.suite.parse import load_suite
from evalkit.systems import SYSTEMS
from evalkit.systems.conversation.mocks import Mocks
from evalkit.systems.output import OUTPUT_KEYS
from evalkit.testing import FakeModel, entailment_judge
from evalkit.testing.faults import FaultKind
from evalkit.types import APPROVALS, ROLES, STEP_KINDS, Metric

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
BLOCK = re.compile(r"```(\w+)\n(.*?)```", re.DOTALL)
SCHEMA, MONITOR_SCHEMA = (
    json.loads((ROOT / "docs" / f"{name}.schema.json").read_text(encoding="utf-8")) for name in ("suite", "monitor")
)


def blocks(language: str) -> list[Any]:
    """Fenced blocks of every page, named by page and number."""
    found = []
    for page in PAGES:
        texts = [text for kind, text in BLOCK.findall(page.read_text(encoding="utf-8")) if kind == language]
        found += [pytest.param(text, id=f"{page.name}-{number}") for number, text in enumerate(texts)]
    return found


def generator() -> ModuleType:
    """The script that writes scorers.md and the schema."""
    spec = importlib.util.spec_from_file_location("make_scorers", ROOT / "docs" / "make_scorers.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("text", blocks("yaml"))
def test_every_suite_example_is_a_sound_suite(text: str, tmp_path: Path) -> None:
    """A YAML block is a suite that reads and fits the JSON Schema, or a step of a workflow."""
    value = yaml.safe_load(text)
    if isinstance(value, list):
        assert all("name" in step for step in value)
        return
    if "repos" in value:
        check_hooks(value)
        return
    if "jobs" in value:
        check_workflow(text, value, tmp_path)
        return
    if "services" in value:
        words = shlex.split(value["services"]["run"]["command"])
        assert command("run").make_context("run", words[2:]).params["scheduler"].startswith("tls://scheduler:")
        return
    if "tools" in value:
        builder = Builder(parse(text.encode(), "mocks.yaml"))
        assert builder.build(Mocks, value, ()) is not None, builder.problems
        return
    if set(value) == {"gate"}:
        (tmp_path / "gate.yaml").write_text(text, encoding="utf-8")
        assert load_gate(tmp_path / "gate.yaml", [Metric("correct", binary=True)], ["topic"])
        return
    if "logs" in value:
        (tmp_path / "monitor.yaml").write_text(text, encoding="utf-8")
        assert load_monitor(tmp_path / "monitor.yaml").name == value["name"]
        jsonschema.Draft202012Validator(MONITOR_SCHEMA).validate(value)
        return
    if "golden" not in value:
        read_policy(text.encode(), "policy.yaml")
        return
    (tmp_path / "pyproject.toml").touch()
    (tmp_path / "golden.jsonl").write_text('{"id": "a", "input": "q"}\n', encoding="utf-8")
    for name in ("prompts/shots.yaml", "system.md", "docs/faq.md"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    (tmp_path / "suite.yaml").write_text(text, encoding="utf-8")
    for record in value.get("calibrations", []):
        (tmp_path / record).touch()
    (tmp_path / "mocks.yaml").write_text("tools: {look: {rules: [{returns: 1}]}}\n", encoding="utf-8")
    assert load_suite(tmp_path / "suite.yaml").name == value["name"]
    jsonschema.Draft202012Validator(SCHEMA).validate(value)


def check_hooks(value: dict[str, Any]) -> None:
    """A hook that a project names is one that this repository offers, and starts a command of evalkit."""
    offered = {
        hook["id"]: hook for hook in yaml.safe_load((ROOT / ".pre-commit-hooks.yaml").read_text(encoding="utf-8"))
    }
    for hook in (hook for repository in value["repos"] for hook in repository["hooks"]):
        program, *words = shlex.split(offered[hook["id"]]["entry"])
        assert program == "evalkit"
        assert CliRunner().invoke(app, [*words, "--help"]).exit_code == 0


def check_workflow(text: str, value: dict[str, Any], folder: Path) -> None:
    """A workflow to copy passes the linter, and gives our actions inputs that they have."""
    (folder / ".github" / "workflows").mkdir(parents=True)
    (folder / ".github" / "workflows" / "example.yml").write_text(text, encoding="utf-8")
    program = Path(sys.executable).with_name("zizmor")
    found = subprocess.run([program, "--offline", folder], capture_output=True, text=True, check=False)
    assert found.returncode == 0, found.stdout + found.stderr
    for step in (step for job in value["jobs"].values() for step in job["steps"]):
        name = step.get("uses", "").partition("@")[0]
        if name.startswith("OWNER/evalkit"):
            action = yaml.safe_load((ROOT / name.removeprefix("OWNER/evalkit").lstrip("/") / "action.yml").read_text())
            assert set(step.get("with", {})) <= set(action["inputs"])


def test_the_inputs_and_outputs_of_the_action_are_in_the_guide() -> None:
    """No input is a secret."""
    page = (ROOT / "docs" / "ci.md").read_text(encoding="utf-8")
    action = yaml.safe_load((ROOT / "action.yml").read_text(encoding="utf-8"))
    assert all(f"`{name}`" in page for name in [*action["inputs"], *action["outputs"]])


def test_the_commands_of_the_readme_run_in_their_order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every `evalkit ...` line of README and guides runs in a fresh project, top to bottom.

    Those of compare.md, conversations.md, hallucinations.md, import.md, monitoring.md and variants.md are other
    projects. What goes on until Ctrl-C, and the tournament of a run of several systems, are left out: see their own
    tests.
    """
    (tmp_path / "pyproject.toml").touch()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("JUDGE_API_KEY", "key-for-tests")
    others = ("compare.md", "conversations.md", "hallucinations.md", "import.md", "monitoring.md", "variants.md")
    found = [block.values[0] for block in blocks("sh") if not str(block.id).startswith(others)]
    written = [line for text in found for line in text.splitlines() if line.startswith("evalkit ")]
    lines = [line for line in written if not {"--serve", "--watch", "tournament"} & {*line.split()}]
    assert len(lines) >= 9
    assert len(written) == len(lines) + 3
    with FakeModel(grade) as server:
        write_judged_project(tmp_path, server)
        for line in lines:
            ended = CliRunner().invoke(app, shlex.split(line, comments=True)[1:])
            assert ended.exit_code == 0, (line, ended.output)
    assert (tmp_path / "reports" / "first" / "decision.json").exists()
    assert json.loads((tmp_path / "correctness.json").read_text(encoding="utf-8"))["metric"] == "correctness"


def grade(request: dict[str, Any]) -> dict[str, Any]:
    """The judge of the guides: the answer is the reference, or it is wrong."""
    text = request["messages"][1]["content"]
    if "relation" in json.dumps(request):
        return json.loads(entailment_judge()(request))  # type: ignore[no-any-return]
    if "<<<FIRST " in text:
        return {"reason": "r", "winner": "tie"}
    parts = dict(re.findall(r"^<<<(ANSWER|REFERENCE) \S+\n(.*?)\n", text, re.MULTILINE))
    return {"reason": "r", "score": 5 if parts["ANSWER"] == parts["REFERENCE"] else 1}


def write_judged_project(folder: Path, server: FakeModel) -> None:
    """The suite of judges.md beside a golden set with stored answers, and labels of people; another calls a system."""
    text = next(block.values[0] for block in blocks("yaml") if "name: judged\n" in block.values[0])
    address = re.search(r"http://[^\"]+", text)
    assert address is not None
    text = text.replace(address[0], server.base_url)
    (folder / "judged.yaml").write_text(text, encoding="utf-8")
    called = text.replace("{replay: golden}", '{python: "support:answer"}')
    assert called != text
    (folder / "support.yaml").write_text(called, encoding="utf-8")
    (folder / "support.py").write_text("def answer(input):\n    return input\n", encoding="utf-8")
    rows, labels = [], []
    for number in range(24):
        answer = str(number if number % 3 else number + 1)
        rows.append({"id": f"c{number}", "input": f"q{number}", "reference": str(number), "answer": answer})
        read = {"case_id": f"c{number}", "answer_sha256": hashlib.sha256(answer.encode()).hexdigest()}
        said = {"scorer": "correctness", "label": "pass" if number % 3 else "fail", "rater": "ana"}
        labels.append({**read, **said, "rater_kind": "person"})
    for name, values in (("golden.jsonl", rows), ("labels-ana.jsonl", labels)):
        (folder / name).write_text("".join(json.dumps(value) + "\n" for value in values), encoding="utf-8")


def test_the_test_server_guide_runs(tmp_path: Path) -> None:
    """The Python example of testing.md is a module of tests that pass."""
    page = (ROOT / "docs" / "testing.md").read_text(encoding="utf-8")
    (tmp_path / "test_guide.py").write_text(BLOCK.findall(page)[0][1], encoding="utf-8")
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:deepeval", "-p", "no:langsmith_plugin", "--no-cov"]
    ended = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stdout


SCRIPTED = """\
name: faq
golden: golden.jsonl
system: {replay: golden}
scorers: [exact, token_f1]
cohorts: [topic]
gate:
  - pass_rate: {min: 0.1}
"""


SEVERAL = """\
name: faq
golden: golden.jsonl
systems: {today: {replay: golden}, new: {replay: new.jsonl}}
scorers: [exact, token_f1]
cohorts: [topic]
release: [new]
gate:
  - token_f1: {min: 0.1}
"""


@pytest.fixture(scope="module")
def scripted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project with a suite and a first run, which the Python of the guides is run in."""
    root = tmp_path_factory.mktemp("scripted")
    (root / "pyproject.toml").touch()
    (root / "evals").mkdir()
    rows = [
        {
            "id": f"c{i}",
            "input": "q",
            "reference": "Paris in France",
            "cohorts": {"topic": "hours" if i % 2 else "loans"},
        }
        | {"answer": "Paris in France" if i < 20 else f"Rome {i}"}
        for i in range(40)
    ]
    for folder in (root, root / "evals"):
        (folder / "golden.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    (root / "suite.yaml").write_text(SCRIPTED, encoding="utf-8")
    (root / "several.yaml").write_text(SEVERAL, encoding="utf-8")
    answers = [{"id": row["id"], "output": f"It is {row['answer']}."} for row in rows]
    (root / "new.jsonl").write_text("".join(json.dumps(row) + "\n" for row in answers), encoding="utf-8")
    (root / "evals" / "suite.yaml").write_text(SCRIPTED, encoding="utf-8")
    labelled = [
        {"input": "q", "output": f"{i} EUR", "contexts": [f"It is {i % 100} EUR."], "good": i < 100} for i in range(120)
    ]
    (root / "labelled.jsonl").write_text("".join(json.dumps(row) + "\n" for row in labelled), encoding="utf-8")
    options = GuardOptions(false_block=0.05, bad_passed=0.05)
    made = guard_thresholds(root / "labelled.jsonl", "labelled.jsonl", options, models=GuardModels())
    asyncio.run(made).write(root / "guard.json")
    ran = run_python(root, 'from evalkit import run; run("suite.yaml", out="reports/first")')
    assert ran.returncode == 0, ran.stderr
    return root


def run_python(root: Path, code: str) -> subprocess.CompletedProcess[str]:
    """Run a script, or a file of tests where the code defines any, in a project."""
    (root / "example.py").write_text(code, encoding="utf-8")
    pytest_options = ["-m", "pytest", "-q", "-p", "no:deepeval", "-p", "no:langsmith_plugin", "-p", "no:cacheprovider"]
    words = [*pytest_options, "example.py"] if "def test_" in code else ["example.py"]
    return subprocess.run([sys.executable, *words], cwd=root, capture_output=True, text=True, check=False, timeout=600)


@pytest.mark.parametrize("code", blocks("python"))
def test_every_python_example_runs(code: str, scripted: Path) -> None:
    """Each block runs by itself in a project with a suite and a first run."""
    if "import langgraph" in code or "from langgraph" in code:
        pytest.skip("langgraph is not part of this environment: tests/real/test_real_langgraph.py runs it")
    shutil.rmtree(scripted / "reports" / "again", ignore_errors=True)
    if 'out="reports/first"' in code:
        shutil.rmtree(scripted / "reports" / "first")
    ran = run_python(scripted, code)
    assert ran.returncode == 0, ran.stdout + ran.stderr


def test_every_name_of_the_package_has_an_example() -> None:
    """What `from evalkit import ...` offers is on the page, inside a block."""
    page = (ROOT / "docs" / "python.md").read_text(encoding="utf-8")
    code = "\n".join(text for kind, text in BLOCK.findall(page) if kind == "python")
    unseen = {"Decision", "Estimate", "Failure", "Row", "Run", "Summary"}  # what others give back: in the sentences
    names = set(evalkit.__all__) - {"__version__"}
    assert {name for name in names - unseen if not re.search(rf"\b{name}\b", code)} == set()
    assert {name for name in unseen if f"`{name}`" not in page and name not in code} == set()


def test_the_scorer_of_the_guide_grades(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The function and the first suite of own-scorers.md, in a fresh project."""
    page = (ROOT / "docs" / "own-scorers.md").read_text(encoding="utf-8")
    found = dict(reversed(BLOCK.findall(page)))  # the first block of each language
    rows = [{"id": f"c{n}", "input": "q", "answer": "Please wait."} for n in range(40)]
    (tmp_path / "pyproject.toml").touch()
    (tmp_path / "my_scorers.py").write_text(found["python"], encoding="utf-8")
    (tmp_path / "suite.yaml").write_text(found["yaml"], encoding="utf-8")
    (tmp_path / "golden.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    ended = CliRunner().invoke(app, ["run", "suite.yaml", "--out", "first"])
    assert ended.exit_code == 0, ended.output
    assert json.loads((tmp_path / "first" / "summary.json").read_text(encoding="utf-8"))


def test_the_system_of_the_guide_is_read_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The function and the suite of systems.md run, and every part of the answer is in the row."""
    found = dict(reversed(BLOCK.findall((ROOT / "docs" / "systems.md").read_text(encoding="utf-8"))))
    calls = [{"name": "get_order", "arguments": {"id": "A-17"}}, {"name": "refund", "arguments": {"id": "A-17"}}]
    (tmp_path / "pyproject.toml").touch()
    (tmp_path / "bot.py").write_text(found["python"], encoding="utf-8")
    (tmp_path / "suite.yaml").write_text(found["yaml"], encoding="utf-8")
    row = {"id": "a", "input": "q", "expected_tool_calls": calls}
    (tmp_path / "golden.jsonl").write_text(json.dumps(row), encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    (stored,) = evalkit.run("suite.yaml", out="first", baseline="none").rows()
    assert stored.output is not None and stored.output.trajectory is not None
    assert [step.error for step in stored.output.trajectory] == [None, None, "denied: no approval"]
    assert stored.output.state == {"orders": {"A-17": "returned"}}
    grade = stored.scores["tool_calls.f1"]
    assert isinstance(grade, evalkit.Score) and grade.passed


def test_the_agent_of_the_guide_is_judged_by_its_effects(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The files of agents.md run; times decide, and a change that the answers hide is told in the words of the page."""
    page = BLOCK.findall((ROOT / "docs" / "agents.md").read_text(encoding="utf-8"))
    bot, rows, policy, suite = (text for _, text in page[:4])
    untimed, damage = page[4][1].strip(), page[5][1].splitlines()
    files = {"pyproject.toml": "", "golden.jsonl": rows, "policy.yaml": policy, "suite.yaml": suite}
    for name, text in files.items():
        (tmp_path / name).write_text(text, encoding="utf-8")
    monkeypatch.chdir(tmp_path)

    def scores(code: str, out: str) -> dict[str, Any]:
        (tmp_path / "bot.py").write_text(code, encoding="utf-8")
        sys.modules.pop("bot", None)
        return dict(next(iter(evalkit.run("suite.yaml", out=out, baseline="none").rows())).scores)

    grade = scores(bot, "untimed")["policy"]
    assert (grade.kind, grade.message) == ("unknown_time", untimed)
    timed = bot.replace('"decision": "approved"}', '"decision": "approved", "ended_s": 5}')
    timed = timed.replace('"result": "ok"}', '"result": "ok", "started_s": 6}')
    assert all(grade.passed is not False for grade in scores(timed, "timed").values())
    changed = timed.replace("[look, asked, refund]", "[look, refund]")
    changed = changed.replace('["status"] = "refunded"', '.update(status="refunded", total=0)')
    found = scores(changed, "changed")
    assert [found[name].reason for name in ("state", "policy")] == damage
    assert found["trajectory.match"].passed


def test_the_expected_calls_of_the_guide_give_the_expected_state(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An agent that refunds when it is only asked fails one of the two rows; a call that fails is told as shown."""
    page = (ROOT / "docs" / "agents.md").read_text(encoding="utf-8")
    section = BLOCK.findall(page[page.index("## Can the expected calls give") :])
    mocks, suite, rows, told = (text for _, text in section[:4])
    bot = """
def answer(message, environment):
    environment.call("get_order", {"order_id": "A-17"})
    environment.call("refund", {"order_id": "A-17"})
    return "Done."
"""
    files = {"pyproject.toml": "", "golden.jsonl": rows, "mocks.yaml": mocks, "suite.yaml": suite, "bot.py": bot}
    for name, text in files.items():
        (tmp_path / name).write_text(text, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    sys.modules.pop("bot", None)
    run = evalkit.run("suite.yaml", out="run", baseline="none")
    grades = {row.case.id: row.scores["state"] for row in run.rows()}
    assert {id_: grade.passed for id_, grade in grades.items() if isinstance(grade, evalkit.Score)} == {
        "refund": True,
        "ask": False,
    }
    (tmp_path / "golden.jsonl").write_text(rows.replace('": "A-17"}}]', '": "B-1"}}]'), encoding="utf-8")
    with pytest.raises(InputError) as refused:
        evalkit.run("suite.yaml", out="refused", baseline="none")
    assert [str(problem) for problem in refused.value.problems] == [told.strip()]


def test_every_key_of_an_answer_is_in_the_guide() -> None:
    """systems.md has the keys of an answer, a step, a call and a message, and the kinds and roles."""
    page = (ROOT / "docs" / "systems.md").read_text(encoding="utf-8")
    fields = [each.name for kind in (evalkit.Step, evalkit.ToolCall) for each in dataclasses.fields(kind)]
    names = {*OUTPUT_KEYS, *fields, *STEP_KINDS, *APPROVALS, *ROLES}
    assert {name for name in names if f"`{name}`" not in page} == set()


def test_every_row_of_the_guide_is_a_case() -> None:
    """The JSON that golden-sets.md shows reads as cases, without a problem."""
    said: list[str] = []
    page = (ROOT / "docs" / "golden-sets.md").read_text(encoding="utf-8")
    lines = [line for kind, text in BLOCK.findall(page) if kind == "json" for line in text.splitlines()]
    assert len(lines) >= 3
    for line in lines:
        assert to_case(json.loads(line), "x", lambda what, fix: said.append(what)) is not None, said


def test_every_fault_is_in_the_guide() -> None:
    """No way to fail is a secret."""
    page = (ROOT / "docs" / "testing.md").read_text(encoding="utf-8")
    assert all(f"`{kind}`" in page for kind in get_args(FaultKind))


def test_generated_pages_are_fresh() -> None:
    """`python docs/make_scorers.py` would change nothing, and no scorer is missing."""
    made = generator()
    assert (ROOT / "docs" / "scorers.md").read_text(encoding="utf-8") == made.scorers_page()
    for name, text in made.schema_texts().items():
        assert (ROOT / "docs" / name).read_text(encoding="utf-8") == text
    assert (ROOT / "docs" / "reference.md").read_text(encoding="utf-8") == made.reference()
    assert (ROOT / "docs" / "ci.md").read_text(encoding="utf-8") == made.ci_page()
    assert set(SCORERS) <= set(re.findall(r"^## (\w+)$", made.scorers_page(), re.MULTILINE))


def test_the_reference_has_every_name_that_a_user_types() -> None:
    """Commands with their options, keys of a suite, systems, checks and scorers; `evalkit docs` prints the page."""
    page = CliRunner().invoke(app, ["docs"]).output
    assert page == (ROOT / "docs" / "reference.md").read_text(encoding="utf-8")
    titles = set(re.findall(r"^### (\S+)", page, re.MULTILINE))
    assert {*SCORERS, *SYSTEMS, *CHECKS} <= titles
    assert all(f"| `{key_of(field)}` |" in page for field in dataclasses.fields(SuiteOptions))
    assert all(f"--{flag}" in page for flag in ("failed-from", "retry-errors", "accept"))
    assert "### evalkit judge calibrate" in page


@pytest.mark.parametrize(
    "change",
    [{"nmae": "x"}, {"scorers": ["exakt"]}, {"sample": {"per_day": "many"}}, {"logs": {"format": "csv"}}],
    ids=str,
)
def test_the_schema_of_monitors_refuses_what_the_parser_refuses(change: dict[str, Any], tmp_path: Path) -> None:
    """It accepts the monitor of the demonstration, and no typo in it."""
    value = yaml.safe_load((ROOT / "suites" / "monitoring.yaml").read_text(encoding="utf-8"))
    validator = jsonschema.Draft202012Validator(MONITOR_SCHEMA)
    assert not list(validator.iter_errors(value))
    assert list(validator.iter_errors(value | change))
    (tmp_path / "monitor.yaml").write_text(yaml.safe_dump(value | change), encoding="utf-8")
    with pytest.raises(InputError):
        load_monitor(tmp_path / "monitor.yaml")


SUITES = {*ROOT.glob("suites/*.yaml")} - {ROOT / "suites" / "monitoring.yaml"}
"""The suites of the project; monitoring.yaml is a monitor."""


@pytest.mark.parametrize(
    "file", [*sorted(SUITES), *sorted(ROOT.glob("evalkit/operations/starter/**/suite.yaml"))], ids=str
)
def test_suites_fit_the_schema(file: Path) -> None:
    """The published schema accepts every suite of the project."""
    suite = yaml.safe_load(file.read_text(encoding="utf-8"))
    assert not list(jsonschema.Draft202012Validator(SCHEMA).iter_errors(suite))


@pytest.mark.parametrize("change", [{"nmae": "x"}, {"scorers": ["exakt"]}, {"concurrency": "many"}], ids=str)
def test_the_schema_refuses_what_the_parser_refuses(change: dict[str, Any], tmp_path: Path) -> None:
    """A typo is red in the editor and on the command line."""
    value = yaml.safe_load((ROOT / "suites" / "compliance.yaml").read_text(encoding="utf-8")) | change
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.Draft202012Validator(SCHEMA).validate(value)
    (tmp_path / "suite.yaml").write_text(yaml.safe_dump(value), encoding="utf-8")
    with pytest.raises(InputError):
        load_suite(tmp_path / "suite.yaml")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_between_pages_lead_somewhere(page: Path) -> None:
    """Relative links and pictures exist."""
    for target in re.findall(r"\]\(([^)#]+)\)", page.read_text(encoding="utf-8")):
        if "://" not in target:
            assert (page.parent / target).exists(), target


def test_every_command_is_in_the_documents() -> None:
    """No command is a secret."""
    text = "\n".join(page.read_text(encoding="utf-8") for page in PAGES)
    listed = CliRunner().invoke(app, ["--help"]).output.partition("Commands:")[2]
    for name in re.findall(r"^  (\w+)", listed, re.MULTILINE):
        assert f"evalkit {name}" in text, name


def test_workflows_pass_the_linter(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The linter finds nothing in our actions and workflows, and in the workflow that `init` writes."""
    (tmp_path / "pyproject.toml").touch()
    monkeypatch.chdir(tmp_path)
    assert CliRunner().invoke(app, ["init", "evals"]).exit_code == 0
    program = Path(sys.executable).with_name("zizmor")
    files = [ROOT / ".github", ROOT / "action.yml", ROOT / "comment" / "action.yml", tmp_path / ".github"]
    found = subprocess.run([program, "--offline", *files], capture_output=True, text=True, check=False)
    assert found.returncode == 0, found.stdout + found.stderr


def test_the_readme_is_read_in_two_minutes() -> None:
    """What more there is to say has a guide."""
    assert len((ROOT / "README.md").read_text(encoding="utf-8").splitlines()) <= 120


def test_the_picture_is_of_a_run_of_the_demonstration() -> None:
    """The script looks for a report that the demonstration writes, under the name of its suite."""
    spec = importlib.util.spec_from_file_location("pictures", ROOT / "docs" / "pictures.py")
    assert spec is not None
    assert spec.loader is not None
    pictures = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(pictures)
    before = str(pictures.RUN).removesuffix("-regressed")
    assert f'"{before}"' in (ROOT / "suites" / "demonstration.py").read_text(encoding="utf-8")
    assert (ROOT / "suites" / f"{pictures.RUN}.yaml").is_file()
