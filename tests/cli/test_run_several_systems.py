"""Several systems in one run: the acceptance sentences, with real processes and real HTTP."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from collections import Counter
from pathlib import Path

import pytest
from several_project import GATE, HEAD, SeveralProject, system

from evalkit.testing import FakeModel, Fault

OLD, NEW, THIRD = system(side="old"), system("right-0"), system("left", side="third")


@pytest.fixture
def several(tmp_path: Path) -> SeveralProject:
    """A project with several systems."""
    return SeveralProject(tmp_path)


def test_two_systems_decide_as_two_runs_do(several: SeveralProject) -> None:
    """The gate of the released system is that of a plain run against the reference, to the p value."""
    several.systems(f"release: [new]\n{GATE}", old=OLD, new=NEW)
    ran = several.run("run", "suite.yaml", "--out", "both", "--no-report")
    assert 1 == ran.returncode, ran.stderr
    several.suite(text=f"{HEAD}system: {OLD}\ngate: [pass_rate: 0.1]\n")
    assert 0 == several.run("run", "suite.yaml", "--out", "first", "--no-report").returncode
    gate = f"gate:\n  - pass_rate: 0.1\n  - no_regression: {{baseline: {{run: first, system: {OLD}}}}}\n"
    several.suite(text=f"{HEAD}system: {NEW}\n{gate}")
    assert 1 == several.run("run", "suite.yaml", "--out", "second", "--no-report").returncode
    ours, plain = several.decision("both/systems/new"), several.decision("second")
    assert ours["checks"] == plain["checks"]
    assert ours["comparison"] == plain["comparison"]
    assert ours["reasons"] == [each for each in plain["reasons"] if " since baseline " not in each]


def test_a_third_system_leaves_the_release_decision_as_it_is(several: SeveralProject) -> None:
    """Alpha belongs to those who decide."""
    more = f"release: [new]\n{GATE}"
    several.systems(more, old=OLD, new=NEW)
    several.run("run", "suite.yaml", "--out", "two", "--no-report")
    several.systems(more, old=OLD, third=THIRD, new=NEW)
    ran = several.run("run", "suite.yaml", "--out", "three", "--no-report")
    assert several.decision("two/systems/new") == several.decision("three/systems/new")
    assert several.rows("two", "new") == several.rows("three", "new")
    assert json.loads((several.root / "three" / "decision.json").read_text())["systems"]["third"] is None
    assert "new blocked" in ran.stdout
    assert "no decision" == several.decision("three/systems/third")["outcome"]


def test_two_release_systems_share_alpha(several: SeveralProject) -> None:
    """The p values stay, and the level is half of what it is for one."""
    several.systems(f"release: [new]\n{GATE}", old=OLD, new=system("right-01"), third=THIRD)
    several.run("run", "suite.yaml", "--out", "one", "--no-report")
    several.systems(f"release: [new, third]\n{GATE}", old=OLD, new=system("right-01"), third=THIRD)
    ran = several.run("run", "suite.yaml", "--out", "two", "--no-report")
    alone, shared = (several.decision(f"{run}/systems/new") for run in ("one", "two"))
    assert [each["p_value"] for each in alone["checks"]] == [each["p_value"] for each in shared["checks"]]
    assert 1 == ran.returncode
    assert "third blocked" in ran.stdout


def test_a_matrix_of_one_decides_as_a_plain_run(several: SeveralProject) -> None:
    """Same rows, same checks, same exit code."""
    gate = "gate: [pass_rate: {min: 0.99, by: group}]\n"
    several.suite(
        text=f'{HEAD}matrix: {{broken: [right-00]}}\nsystem: {{python: "bot:answer", arguments: '
        f'{{broken: "{{{{matrix.broken}}}}"}}}}\nrelease: [right-00]\n{gate}'
    )
    many = several.run("run", "suite.yaml", "--out", "many", "--no-report")
    several.suite(text=f'{HEAD}system: {{python: "bot:answer", arguments: {{broken: right-00}}}}\n{gate}')
    plain = several.run("run", "suite.yaml", "--out", "plain", "--no-report")
    assert many.returncode == plain.returncode
    ours, theirs = several.decision("many/systems/right-00"), several.decision("plain")
    assert (ours["outcome"], ours["checks"], ours["reasons"]) == (
        theirs["outcome"],
        theirs["checks"],
        theirs["reasons"],
    )


def started(several: SeveralProject, *words: str) -> subprocess.Popen[str]:
    """Start a run, and wait until it has asked some cases."""
    running = subprocess.Popen(
        several.command("run", "suite.yaml", "--out", "run", "--no-report", *words),
        cwd=several.root,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ},
    )
    deadline = time.monotonic() + 60
    while len(several.calls()) < 200 and running.poll() is None and time.monotonic() < deadline:
        time.sleep(0.01)
    assert running.poll() is None, running.stderr.read() if running.stderr else ""
    return running


SLOW = {"old": system(side="old", delay=0.04), "new": system("right-0", delay=0.005), "third": system("left")}


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
def test_a_run_that_stops_at_half_has_the_same_cases_in_each(several: SeveralProject, number: int) -> None:
    """Give or take 64, however fast each is; resumed, no finished case is asked again and none is lost."""
    several.systems(f"release: [new]\n{GATE}", **SLOW)
    running = started(several)
    running.send_signal(number)
    _, said = running.communicate(timeout=60)
    assert running.returncode == (130 if number == signal.SIGINT else -9)
    found = {name: set(several.rows("run", name)) for name in SLOW}
    counts = [len(each) for each in found.values()]
    assert 0 < min(counts) < 120
    assert max(counts) - min(counts) <= 64 + 4
    assert len(found["new"] ^ found["old"]) <= 64 + 8
    if number == signal.SIGINT:
        assert "evalkit run suite.yaml --no-report --out run --resume" in said
    ran = several.run("run", "suite.yaml", "--out", "run", "--resume", "--no-report")
    assert 1 == ran.returncode, ran.stderr
    calls = Counter(line for line in (several.root / "calls.log").read_text().splitlines())
    of_third = [n for line, n in calls.items() if line.startswith("left ")]  # the only one without a second look
    assert 120 == len(of_third)
    assert sum(of_third) <= 120 + 4
    assert all(len({case for case, repeat in several.rows("run", name) if not repeat}) == 120 for name in SLOW)
    several.run("run", "suite.yaml", "--out", "whole", "--no-report")
    for name in SLOW:
        assert several.rows("run", name) == several.rows("whole", name)
    ours, whole = several.decision("run/systems/new"), several.decision("whole/systems/new")
    assert ours["checks"] == whole["checks"]


CHAT = """\
matrix:
  model: [good, busy]
system: {{chat: "{{{{matrix.model}}}}", base_url: "{url}", retries: 1, timeout_s: 2, prompt_file: p.md}}
"""


def sums(request: dict[str, object]) -> str:
    """The right answer, as the model of a test gives it."""
    a, b = request["messages"][-1]["content"].removeprefix("What is ").removesuffix("?").split("+")  # type: ignore[index]
    return str(int(a) + int(b))


def test_a_storm_of_429_on_one_system_leaves_the_rows_of_the_others(several: SeveralProject) -> None:
    """It is stopped after ten failures in a row; the others' rows are those of a run without it."""
    (several.root / "p.md").write_text("What is {{input}}?\n")
    with FakeModel(sums) as good, FakeModel(always=Fault(kind="status", status=429)) as busy:
        system_of = 'base_url: "{url}", retries: 1, timeout_s: 2, prompt_file: p.md'.format
        named = {
            "good": f"{{chat: good, {system_of(url=good.base_url)}}}",
            "busy": f"{{chat: busy, {system_of(url=busy.base_url)}}}",
        }
        several.systems("", **named)
        ran = several.run("run", "suite.yaml", "--out", "storm", "--no-report")
        several.systems("", good=named["good"])
        calm = several.run("run", "suite.yaml", "--out", "calm", "--no-report")
    assert (3, 0) == (ran.returncode, calm.returncode), ran.stderr
    assert several.rows("calm", "good") == several.rows("storm", "good")
    assert 120 == len(several.rows("storm", "good"))
    assert len(several.rows("storm", "busy")) < 60
    assert "busy answered 0 of 120 calls" in ran.stdout


def test_an_unreachable_system_stops_alone(several: SeveralProject) -> None:
    """As in a plain run, and the others go on."""
    (several.root / "p.md").write_text("What is {{input}}?\n")
    dead = '{chat: m, base_url: "http://127.0.0.1:9/v1", retries: 0, timeout_s: 2}'
    several.systems(f"release: [new]\nreference: old\n{GATE}", old=dead, new=NEW)
    ran = several.run("run", "suite.yaml", "--out", "run", "--no-report")
    assert 3 == ran.returncode
    assert 120 == len({case for case, _ in several.rows("run", "new")})
    assert "the reference old" in ran.stdout


def test_every_kind_of_system_runs_side_by_side(several: SeveralProject) -> None:
    """python, http, command, chat and replay, on one golden set."""
    (several.root / "echo.py").write_text(
        "import json, sys\na, b = json.load(sys.stdin)['input'].split('+')\nprint(int(a) + int(b))\n"
    )
    (several.root / "p.md").write_text("What is {{input}}?\n")
    cases = (several.root / "cases.jsonl").read_text().splitlines()
    stored = [{"id": json.loads(line)["id"], "output": "7"} for line in cases]
    (several.root / "stored.jsonl").write_text("".join(json.dumps(row) + "\n" for row in stored))
    with FakeModel(sums) as model:
        url = model.base_url
        several.cases(12)
        several.systems(
            "",
            code=system(),
            program="{command: [python3, echo.py]}",
            chat=f'{{chat: m, base_url: "{url}", prompt_file: p.md}}',
            web=f'{{http: "{url}/chat/completions", body: {{model: m, messages: [{{role: user, content: '
            '"What is {{input}}?"}]}, '
            'pick: {text: "choices[0].message.content"}}',
            stored="{replay: stored.jsonl}",
        )
        ran = several.run("run", "suite.yaml", "--out", "run", "--no-report")
    assert 0 == ran.returncode, ran.stderr
    for name in ("code", "program", "chat", "web"):
        assert {1.0} == {row["grades"]["exact"] for row in several.rows("run", name).values()}, name
    assert {"7"} == {row["text"] for row in several.rows("run", "stored").values()}


def test_prompt_files_make_a_matrix(several: SeveralProject) -> None:
    """Models x prompts; a name that no case has is a problem before the run."""
    (several.root / "short.md").write_text("What is {{input}}?\n")
    (several.root / "system.yaml").write_text(
        '- {role: system, content: "You add."}\n- {role: user, content: "What is {{input}}?"}\n'
    )
    several.cases(8)
    with FakeModel(sums) as model:
        several.suite(
            text=f"{HEAD}matrix:\n  model: [small, large]\n  prompt: [short.md, system.yaml]\n"
            f'system: {{chat: "{{{{matrix.model}}}}", base_url: "{model.base_url}", '
            'prompt_file: "{{matrix.prompt}}"}\n'
        )
        ran = several.run("run", "suite.yaml", "--out", "run", "--no-report")
        assert 0 == ran.returncode, ran.stderr
        sent = Counter((each["model"], len(each["messages"])) for each in model.requests)
        assert {(name, n): 8 for name in ("small", "large") for n in (1, 2)} == sent
        listed = json.loads((several.root / "run" / "systems.json").read_text())
        assert ["small/short", "small/system", "large/short", "large/system"] == [
            each["name"] for each in listed["systems"]
        ]
        (several.root / "short.md").write_text("What is {{question}}?\n")
        ran = several.run("run", "suite.yaml", "--out", "other", "--no-report")
        assert 2 == ran.returncode
        assert "8 of 8 cases have no `question`, which the request asks for as {{question}}" in ran.stderr
        assert not (several.root / "other").exists()
        ran = several.run("run", "suite.yaml", "--out", "run", "--resume", "--no-report")
        assert 2 == ran.returncode


@pytest.mark.parametrize(
    ("more", "words", "code", "said"),
    [
        ("", (), 0, "3 systems · reference old"),
        ("", ("--limit", "10"), 3, "NO DECISION  partial run (--limit 10)"),
        (f"release: [new]\n{GATE}", (), 1, "new blocked"),
        (f"release: [third]\n{GATE}", (), 0, "third approved"),
        (f"release: [third, new]\n{GATE}", (), 1, "third approved"),
        (f"release: [third]\n{GATE}", ("--limit", "10"), 3, "third no decision"),
        ("release: [thrid]\n", (), 2, "did you mean `third`?"),
        ("primary: exakt\n", (), 2, "primary: no scorer gives 'exakt' as a mean over cases; did you mean `exact`?"),
        ("primary: latency_p95\n", (), 2, "primary: no scorer gives 'latency_p95' as a mean over cases"),
        ("primary: exact\n", (), 0, "compared by exact"),
    ],
)
def test_exit_codes(several: SeveralProject, more: str, words: tuple[str, ...], code: int, said: str) -> None:
    """0 approved or only compared, 1 blocked, 2 input, 3 no decision."""
    several.systems(more, old=OLD, new=NEW, third=system(side="same"))
    ran = several.run("run", "suite.yaml", "--out", "run", "--no-report", *words)
    assert (code, True) == (ran.returncode, said in ran.stdout + ran.stderr), ran.stdout + ran.stderr
    if code != 2:
        assert code == several.json("run/decision.json")["exit_code"]
        again = several.run("gate", "run")
        assert (code, True) == (again.returncode, said in again.stdout), again.stdout + again.stderr


def test_equal_systems_are_refused(several: SeveralProject) -> None:
    """One fingerprint is one system."""
    several.systems("", old=OLD, new=OLD)
    ran = several.run("run", "suite.yaml", "--out", "run")
    assert 2 == ran.returncode
    assert "systems.new: 'new' and 'old' are the same system" in ran.stderr
    same = '{python: "bot:answer", version: "1", arguments: {side: SIDE}}'
    several.systems("", old=same, new=same.replace("SIDE", "other"))
    assert "have one `version`" in several.run("check", "suite.yaml").stderr


def test_budgets_of_a_system_and_of_all(several: SeveralProject) -> None:
    """A spent system stops alone; a spent run stops all at the same cases."""
    prices = "prices: {input_usd_per_million: 1000, output_usd_per_million: 0}"  # $0.1 a call
    (several.root / "p.md").write_text("What is {{input}}?\n")
    with FakeModel(sums) as model:
        chat = f'{{chat: NAME, base_url: "{model.base_url}", prompt_file: p.md, {prices}MORE}}'
        small = chat.replace("NAME", "small").replace("MORE", ", budget_usd: 1")
        large = chat.replace("NAME", "large").replace("MORE", "")
        several.systems("", small=small, large=large)
        ran = several.run("run", "suite.yaml", "--out", "own", "--no-report")
        assert 3 == ran.returncode
        assert 10 <= len(several.rows("own", "small")) <= 14
        assert 120 == len(several.rows("own", "large"))
        several.systems("budget_usd: 6\n", small=small.replace(", budget_usd: 1", ""), large=large)
        assert 3 == several.run("run", "suite.yaml", "--out", "all", "--no-report").returncode
        counts = [len(several.rows("all", name)) for name in ("small", "large")]
        assert 60 <= sum(counts) <= 70
        assert abs(counts[0] - counts[1]) <= 64
        more = ("--out", "all", "--resume", "--budget", "100", "--no-report")
        assert 0 == several.run("run", "suite.yaml", *more).returncode
        assert 240 == sum(len(several.rows("all", name)) for name in ("small", "large"))


def test_commands_on_the_folder_and_on_a_system(several: SeveralProject) -> None:
    """What is obvious is done; otherwise one message names the systems, with a line to copy."""
    several.systems(f"release: [new]\n{GATE}", old=OLD, new=NEW)
    assert 1 == several.run("run", "suite.yaml", "--out", "reports/r").returncode
    assert (several.root / "reports/r/systems/new/report.html").exists()
    for words in (("diff", "reports/r", "reports/r/systems/new"), ("baseline", "save", "reports/r", "--name", "main")):
        ran = several.run(*words)
        assert 2 == ran.returncode
        assert "holds the runs of 2 systems (new, old); name one, such as reports/r/systems/new" in ran.stderr
    assert 0 == several.run("report", "latest").returncode
    assert 1 == several.run("gate", "latest").returncode
    before = several.decision("reports/r/systems/new")
    assert 1 == several.run("gate", "reports/r/systems/new").returncode
    assert before["checks"] == several.decision("reports/r/systems/new")["checks"]
    assert 0 == several.run("verify", "reports/r/systems/new").returncode
    assert (
        0 == several.run("baseline", "save", "reports/r/systems/old", "--name", "main", "--accept", "it is").returncode
    )
    ran = several.run("noise", "suite.yaml")
    assert "the suite names 2 systems, and one is needed here" in ran.stderr


def test_a_changed_suite_is_not_resumed_with_other_systems(several: SeveralProject) -> None:
    """Nor a run of one system, or in a folder that is in use."""
    several.systems("", old=OLD, new=NEW)
    assert 0 == several.run("run", "suite.yaml", "--out", "run", "--no-report").returncode
    several.systems("", old=OLD, newer=NEW)
    ran = several.run("run", "suite.yaml", "--out", "run", "--resume")
    assert 2 == ran.returncode
    assert "the run in it had other systems (newer added, new removed)" in ran.stderr
    several.systems("", old=OLD, new=system("left"))
    assert "another system" in several.run("run", "suite.yaml", "--out", "run", "--resume").stderr
    several.suite(text=f"{HEAD}system: {OLD}\n")
    several.run("run", "suite.yaml", "--out", "plain", "--no-report")
    several.systems("", old=OLD, new=NEW)
    ran = several.run("run", "suite.yaml", "--out", "plain", "--resume")
    assert "holds a run of one system" in ran.stderr


def test_check_and_dry_run_count_every_system(several: SeveralProject) -> None:
    """Names, fingerprints and calls."""
    several.systems(f"release: [new]\n{GATE}repeat: 2\n", old=OLD, new=NEW, third=THIRD)
    said = several.run("check", "suite.yaml").stdout
    assert "systems    3 · reference old · release new" in said
    assert "makes 720 calls" in said
    ran = several.run("run", "suite.yaml", "--dry-run", "--json")
    estimates = json.loads(ran.stdout)["systems"]
    assert {"old": 240, "new": 240, "third": 240} == {name: each["n_rows"] for name, each in estimates.items()}
    assert not (several.root / "reports").exists()


def test_a_slowdown_against_the_reference_blocks(several: SeveralProject) -> None:
    """Both are timed by turns, so it is not a matter of the hour; nothing is asked twice for it."""
    gate = "gate: [no_regression: {metrics: [pass_rate], max_slowdown: 1.5}]\n"
    several.cases(40)
    several.systems(f"release: [new]\n{gate}", old=system(side="old", delay=0.05), new=system(side="new", delay=0.6))
    ran = several.run("run", "suite.yaml", "--out", "run", "--no-report")
    assert 1 == ran.returncode, ran.stdout
    assert "new blocked: latency ratio is" in ran.stdout
    assert 80 == len((several.root / "calls.log").read_text().splitlines())


def test_a_suite_that_gates_no_system_any_more_gives_no_decision(several: SeveralProject) -> None:
    """It would be green otherwise."""
    several.systems(f"release: [new]\n{GATE}", old=OLD, new=system(side="same"))
    assert 0 == several.run("run", "suite.yaml", "--out", "run", "--no-report").returncode
    assert 0 == several.run("baseline", "save", "run/systems/new", "--name", "main").returncode
    several.systems(GATE, old=OLD, new=system(side="same"))
    ran = several.run("run", "suite.yaml", "--out", "other", "--no-report")
    assert 3 == ran.returncode, ran.stdout
    assert "`release:` named some before" in ran.stdout
