"""`evalkit judge calibrate` and `drift` as a user runs them: stored verdicts, labels, records, gates."""

from __future__ import annotations

import contextlib
import hashlib
import json
import random
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from cli_project import Project
from test_judge_command import block

from evalkit.testing import FakeModel

SUITE = """\
name: judged
golden: cases.jsonl
system: {python: "bot:answer", arguments: {broken: "left-0"}}
judge: {chat: {model: MODEL, base_url: "BASE_URL"}}
scorers:
  - judge: {name: correctness, rubric: correctness, pass: 4}
cohorts: [group]
EXTRA
gate:
  - correctness.passed: {min: 0.3}
"""


@contextmanager
def at_one_address(rule: Any) -> Iterator[FakeModel]:
    """A judge that keeps its address from run to run: at another one it would be another judge."""
    with FakeModel(rule, port=PORT) as server:
        yield server


def free_port() -> int:
    """A port that nobody listens on, below those that the system gives to connections and servers of other tests."""
    for port in random.sample(range(20_000, 30_000), 100):
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port
    raise OSError("no free port among 100")


PORT = free_port()


def write_suite(
    project: Project, server: FakeModel, *, extra: str = "", model: str = "grader", name: str = "suite"
) -> None:
    """A suite whose gate rests on a judge."""
    text = SUITE.replace("BASE_URL", server.base_url).replace("EXTRA", extra).replace("MODEL", model)
    project.suite(text=text, name=f"{name}.yaml")


def grade(request: dict[str, Any]) -> dict[str, Any]:
    """5 for the reference, else 1; now and then a right one is graded 2."""
    right = block(request, "ANSWER") == block(request, "REFERENCE")
    harsh = block(request, "QUESTION").split(" ")[0].endswith("4")
    return {"reason": "r", "score": (2 if harsh else 5) if right else 1}


def answers(run: Path) -> dict[str, str]:
    """Case id -> answer of a run."""
    rows = [json.loads(line) for line in (run / "rows.jsonl").read_text(encoding="utf-8").splitlines()]
    return {row["row"]["case"]["id"]: row["row"]["output"]["text"] for row in map(unwrapped, rows)}


def unwrapped(row: dict[str, Any]) -> dict[str, Any]:
    """A journal line as `{"row": ...}`, whatever its envelope."""
    return row if "row" in row else {"row": row}


def write_labels(project: Project, run: str, *, flip: int = 0, rater: str = "ana", kind: str = "person") -> Path:
    """Label every answer by whether it is the sum; the first `flip` labels are wrong."""
    file = project.root / f"labels-{rater}.jsonl"
    lines = []
    for place, (case, text) in enumerate(sorted(answers(project.root / run).items())):
        right = text == str(int(case.rsplit("-", 1)[1]) + 1)
        label = "pass" if right is (place >= flip) else "fail"
        digest = hashlib.sha256(text.encode()).hexdigest()
        row = {"case_id": case, "answer_sha256": digest, "scorer": "correctness", "label": label}
        lines.append(json.dumps({**row, "rater": rater, "rater_kind": kind}))
    file.write_text("\n".join(lines), encoding="utf-8")
    return file


@pytest.fixture
def judged(project: Project) -> Project:
    """A project with one run, judged by a model that is harsh now and then."""
    with at_one_address(grade) as server:
        write_suite(project, server)
        ran = project.run("run", "suite.yaml", "--out", "first")
    assert ran.returncode == 3, ran.stdout + ran.stderr
    assert "agreement with people is not shown" in " ".join(ran.stdout.split())
    return project


def test_a_judge_earns_its_vote_and_loses_it(judged: Project) -> None:
    """Labels show its kappa, the record lets a later run decide, and another rubric or label file takes that back."""
    labels = write_labels(judged, "first")
    ran = judged.run("judge", "calibrate", "first", "--labels", labels.name, "--out", "judges/correctness.json")
    assert ran.returncode == 0, ran.stderr
    assert ran.stdout.startswith("correctness.passed (pass/fail) · chat:grader · trusted")
    assert max(map(len, ran.stdout.splitlines())) <= 80
    with at_one_address(grade) as server:
        write_suite(judged, server, extra="calibrations: [judges/correctness.json]")
        later = judged.run("run", "suite.yaml", "--out", "later", "--json")
        assert later.returncode == 0, later.stdout + later.stderr
        summary = judged.json("later/summary.json")
        notes = [each["note"] for each in summary["agreement"]]  # type: ignore[index]
        assert any("calibrated on run" in note and "judges/correctness.json" in note for note in notes)
        write_suite(judged, server, extra="calibrations: [judges/correctness.json]", model="another")
        other = judged.run("run", "suite.yaml", "--out", "other")
        assert other.returncode == 3
        assert "expired: the judge changed; calibrate again" in (judged.root / "other/summary.json").read_text()
        labels.write_text(labels.read_text(encoding="utf-8") + "\n", encoding="utf-8")
        write_suite(judged, server, extra="calibrations: [judges/correctness.json]")
        stale = judged.run("run", "suite.yaml", "--out", "stale")
        assert stale.returncode == 3
        assert "expired: the label file labels-ana.jsonl changed" in (judged.root / "stale/summary.json").read_text()


def test_labels_of_no_scorer_are_reported(judged: Project) -> None:
    """A label file whose scorer is misspelt gives a warning with its place, and the name that was meant."""
    labels = write_labels(judged, "first")
    labels.write_text(labels.read_text(encoding="utf-8").replace('"correctness"', '"corectness"'), encoding="utf-8")
    ran = judged.run("judge", "calibrate", "first", "--labels", labels.name)
    assert ran.returncode == 0, ran.stderr
    said = " ".join(ran.stderr.split())
    assert f"warning {labels.name}:1: no scorer gives 'corectness'; did you mean `correctness`?" in said


def test_the_figures_are_those_of_scikit_learn(judged: Project) -> None:
    """Kappa of the command is the kappa of the table it prints, overall and in a cohort."""
    from sklearn.metrics import cohen_kappa_score

    labels = write_labels(judged, "first", flip=4)
    ran = judged.run("judge", "calibrate", "first", "--labels", labels.name, "--json")
    found = {each["cohort"]: each for each in json.loads(ran.stdout)}
    for cohort in ("overall", "group=left"):
        table = found[cohort]["confusion"]
        people = [name for name, row in zip((0, 1), table, strict=True) for _ in range(sum(row))]
        judge = [name for row in table for name, count in zip((0, 1), row, strict=True) for _ in range(count)]
        assert found[cohort]["kappa"]["value"] == pytest.approx(cohen_kappa_score(people, judge), abs=1e-9)
    assert found["overall"]["kappa"]["n"] == 120


def test_a_floor_by_cohort_is_held(judged: Project) -> None:
    """A floor that the bound does not reach makes the judge provisional there, and asks for more labels."""
    labels = write_labels(judged, "first")
    flags = ["--labels", labels.name, "--floor", "0.6", "--floor", "group=right=0.95", "--json"]
    found = {each["cohort"]: each for each in json.loads(judged.run("judge", "calibrate", "first", *flags).stdout)}
    assert (found["overall"]["trust"], found["overall"]["floor"]) == ("trusted", 0.6)
    assert (found["group=right"]["trust"], found["group=right"]["floor"]) == ("untrusted", 0.95)


def test_a_record_is_held_to_the_floors_of_the_suite(judged: Project) -> None:
    """What was trusted at .6 has no vote where the suite asks for .97, overall or in one cohort."""
    labels = write_labels(judged, "first")
    made = judged.run("judge", "calibrate", "first", "--labels", labels.name, "--out", "judge.json")
    assert made.returncode == 0, made.stderr
    with at_one_address(grade) as server:
        write_suite(judged, server, extra="calibrations: [judge.json]\nkappa_floors: {overall: 0.97}")
        strict = judged.run("run", "suite.yaml", "--out", "strict")
        told = judged.run("judge", "calibrate", "strict", "--labels", labels.name)
        write_suite(judged, server, extra="calibrations: [judge.json]\nkappa_floors: {group=left: 0.99}")
        cohort = judged.run("run", "suite.yaml", "--out", "cohort", "--json")
    assert strict.returncode == 3, strict.stdout
    assert "floor 0.97" in told.stdout
    trust = {each["cohort"]: each["trust"] for each in judged.json("cohort/summary.json")["agreement"]}  # type: ignore[attr-defined]
    assert trust["overall"] == "trusted"
    assert trust["group=left"] != "trusted"
    assert cohort.returncode == 0


def test_drift_reads_words_by_the_pass_mark(judged: Project) -> None:
    """Pass/fail labels of a judge of levels: its kappa in `drift` is the one of `calibrate`."""
    labels = write_labels(judged, "first")
    known = judged.run("judge", "calibrate", "first", "--labels", labels.name, "--json")
    kappa = json.loads(known.stdout)[0]["kappa"]["value"]
    drift = judged.run("judge", "drift", "first", "first", "--metric", "correctness", "--labels", labels.name, "--json")
    found = json.loads(drift.stdout)[0]["kappa"]["first"]
    assert kappa == pytest.approx(found["value"], abs=1e-9)


def test_the_agreement_of_raters_is_shown(judged: Project) -> None:
    """Two raters' own agreement stands beside the judge's."""
    files = [write_labels(judged, "first"), write_labels(judged, "first", flip=6, rater="ben")]
    ran = judged.run("judge", "calibrate", "first", *[word for file in files for word in ("--labels", file.name)])
    assert ran.returncode == 0, ran.stderr
    assert "between raters: ana / ben: 0." in ran.stdout


def test_labels_by_authors_make_no_record(judged: Project) -> None:
    """Demonstration labels are shown and earn nothing."""
    labels = write_labels(judged, "first", kind="author")
    ran = judged.run("judge", "calibrate", "first", "--labels", labels.name, "--out", "judge.json")
    assert ran.returncode == 2
    assert "no kappa of correctness with people" in ran.stderr
    assert not (judged.root / "judge.json").exists()


def test_drift_names_a_judge_that_turned_harsh(judged: Project) -> None:
    """The same answers under a harsher model: exit 1, and the way it went; under the same one: exit 0."""
    labels = write_labels(judged, "first")
    with at_one_address(lambda _: {"reason": "r", "score": 2}) as server:
        write_suite(judged, server, model="harsh")
        assert judged.run("run", "suite.yaml", "--out", "second").returncode == 3
    same = judged.run("judge", "drift", "first", "first", "--metric", "correctness", "--labels", labels.name)
    assert same.returncode == 0, same.stderr
    assert "no drift shown" in same.stdout
    ran = judged.run("judge", "drift", "first", "second", "--metric", "correctness", "--labels", labels.name)
    assert ran.returncode == 1
    assert "drifted: the new version is stricter" in ran.stdout
    assert "the judge changed" in ran.stdout
    assert max(map(len, ran.stdout.splitlines())) <= 80


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["calibrate", "nowhere"], "no run folder or saved baseline"),
        (["calibrate", "first", "--metric", "tone"], "no judge 'tone'"),
        (["calibrate", "first", "--floor", "high"], "holds no number"),
        (["calibrate", "first", "--floor", "group=up=0.7"], "no cohort 'group=up'"),
        (["calibrate", "first", "--floor", "7"], "not a kappa to reach"),
        (["calibrate", "first", "--labels", "gone.jsonl"], "gone.jsonl"),
        (["drift", "first", "first", "--metric", "tone"], "no metric 'tone'"),
    ],
)
def test_what_cannot_be_used_is_named(judged: Project, words: list[str], message: str) -> None:
    """Exit 2, where and what, and no traceback."""
    ran = judged.run("judge", *words)
    assert ran.returncode == 2, ran.stdout
    assert message in ran.stderr and "Traceback" not in ran.stderr


def test_a_broken_record_is_refused_before_the_first_call(judged: Project) -> None:
    """A file that is not a record is named when the suite is run."""
    (judged.root / "judge.json").write_text("{}", encoding="utf-8")
    with at_one_address(grade) as server:
        write_suite(judged, server, extra="calibrations: [judge.json]")
        ran = judged.run("run", "suite.yaml", "--out", "third")
        assert server.requests == []
    assert ran.returncode == 2
    assert "judge.json: no calibration record" in ran.stderr


@pytest.mark.parametrize("label", [0, 2.5, 7])
def test_every_command_refuses_the_same_labels(judged: Project, label: float) -> None:
    """What `labels import` refuses, `judge calibrate`, `judge drift` and `gate` refuse as well, with the same line."""
    rows = [json.loads(line) for line in write_labels(judged, "first").read_text(encoding="utf-8").splitlines()]
    rows[3]["label"] = label
    file = judged.root / "labels-ana.jsonl"
    file.write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    text = (judged.root / "suite.yaml").read_text(encoding="utf-8")
    (judged.root / "labelled.yaml").write_text(text + "labels: [labels-ana.jsonl]\n", encoding="utf-8")
    for words in (
        ["labels", "import", "first", file.name, "--into", "people.jsonl"],
        ["judge", "calibrate", "first", "--labels", file.name],
        ["judge", "drift", "first", "first", "--metric", "correctness", "--labels", file.name],
        ["gate", "first", "--suite", "labelled.yaml"],
        ["run", "labelled.yaml", "--dry-run"],
    ):
        ran = judged.run(*words)
        assert ran.returncode == 2, (words, ran.stdout)
        assert f"labels-ana.jsonl:4: `label` is {label:g}" in " ".join(ran.stderr.split()), (words, ran.stderr)


def test_levels_earn_the_vote_by_the_pass_mark(judged: Project) -> None:
    """People's levels are read as pass and fail where passes are gated; both figures are shown under their name."""
    rows = [json.loads(line) for line in write_labels(judged, "first").read_text(encoding="utf-8").splitlines()]
    for row in rows:
        row["label"] = 5 if row["label"] == "pass" else 1
    file = judged.root / "levels.jsonl"
    file.write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    ran = judged.run("judge", "calibrate", "first", "--labels", file.name, "--out", "judge.json")
    assert ran.returncode == 0, ran.stderr
    heads = [line for line in ran.stdout.splitlines() if "· chat:grader ·" in line]
    assert heads == [
        "correctness.passed (pass/fail) · chat:grader · trusted",
        "correctness (levels) · chat:grader · trusted",
    ]
    with at_one_address(grade) as server:
        write_suite(judged, server, extra="calibrations: [judge.json]")
        assert judged.run("run", "suite.yaml", "--out", "later").returncode == 0


def test_a_record_of_an_older_version_is_read(judged: Project) -> None:
    """It has no figure and no questions: its passes hold, and the note says what it did not count."""
    labels = write_labels(judged, "first")
    made = judged.run("judge", "calibrate", "first", "--labels", labels.name, "--out", "judge.json")
    assert made.returncode == 0, made.stderr
    record = judged.json("judge.json")
    for each in record["agreement"]:  # type: ignore[attr-defined]
        for key in ("figure", "questions", "questions_needed"):
            del each[key]
    (judged.root / "judge.json").write_text(json.dumps(record), encoding="utf-8")
    with at_one_address(grade) as server:
        write_suite(judged, server, extra="calibrations: [judge.json]")
        ran = judged.run("run", "suite.yaml", "--out", "later", "--json")
    assert ran.returncode == 0, ran.stderr
    notes = [each["note"] for each in judged.json("later/summary.json")["agreement"]]  # type: ignore[index]
    assert any("treated every answer as a separate question: calibrate again" in note for note in notes)
