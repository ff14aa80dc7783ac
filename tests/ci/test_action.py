"""The composite action, step by step, as a runner would run it."""

import json
import os
import re
import shutil
import subprocess
import venv
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml
from cli_project import Project
from git_project import commit_all, start
from simulated_runner import ROOT, Job, job_in

from evalkit.ci.gate import Ended, is_news
from evalkit.report.page import Code, Page, marker, read_page

ACTION = ROOT / "action.yml"
GATE = {"suite": "suite.yaml"}


def steps() -> list[dict[str, Any]]:
    """The steps of the action."""
    found: list[dict[str, Any]] = yaml.safe_load(ACTION.read_text(encoding="utf-8"))["runs"]["steps"]
    return found


def regress(project: Project) -> None:
    """A baseline, and a system that broke in one cohort."""
    project.cases(40)
    assert project.run("run", "suite.yaml", "--out", "first").returncode == 0
    assert project.run("baseline", "save", "first", "--name", "main").returncode == 0
    project.suite("left")


def test_a_green_run_gives_summary_outputs_and_artifacts(project: Project, job: Job) -> None:
    """Approved: exit 0, every output set, the summary on the job's page, the run kept."""
    job.use(ACTION, GATE)
    assert not job.failed, job.log
    assert job.outputs["decision"] == "approved with conditions"
    assert job.outputs["exit-code"] == "0"
    assert job.outputs["regressions"] == ""  # nothing was compared: that is no 0
    assert Path(job.outputs["report-path"]).stat().st_size > 10_000
    assert Path(job.outputs["summary-path"]).read_text(encoding="utf-8").startswith("<!-- evalkit: sums -->")
    assert "evalkit: APPROVED WITH CONDITIONS" in job.summary
    assert "artifact `evalkit-report`" in job.summary
    assert (job.uploads["evalkit-report"] / "rows.jsonl").exists()
    assert read_page(job.uploads["evalkit-report-comment"].read_bytes()).suite == "sums"


def test_held_out_cases_stay_on_the_runner(project: Project, job: Job) -> None:
    """Their rows are in the run folder, and not in the artifact, which everybody may download."""
    ran = project.run("golden", "lock", "cases.jsonl", "--held-out", "0.2", "--commit")
    assert ran.returncode == 0, ran.stdout + ran.stderr
    job.use(ACTION, GATE)
    folder = Path(job.outputs["report-path"]).parent
    assert (folder / "held").is_dir()
    assert not (job.uploads["evalkit-report"] / "held").exists()
    assert (job.uploads["evalkit-report"] / "rows.jsonl").exists()


def test_a_red_run_fails_the_job_and_still_keeps_its_report(project: Project, job: Job) -> None:
    """Blocked: exit 1 after the upload; the annotation stands on the gate's line of the suite."""
    regress(project)
    job.use(ACTION, GATE)
    assert job.failed
    assert job.exit_code == 1
    assert (job.outputs["decision"], job.outputs["exit-code"]) == ("blocked", "1")
    decision = json.loads((job.uploads["evalkit-report"] / "decision.json").read_text(encoding="utf-8"))
    assert int(job.outputs["regressions"]) == len(decision["comparison"]["new_failures"]) == 20
    assert (job.uploads["evalkit-report"] / "report.html").exists()
    assert "evalkit: BLOCKED" in job.summary
    line = next(
        n for n, text in enumerate((project.root / "suite.yaml").read_text().splitlines(), 1) if "no_regression" in text
    )
    found = re.findall(r"^::error file=suite\.yaml,line=(\d+),title=.*$", job.log, re.MULTILINE)
    assert 1 <= len(found) <= 8
    assert str(line) in found
    cases = (project.root / "cases.jsonl").read_text(encoding="utf-8").splitlines()
    told = re.findall(r"^::warning file=cases\.jsonl,line=(\d+),title=evalkit%3A new failure", job.log, re.MULTILINE)
    assert len(told) == 10
    assert all('"left-' in cases[int(each) - 1] for each in told)
    assert job.log.rindex("::error file=suite.yaml") < job.log.index("::warning file=cases.jsonl")


def test_a_run_of_several_systems_is_gated_by_its_release_system(project: Project, job: Job) -> None:
    """The release system broke in one cohort of the reference's cases: exit 1, and the page compares both."""
    project.cases(40)
    suite = (project.root / "suite.yaml").read_text(encoding="utf-8")
    value = yaml.safe_load(suite)
    old = value.pop("system")
    project.suite("left")
    new = yaml.safe_load((project.root / "suite.yaml").read_text(encoding="utf-8"))["system"]
    value |= {"systems": {"old": old, "new": new}, "reference": "old", "release": ["new"], "gate": ["no_regression"]}
    (project.root / "suite.yaml").write_text(yaml.safe_dump(value), encoding="utf-8")
    job.use(ACTION, GATE)
    assert job.failed, job.log
    assert (job.exit_code, job.outputs["decision"], job.outputs["exit-code"]) == (1, "blocked", "1")
    assert job.outputs["regressions"] == "20"
    assert "| `new` |" in job.summary
    assert "BLOCKED" in job.summary
    assert Path(job.outputs["summary-path"]).is_file()
    assert Path(job.outputs["report-path"]).is_file()
    assert read_page(job.uploads["evalkit-report-comment"].read_bytes()).outcome == "blocked"
    assert (job.uploads["evalkit-report"] / "systems" / "new" / "rows.jsonl").is_file()


def results(root: Path, name: str, n_failed: int) -> None:
    """A file of results: 40 cases, of which the first ones fail."""
    rows = "".join(f"q{number:02},{str(number >= n_failed).lower()}\n" for number in range(40))
    (root / name).write_text(f"key,correct\n{rows}", encoding="utf-8")


def committed(root: Path) -> None:
    """A commit with everything in the folder."""
    who = ("-c", "user.name=a", "-c", "user.email=a@example.com")
    for words in (("init", "-q", "-b", "base"), ("add", "-A"), (*who, "commit", "-q", "-m", "results")):
        subprocess.run(["git", "-C", str(root), *words], check=True, capture_output=True)


def test_results_of_another_tool_are_compared_with_those_of_the_base_branch(project: Project, job: Job) -> None:
    """12 of 40 break: exit 1, with the page, the artifact and a line of the file for each case; no suite is needed."""
    results(project.root, "eval.csv", 2)
    committed(project.root)
    inputs = {"compare": "eval.csv", "baseline": "git:base:eval.csv", "args": "--id key"}
    job.use(ACTION, inputs)
    assert not job.failed, job.log
    assert (job.outputs["decision"], job.outputs["exit-code"], job.outputs["regressions"]) == ("approved", "0", "0")
    results(project.root, "eval.csv", 14)
    job.log = ""
    job.use(ACTION, inputs)
    assert job.failed
    assert (job.outputs["decision"], job.exit_code, job.outputs["regressions"]) == ("blocked", 1, "12")
    assert "DROPPED" in job.summary
    assert (job.uploads["evalkit-report"] / "after" / "report.html").exists()
    assert read_page(job.uploads["evalkit-report-comment"].read_bytes()).outcome == "blocked"
    told = re.findall(r"^::warning file=eval\.csv,line=(\d+),title=evalkit%3A new failure", job.log, re.MULTILINE)
    assert told[0] == "4"  # q02, below the header
    assert "git:base:eval.csv" in job.summary


@pytest.mark.parametrize(
    ("inputs", "said"),
    [
        ({}, "inputs suite and compare: name one of them"),
        ({"suite": "suite.yaml", "compare": "eval.csv"}, "inputs suite and compare: name one of them"),
        ({"compare": "eval.csv"}, "input baseline: empty; name the results before this change, such as git:origin/"),
        ({"compare": "eval.csv", "baseline": "git:base:none.csv"}, "no such file in that commit"),
        ({"compare": "none.csv", "baseline": "git:base:eval.csv"}, "none.csv: no such file"),
    ],
)
def test_an_incomplete_comparison_ends_with_2(project: Project, job: Job, inputs: dict[str, str], said: str) -> None:
    """What is missing is said, and nothing is decided."""
    results(project.root, "eval.csv", 2)
    committed(project.root)
    job.use(ACTION, inputs)
    assert job.failed
    assert (job.exit_code, job.outputs["decision"]) == (2, "none")
    assert said in job.log


@pytest.mark.parametrize(
    ("fail_on", "passing"),
    [("no-decision", {"0"}), ("fail", {"0", "3"}), ("never", {"0", "1", "3"})],
)
@pytest.mark.parametrize("code", ["0", "1", "2", "3", "4", "5", "130", "143", ""])
def test_fail_on_says_which_codes_fail_the_job(tmp_path: Path, fail_on: str, passing: set[str], code: str) -> None:
    """Decisions may be let through; what is invalid, broken, stopped or unknown never is."""
    job = job_in(tmp_path, tmp_path / "temp")
    job.shell(steps()[-1], {"inputs": {"fail-on": fail_on}, "steps": {"run": {"exit-code": code}}}, ROOT)
    assert job.failed is (code not in passing)
    assert job.exit_code == (0 if code in passing else int(code or 4))


def test_commands_to_copy_do_not_name_the_folders_of_the_runner(project: Project, job: Job) -> None:
    """Page and comment name the artifact, with the line that fetches it, and the baseline as the workflow names it."""
    start(project.root)
    regress(project)
    commit_all(project.root)
    job.env = {"GITHUB_RUN_ID": "42"}
    place = "git:main:reports/baselines/main"
    job.use(ACTION, {**GATE, "baseline": place})
    assert job.exit_code == 1
    found = re.search(r"\*\*Next\*\*\n\n(.*?)\n\n", job.summary, re.DOTALL)
    assert found is not None
    lines = found[1].splitlines()
    assert lines[0] == "- fetch the run: `gh run download 42 --name evalkit-report --dir evalkit-report`"
    assert f"`evalkit diff {place} evalkit-report --case left-" in lines[1]
    assert "`evalkit run suite.yaml --failed-from evalkit-report`" in lines[2]
    page = read_page(job.uploads["evalkit-report-comment"].read_bytes())
    assert [line[-1] for line in next(each for each in page.sections if each.title == "Next").bullets] == [
        Code(line.split("`")[1]) for line in lines
    ]


def test_a_partial_run_is_no_decision_and_fails_the_job(project: Project, job: Job) -> None:
    """Flags reach the run, and a part of the suite is never green."""
    job.use(ACTION, {**GATE, "args": "--limit 5"})
    assert job.failed
    assert (job.outputs["decision"], job.outputs["exit-code"]) == ("no decision", "3")


def test_an_invalid_suite_fails_and_says_why(project: Project, job: Job) -> None:
    """Exit 2 is no decision that an input could let pass; the problems stand on the job's page and in the comment."""
    project.suite(text="name: sums\nscorrers: [exact]\n")
    job.use(ACTION, {**GATE, "fail-on": "never"})
    assert job.failed
    assert job.exit_code == 2
    assert job.outputs["decision"] == "none"
    assert "did you mean" in job.summary
    assert job.summary.startswith("<!-- evalkit: sums -->")
    assert read_page(job.uploads["evalkit-report-comment"].read_bytes()).outcome == "no decision"


@pytest.mark.parametrize("written", ["name: two words  # why", "name: 'two words'", 'name: "two words"'])
def test_a_suite_that_is_invalid_has_the_same_comment(project: Project, job: Job, written: str) -> None:
    """The hidden marker is that of the suite once it can be read, whatever its name and however it is quoted."""
    project.suite(text=f"{written}\nscorrers: [exact]\n")
    job.use(ACTION, GATE)
    assert job.summary.startswith(marker("two words"))


NEEDED = ("RUNNER_TEMP", "GITHUB_ACTION_PATH", "GITHUB_WORKSPACE", "GITHUB_OUTPUT", "GITHUB_STEP_SUMMARY")


@pytest.mark.parametrize("names", [*((name,) for name in NEEDED), NEEDED], ids="+".join)
def test_a_runner_that_sets_too_little_is_refused_before_anything_is_done(
    project: Project, job: Job, names: tuple[str, ...]
) -> None:
    """Everything that is missing is an error on the job's page; nothing is installed, and no case is run."""
    shutil.rmtree(job.temp / "evalkit-venv")
    there = set(Path("/").iterdir())
    job.lacks = names
    job.use(ACTION, GATE)
    assert job.failed
    assert all(f"::error::{name} is not set" in job.log for name in names)
    assert "Traceback" not in job.log
    assert project.calls() == []
    assert not (job.temp / "evalkit-venv").exists()
    assert set(Path("/").iterdir()) == there


def test_an_old_python_is_refused_before_anything_is_done(job: Job, tmp_path: Path) -> None:
    """The runner's python3 is older than evalkit needs."""
    shutil.rmtree(job.temp / "evalkit-venv")
    old = tmp_path / "old" / "python3"
    old.parent.mkdir()
    old.write_text("#!/bin/sh\nexit 1\n", encoding="utf-8")
    old.chmod(0o755)
    job.env = {"PATH": f"{old.parent}:{os.environ['PATH']}"}
    job.use(ACTION, GATE)
    assert job.failed
    assert "::error::evalkit needs Python 3.11 or newer" in job.log
    assert not (job.temp / "evalkit-venv").exists()


def test_packages_of_a_virtual_environment_of_the_job_can_be_imported(job: Job, tmp_path: Path) -> None:
    """The first step is run as it is, with an empty lock: `python3` is an environment that an earlier step made."""
    shutil.rmtree(job.temp / "evalkit-venv")
    action, earlier = tmp_path / "action", tmp_path / "job's venv"
    action.mkdir()
    (action / "requirements.lock").touch()
    venv.create(earlier, with_pip=False)
    (packages,) = earlier.glob("lib/python3*/site-packages")
    (packages / "of_the_job.py").write_text("", encoding="utf-8")
    (packages / "tables-3.0.dist-info").mkdir()
    (packages / "tables-3.0.dist-info" / "METADATA").write_text("Name: tables\nVersion: 3.0\n", encoding="utf-8")
    linked = tmp_path / "checkout"
    linked.mkdir()
    (linked / "installed_in_place.py").write_text("", encoding="utf-8")
    (packages / "in_place.pth").write_text(f"{linked}\n", encoding="utf-8")
    job.env = {"PATH": f"{earlier / 'bin'}:{os.environ['PATH']}"}
    job.shell(steps()[0], {"inputs": {}, "steps": {}}, action)
    assert not job.failed, job.log
    (own,) = (job.temp / "evalkit-venv").glob("lib/python3*/site-packages")
    (own / "tables-2.1.dist-info").mkdir()
    (own / "tables-2.1.dist-info" / "METADATA").write_text("Name: tables\nVersion: 2.1\n", encoding="utf-8")
    program = (
        f"import of_the_job, installed_in_place, sys; sys.path.append({str(ROOT)!r}); "
        "from evalkit.systems.package_conflicts import shadowed_packages; print(*shadowed_packages())"
    )
    python = job.temp / "evalkit-venv" / "bin" / "python"
    ran = subprocess.run([python, "-c", program], capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr
    assert "tables 2.1 instead of 3.0" in ran.stdout


@pytest.mark.parametrize("left", ["an installation that was cut short", "one of another commit"])
def test_what_is_there_is_used_only_where_it_is_whole_and_this_commit(job: Job, tmp_path: Path, left: str) -> None:
    """The environment is made again; a python3 that records its arguments shows it."""
    marker_file = job.temp / "evalkit-venv" / "installed-from"
    if left == "one of another commit":
        marker_file.write_text("/actions/another-commit", encoding="utf-8")
    else:
        marker_file.unlink()
    spy = tmp_path / "spy" / "python3"
    spy.parent.mkdir()
    spy.write_text(f'#!/bin/sh\necho "$*" >> {tmp_path}/asked\n[ "$1" != -m ]\n', encoding="utf-8")
    spy.chmod(0o755)
    job.env = {"PATH": f"{spy.parent}:{os.environ['PATH']}"}
    job.use(ACTION, GATE)
    assert "-m venv --clear" in (tmp_path / "asked").read_text(encoding="utf-8")


def test_exit_0_without_a_complete_decision_is_red(project: Project, job: Job) -> None:
    """A run that ends with 0 and decided nothing, such as `--help`, is a failure of its own."""
    job.use(ACTION, {**GATE, "args": "--help"})
    assert job.failed
    assert job.outputs["exit-code"] == "4"


@pytest.mark.parametrize(
    ("inputs", "said"),
    [
        ({"comment": "sometimes"}, "input comment: 'sometimes'; write one of on-change"),
        ({"fail-on": "maybe"}, "input fail-on: 'maybe'"),
        ({"artifact-name": "a\nb=c"}, "input artifact-name"),
        ({"args": "--case 'a"}, "input args: No closing quotation"),
        ({"args": "--out=x"}, "input args: --out is set by the action"),
    ],
)
def test_inputs_that_cannot_be_meant_are_named(project: Project, job: Job, inputs: dict[str, str], said: str) -> None:
    """A typo of an input is an error on the job's page, before any call."""
    job.use(ACTION, {**GATE, **inputs})
    assert job.failed
    assert (job.exit_code, job.outputs["exit-code"], job.outputs["decision"]) == (2, "2", "none")
    assert f"::error::{said}" in job.log.replace("%0A", "\n")
    assert project.calls() == []


@pytest.mark.parametrize(
    ("when", "expected"),
    [
        ("on-change", {"nothing moved": False, "a case moved": True, "blocked": True}),
        ("always", {"nothing moved": True, "a case moved": True, "blocked": True}),
        ("failures", {"nothing moved": False, "a case moved": False, "blocked": True}),
    ],
)
def test_when_a_comment_is_news(when: str, expected: dict[str, bool]) -> None:
    """`on-change` is quiet where nothing moved, `failures` for every green run."""
    quiet = Ended(0, "approved", (), (), Page(suite="s", outcome="approved", headline="h", news=False))
    ends = {
        "nothing moved": quiet,
        "a case moved": replace(quiet, page=replace(quiet.page, news=True)),
        "blocked": replace(quiet, exit_code=1, page=replace(quiet.page, news=True)),
    }
    assert {name: is_news(ended, when) for name, ended in ends.items()} == expected


def test_no_comment_is_wanted(project: Project, job: Job) -> None:
    """`off` keeps no page at all."""
    job.use(ACTION, {**GATE, "comment": "off"})
    assert set(job.uploads) == {"evalkit-report"}


def test_words_with_spaces_and_shell_signs_stay_words(project: Project, job: Job, tmp_path: Path) -> None:
    """Inputs are words, never shell: a suite with spaces works, and nothing in it is run."""
    project.suite(name="a $(touch pwned) suite.yaml")
    with (project.root / "cases.jsonl").open("a", encoding="utf-8") as file:
        odd = {"id": "$(touch pwned)", "input": "77 + 1", "reference": "78", "cohorts": {"group": "left"}}
        file.write(json.dumps(odd) + "\n")
    job.use(ACTION, {"suite": "a $(touch pwned) suite.yaml", "args": "--case 'left-001' --case \"$(touch pwned)\""})
    assert not (project.root / "pwned").exists()
    assert job.outputs["exit-code"] == "3"


def test_what_a_system_prints_is_no_command_to_the_runner(project: Project, job: Job) -> None:
    """Lines of the run stand between stop-commands and its random token; what the system prints begins no command."""
    bot = project.root / "bot.py"
    bot.write_text(
        bot.read_text().replace("    a, b", "    print('::set-output name=x::y')\n    print('##[error]z')\n    a, b"),
        encoding="utf-8",
    )
    job.use(ACTION, GATE)
    token = re.search(r"^::stop-commands::([0-9a-f]{32})$", job.log, re.MULTILINE)
    assert token is not None
    inside = job.log[token.end() : job.log.index(f"\n::{token[1]}::\n")]
    assert "APPROVED" in inside
    assert job.log.count("set-output name=x::y") == 120
    assert not re.search(r"^\s*::set-output", job.log, re.MULTILINE)
    assert "<U+003A>:set-output name=x::y" in job.log
    assert "##[error]" not in job.log


def test_flags_that_are_the_action_s_own_do_not_come_in_by_the_environment(project: Project, tmp_path: Path) -> None:
    """The report is written, the baseline compared and stdout kept, whatever the job exports."""
    regress(project)
    loose = {"EVALKIT_REPORT": "false", "EVALKIT_BASELINE": "none", "EVALKIT_JSON": "1", "EVALKIT_REPEAT": "1"}
    job = Job(project.root, job_in(project.root, tmp_path / "temp").temp, loose)
    job.use(ACTION, GATE)
    assert job.exit_code == 1
    assert job.outputs["regressions"] == "20"
    kept = job.uploads["evalkit-report"]
    assert (kept / "report.html").exists()
    assert json.loads((kept / "manifest.json").read_text(encoding="utf-8"))["command"].startswith(
        "env EVALKIT_REPEAT=1 "
    )


def test_last_words_hold_no_secret(project: Project, tmp_path: Path) -> None:
    """What a system printed before the end reaches summary and comment without the keys of the environment."""
    bot = project.root / "bot.py"
    bot.write_text(
        "import os, sys\nsys.stderr.write('key ' + os.environ['JUDGE_API_KEY'] + '\\n')\nraise OSError('no')\n"
    )
    job = Job(project.root, job_in(project.root, tmp_path / "temp").temp, {"JUDGE_API_KEY": "canary-1234567890"})
    job.use(ACTION, GATE)
    assert job.exit_code == 2
    assert "What it said last" in job.summary
    assert "canary" not in job.summary
    assert b"canary" not in job.uploads["evalkit-report-comment"].read_bytes()


def test_hostile_answers_and_ids_cannot_leave_their_place(project: Project, job: Job) -> None:
    """Fences, mentions, images and commands in ids, answers and cohorts neither break the page nor the log."""
    hostile = "::set-output name=a::b ```\n# @team ![x](http://evil.test) <img src=x onerror=alert(1)> | %0A::error::z"
    regress(project)
    bot = project.root / "bot.py"
    bot.write_text(bot.read_text().replace('"no idea"', repr(hostile)), encoding="utf-8")
    job.use(ACTION, GATE)
    assert job.exit_code == 1
    after = job.log[job.log.rindex("::stop-commands::") :].split("::\n", 1)[1]
    ours = ("::error file=", "::warning file=")
    assert not [line for line in after.splitlines() if line.startswith("::") and not line.startswith(ours)]
    spans = re.sub(r"\\[^\w\s]|(?<!`)(`+)(?!`).*?(?<!`)\1(?!`)", "", job.summary)
    assert not re.search(r"@\w|\]\(|<img|://", spans)


def test_the_action_holds_no_expression_in_a_script_and_pins_what_it_uses() -> None:
    """Inputs reach scripts through the environment only; other actions are named by their commit."""
    for file in (ACTION, ROOT / "comment" / "action.yml"):
        for step in yaml.safe_load(file.read_text(encoding="utf-8"))["runs"]["steps"]:
            assert "${{" not in step.get("run", "")
            assert "uses" not in step or re.fullmatch(r"[\w/-]+@[0-9a-f]{40}", step["uses"])
