"""What a resumed run asks again, and what it does not: by content, by scorer, by what went wrong."""

from __future__ import annotations

import dataclasses
import json
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from fault_project import HERE, FaultProject, project_in, wait_for

from evalkit.formats.rows import decode_row, encode_row

BOT = """\
import os, pathlib, signal

HERE = pathlib.Path(__file__).parent

def answer(input: str, id: str) -> str:
    with (HERE / "asked.log").open("a") as log:
        log.write(f"asked {input}\\n")
    if id == "c0007" and not (HERE / "healed").exists():
        KILL
    a, b = map(int, input.split("+"))
    return str(a + b)
"""


@pytest.fixture
def project(tmp_path: Path) -> Iterator[FaultProject]:
    """A project of 60 cases, none of them asked."""
    with project_in(tmp_path, delay_s=0.005, flags=("--no-report",)) as made:
        yield made


def edit(project: FaultProject, name: str, old: str, new: str) -> None:
    """Change a file of the project."""
    file = project.root / name
    text = file.read_text(encoding="utf-8")
    assert old in text
    file.write_text(text.replace(old, new), encoding="utf-8")


def scores(project: FaultProject, folder: str) -> dict[str, Any]:
    """Case -> its last grades as the journal has them."""
    lines = (project.root / folder / "rows.jsonl").read_bytes().split(b"\n")[:-1]
    rows = [json.loads(line)["row"] for line in lines]
    return {row["case"]["id"]: row["scores"] for row in rows}


def test_a_finished_run_makes_no_call(project: FaultProject) -> None:
    """Resumed, it decides the same from the rows it has."""
    project.run("run")
    before, asked = project.decided("run"), project.asked()
    assert project.run("run", "--resume").returncode == 3
    assert project.decided("run") == before
    assert project.asked() == asked


def test_an_edited_gate_decides_again_without_a_call(project: FaultProject) -> None:
    """The rows stand; the gate is today's."""
    project.run("run")
    asked, rows = project.asked(), (project.root / "run" / "rows.jsonl").read_bytes()
    edit(project, "suite.yaml", "min: 0.5", "min: 0.99")
    assert project.run("run", "--resume").returncode == 1
    assert project.asked() == asked
    assert (project.root / "run" / "rows.jsonl").read_bytes() == rows


def test_an_edited_scorer_grades_stored_answers_again(project: FaultProject) -> None:
    """That scorer alone; the system is not called, and the run equals one that was made like this."""
    project.run("run")
    asked = project.asked()
    edit(project, "suite.yaml", "- exact", "- exact: {mode: numeric}")
    edit(project, "suite.yaml", "- token_f1", "- length: {max: 3, unit: words}")
    ended = project.run("run", "--resume")
    assert "stored answers that changed scorers grade again, without a call: 57" in ended.stderr
    assert project.asked() == asked
    assert project.run("fresh").returncode == ended.returncode == 3
    assert project.decided("run") == project.decided("fresh")
    assert scores(project, "run") == scores(project, "fresh")


def test_one_scorer_is_asked_and_the_others_keep_their_grades(project: FaultProject) -> None:
    """A grade that stands is the one that was stored, and not the same one made once more."""
    project.run("run")
    path = project.root / "run" / "rows.jsonl"
    rows = [row for line in path.read_bytes().splitlines(keepends=True) if (row := decode_row(line))]
    marked = [
        dataclasses.replace(
            row, scores={name: dataclasses.replace(grade, reason="stored") for name, grade in row.scores.items()}
        )  # type: ignore[arg-type]
        for row in rows
    ]
    path.write_bytes(b"".join(map(encode_row, marked)))
    for name in ("seal.txt", "decision.json"):  # rows of a decided run would be asked again
        (project.root / "run" / name).unlink()
    edit(project, "suite.yaml", "- exact", "- exact: {mode: numeric}")
    project.run("run", "--resume")
    found = scores(project, "run")["c0001"]
    assert found["token_f1"]["reason"] == "stored"
    assert found["exact"].get("reason") != "stored"


def test_the_gate_alone_waits_for_grades_that_are_owed(project: FaultProject) -> None:
    """Killed while stored answers were graded again: no decision mixes old and new grades."""
    project.run("run")
    edit(project, "suite.yaml", "- exact", "- exact: {mode: numeric}")
    harness = str(HERE / "kill_at.py")
    died = project.run("run", "--resume", prefix=(harness, "evalkit.store.journal:Journal.append", "after", "10"))
    assert died.returncode == -9
    assert not (project.root / "run" / "decision.json").exists()
    gated = subprocess.run(
        [sys.executable, "-m", "evalkit", "gate", "run"], cwd=project.root, capture_output=True, text=True
    )
    assert gated.returncode == 2
    assert "the scorers of 47 rows have changed since they graded" in " ".join(gated.stderr.split())
    assert project.run("run", "--resume").returncode == 3
    project.run("fresh")
    assert project.decided("run") == project.decided("fresh")


def test_edited_cases_are_asked_and_others_are_not(project: FaultProject) -> None:
    """By content: a changed case, a new one and one that is gone; the order of the file means nothing."""
    project.run("run")
    lines = (project.root / "cases.jsonl").read_text(encoding="utf-8").splitlines()
    changed = lines[3].replace('"3+3"', '"3+4"').replace('"6"', '"7"')
    new = '{"id": "new", "input": "200+1", "reference": "201", "cohorts": {"group": "a"}}'
    (project.root / "cases.jsonl").write_text(
        "\n".join([new, *lines[:0:-1], changed]).replace(lines[3] + "\n", ""), encoding="utf-8"
    )
    asked = project.asked()
    ended = project.run("run", "--resume")
    assert project.asked() - asked == {"200+1": 1, "3+4": 1}
    assert "gone from the golden set" in ended.stderr
    assert "c0000" in (project.root / "run" / "set_aside.jsonl").read_text(encoding="utf-8")
    project.run("fresh")
    assert project.decided("run") == project.decided("fresh")


def test_another_system_is_another_run(project: FaultProject) -> None:
    """Its answers are not mixed with those of the first."""
    project.run("run")
    edit(project, "suite.yaml", 'version: "1"', 'version: "2"')
    ended = project.run("run", "--resume")
    assert ended.returncode == 2
    assert "another system" in ended.stderr


def test_errors_are_tried_again_and_count_until_then(project: FaultProject) -> None:
    """Only they are asked; the journal keeps the old row, the new one counts."""
    project.run("run")
    asked = project.asked()
    ended = project.run("run", "--retry-errors")
    assert ended.returncode == 3
    assert project.asked() - asked == {"16+2": 1, "33+5": 1, "50+1": 1}
    assert len((project.root / "run" / "rows.jsonl").read_bytes().splitlines()) == 63
    assert json.loads((project.root / "run" / "summary.json").read_bytes())["states"]["system_error"] == 3
    killed = project.run("run", "--retry-errors", "--deadline", "0.001")
    assert killed.returncode == 3
    assert json.loads((project.root / "run" / "summary.json").read_bytes())["error_kinds"] == {"http_500": 3}


def test_what_failed_can_be_run_alone(project: FaultProject) -> None:
    """Wrong answers and errors of a run, edited cases among them; it decides nothing."""
    project.run("run")
    edit(project, "cases.jsonl", '"9+2", "reference": "11"', '"9+2", "reference": "12"')
    asked = project.asked()
    ended = project.run("again", "--failed-from", "run")
    assert ended.returncode == 3
    assert "partial run, not a gate: --failed-from run" in " ".join(ended.stdout.split())
    assert {int(question.split("+")[0]) for question in project.asked() - asked} == {9, 16, 19, 29, 33, 39, 49, 50, 59}
    nothing = project.run("none", "--failed-from", "nowhere")
    assert nothing.returncode == 2
    rows = project.root / "run" / "rows.jsonl"
    rows.write_bytes(rows.read_bytes().replace(b'"repeat":0', b'"repeat":9', 3))
    asked = project.asked()
    unknown = project.run("unknown", "--failed-from", "run")
    assert unknown.returncode == 2
    assert "3 rows damaged, so which cases failed is not known; fix it with" in unknown.stderr
    assert project.asked() == asked


def test_damaged_rows_are_named_and_run_again(project: FaultProject) -> None:
    """The line is kept aside, the decision is that of a clean run, and the run verifies."""
    project.run("clean")
    project.run("run")
    path = project.root / "run" / "rows.jsonl"
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 4
    path.write_bytes(bytes(data))
    ended = project.run("run", "--resume")
    assert "are kept in set_aside.jsonl, their cases are run again" in ended.stderr
    assert project.decided("run") == project.decided("clean")
    assert len((project.root / "run" / "set_aside.jsonl").read_bytes().splitlines()) == 1
    verified = subprocess.run([sys.executable, "-m", "evalkit", "verify", "run"], cwd=project.root)
    assert verified.returncode == 0


def with_bot(project: FaultProject, kill: str) -> None:
    """A python system in place of the one behind HTTP."""
    (project.root / "bot.py").write_text(BOT.replace("KILL", kill), encoding="utf-8")
    text = (project.root / "suite.yaml").read_text(encoding="utf-8")
    start, end = text.index("system:"), text.index("scorers:")
    (project.root / "suite.yaml").write_text(
        f'{text[:start]}system: {{python: "bot:answer", version: "1"}}\n{text[end:]}', encoding="utf-8"
    )


@pytest.mark.parametrize("kill", ["os._exit(7)", "os.kill(os.getpid(), signal.SIGKILL)"], ids=["exit", "signal"])
def test_a_case_that_kills_the_process_twice_is_left_out(kill: str, project: FaultProject) -> None:
    """The run goes on and cannot decide; every other case is there; fixed, it can be tried again."""
    with_bot(project, kill)
    code = 7 if "_exit" in kill else -9
    assert [project.run("run").returncode, project.on("run").returncode] == [code, code]
    ended = project.on("run")
    assert ended.returncode == 3
    assert "1 quarantined" in " ".join(ended.stdout.split())
    summary = json.loads((project.root / "run" / "summary.json").read_bytes())
    assert summary["states"] == {"scored": 59, "skipped": 1, "system_error": 0, "unscored": 0}
    assert project.run("run", "--resume").returncode == 3
    (project.root / "healed").touch()
    again = project.run("run", "--retry-errors")
    assert again.returncode == 0, again.stdout
    assert json.loads((project.root / "run" / "summary.json").read_bytes())["states"]["scored"] == 60


def test_cases_in_flight_at_a_kill_from_outside_are_not_blamed(project: FaultProject) -> None:
    """However often: asked apart they answer, and the run ends like a clean one."""
    edit(project, "suite.yaml", "concurrency: 8", "concurrency: 60")
    with_bot(project, "pass")
    project.run("clean")
    edit(project, "bot.py", "    a, b", "    import time; time.sleep(0 if (HERE / 'fast').exists() else 60)\n    a, b")
    for flags in ([], ["--resume"], ["--resume"]):
        log = project.log.stat().st_size
        process = subprocess.Popen([sys.executable, "-m", "evalkit", *project.words("run", *flags)], cwd=project.root)
        wait_for(project.log, log + 1)
        time.sleep(0.2)
        process.kill()
        assert process.wait() == -9
    (project.root / "fast").touch()
    ended = project.on("run")
    assert "run in another one" in ended.stderr
    assert project.decided("run") == project.decided("clean")


def start(project: FaultProject, *flags: str) -> subprocess.Popen[str]:
    """A run whose first calls hang."""
    with_bot(project, "pass")
    edit(
        project,
        "bot.py",
        "    a, b",
        "    import time; time.sleep(3600 if int(input.split('+')[0]) > 20 else 0)\n    a, b",
    )
    command = [sys.executable, "-m", "evalkit", *project.words("run", *flags)]
    process = subprocess.Popen(command, cwd=project.root, stderr=subprocess.PIPE, text=True)
    end = time.monotonic() + 600
    while len(project.finished("run")) < 21:
        assert time.monotonic() < end, "the first 21 calls never ended"
        time.sleep(0.05)
    return process


def test_a_second_run_in_a_folder_is_refused_at_once(project: FaultProject) -> None:
    """It names the process; when that died, nobody has to remove anything."""
    process = start(project)
    try:
        for flags in ((), ("--resume",)):
            (project.root / "cases.jsonl").rename(project.root / "away.jsonl")  # it is not even looked at
            (project.root / "cases.jsonl").write_text("no JSON", encoding="utf-8")
            second = project.run("run", *flags)
            (project.root / "away.jsonl").rename(project.root / "cases.jsonl")
            assert second.returncode == 2
            assert f"process {process.pid} is running in it" in second.stderr
    finally:
        process.kill()
        process.communicate()
    assert (project.root / "run" / ".running").exists()
    assert project.run("run", "--resume", "--deadline", "0.5").returncode == 3


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)], ids=["ctrl-c", "term"])
def test_a_second_signal_ends_at_once(number: signal.Signals, code: int, project: FaultProject) -> None:
    """Whatever the calls in flight do."""
    process = start(project)
    while process.poll() is None:
        process.send_signal(number)
        time.sleep(0.4)  # on a busy machine two signals in quick succession may arrive as one
    _, said = process.communicate(timeout=600)
    assert process.returncode == code
    assert "interrupted" not in said  # which a run prints whose calls were given their time to end


@pytest.mark.long
def test_the_first_signal_does_not_wait_for_calls_that_hang(project: FaultProject) -> None:
    """Then calls in flight are given up, and the command that goes on is printed."""
    process = start(project)
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=600)  # the calls hang for an hour
    assert process.returncode == 130
    assert "--out run --resume" in said


@pytest.mark.parametrize("where", ["flag", "suite"])
def test_a_deadline_cancels_the_calls_in_flight(where: str, project: FaultProject) -> None:
    """Exit 3 although calls hang, and the run can be resumed."""
    if where == "suite":
        edit(project, "suite.yaml", "concurrency: 8", "concurrency: 8\ndeadline_s: 2")
    process = start(project, *(["--deadline", "2"] if where == "flag" else []))
    _, said = process.communicate(timeout=600)  # the calls hang for an hour
    assert process.returncode == 3, said
    decision = json.loads((project.root / "run" / "decision.json").read_bytes())
    assert "deadline of 2 s reached" in decision["reasons"][0]
    gated = subprocess.run([sys.executable, "-m", "evalkit", "gate", "run"], cwd=project.root, capture_output=True)
    assert gated.returncode == 3
