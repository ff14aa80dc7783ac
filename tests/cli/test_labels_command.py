"""`evalkit labels`: a blind queue is drawn, and labels come back or are refused."""

from __future__ import annotations

import base64
import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
from cli_project import Project
from test_calibrate_command import at_one_address, grade, write_suite


@pytest.fixture(scope="module")
def judged_once(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project with one run, judged by a model that is harsh now and then."""
    project = Project(tmp_path_factory.mktemp("judged"))
    with at_one_address(grade) as server:
        write_suite(project, server)
        ran = project.run("run", "suite.yaml", "--out", "first", "--no-report")
    assert ran.returncode == 3, ran.stdout + ran.stderr
    return project.root


@pytest.fixture
def judged(judged_once: Path, tmp_path: Path) -> Project:
    """A copy of it."""
    project = Project(tmp_path)
    shutil.copytree(judged_once, tmp_path, dirs_exist_ok=True)
    return project


def queue_of(page: Path) -> dict[str, Any]:
    """What the page holds."""
    found = re.search(r'id="queue">([^<]*)<', page.read_text(encoding="utf-8"))
    assert found is not None
    queue: dict[str, Any] = json.loads(base64.b64decode(found[1]))
    return queue


def draw(project: Project, run: str, *words: str) -> dict[str, Any]:
    """Draw a queue."""
    ran = project.run("labels", "sample", run, *words)
    assert ran.returncode == 0, ran.stderr
    return queue_of(project.root / run / "labels.html")


def export(project: Project, queue: dict[str, Any], rater: str = "ana", **changes: object) -> Path:
    """The rows that the page would export, each answer labelled 5 where it is the sum and 1 where it is not."""
    rows = []
    for item in queue["items"]:
        label = 5 if item["answer"] == item["reference"][0] else 1
        row = {key: item[key] for key in ("case_id", "answer_sha256", "inclusion_probability")}
        row |= {key: queue[key] for key in ("scorer", "rubric_sha256", "run_id", "seed")}
        rows.append({**row, "label": label, "rater": rater, "rater_kind": "person", "blind": True, **changes})
    file = project.root / f"labels-{rater}.jsonl"
    file.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return file


def test_a_queue_is_balanced_blind_and_seeded(judged: Project) -> None:
    """Half of it are answers that the judge fails, in an order of its own; nothing in the page says what it said."""
    queue = draw(judged, "first", "--answers", "20")
    items = queue["items"]
    fails = [item for item in items if item["answer"] == "no idea" or item["input"].split(" ")[0].endswith("4")]
    assert (len(items), len(fails)) == (20, 10)
    assert set(items[0]) == {
        "case_id", "answer_sha256", "inclusion_probability", "input", "reference", "contexts", "answer", "conversation",
        "parts",
    }  # fmt: skip
    assert [item["case_id"] for item in items] != sorted(item["case_id"] for item in items)
    assert queue["labels"] == ["1", "2", "3", "4", "5"]
    assert queue["rubric"].startswith("Grade whether ANSWER says what is true")
    assert draw(judged, "first", "--answers", "20") == queue
    assert draw(judged, "first", "--answers", "20", "--seed", "1") != queue


def test_labels_go_from_the_page_to_the_gate(judged: Project) -> None:
    """Drawn, exported, imported, shown; in the suite they give the judge its vote."""
    queue = draw(judged, "first", "--answers", "120")
    file = export(judged, queue)
    ran = judged.run("labels", "import", "first", file.name, "--into", "labels/people.jsonl")
    assert ran.returncode == 0, ran.stderr
    assert "120 labels of labels-ana.jsonl added to labels/people.jsonl" in ran.stderr
    assert ran.stdout.startswith("correctness.passed (pass/fail) · chat:grader · trusted")
    again = judged.run("labels", "import", "first", file.name, "--into", "labels/people.jsonl")
    assert "0 labels of labels-ana.jsonl added to labels/people.jsonl, 120 were there already" in again.stderr
    assert len((judged.root / "labels/people.jsonl").read_text(encoding="utf-8").splitlines()) == 120
    with at_one_address(grade) as server:
        write_suite(judged, server, extra="labels: [labels/people.jsonl]")
        decided = judged.run("run", "suite.yaml", "--out", "decided")
    assert decided.returncode == 0, decided.stdout + decided.stderr


def test_two_raters_show_what_people_agree_on(judged: Project) -> None:
    """The agreement of raters is shown beside the judge's kappa."""
    queue = draw(judged, "first", "--answers", "40")
    files = [export(judged, queue, rater).name for rater in ("ana", "ben")]
    ran = judged.run("labels", "import", "first", *files, "--into", "people.jsonl")
    assert ran.returncode == 0, ran.stderr
    assert "between raters: ana / ben: 1.00" in ran.stdout


def test_what_was_labelled_is_not_drawn_again(judged: Project) -> None:
    """The next queue holds other answers, and at last there is none."""
    queue = draw(judged, "first", "--answers", "20")
    file = export(judged, queue)
    more = draw(judged, "first", "--answers", "200", "--labels", file.name)
    seen = {item["case_id"] for item in queue["items"]}
    assert len(more["items"]) == 100
    assert not seen & {item["case_id"] for item in more["items"]}
    everything = export(judged, draw(judged, "first", "--answers", "200"), "all")
    ran = judged.run("labels", "sample", "first", "--labels", everything.name)
    assert ran.returncode == 2
    assert "no answer without a label of correctness" in ran.stderr


def test_answers_that_vary_from_repeat_to_repeat_are_drawn_once_each(judged: Project) -> None:
    """A queue of a run with repeats holds each different answer of a case, and its labels are taken."""
    (judged.root / "bot.py").write_text(
        "import itertools\ncount = itertools.count()\n"
        "def answer(input: str, id: str, broken: str = ''):\n    return f'try {next(count) % 2}'\n",
        encoding="utf-8",
    )
    with at_one_address(grade) as server:
        write_suite(judged, server)
        ran = judged.run("run", "suite.yaml", "--out", "varied", "--repeat", "3", "--concurrency", "1")
    assert ran.returncode == 3, ran.stderr
    queue = draw(judged, "varied", "--answers", "300")
    keys = {(item["case_id"], item["answer_sha256"]) for item in queue["items"]}
    assert len(keys) == len(queue["items"]) > 120
    taken = judged.run("labels", "import", "varied", export(judged, queue).name, "--into", "people.jsonl")
    assert taken.returncode == 0, taken.stderr


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"answer_sha256": "0" * 64}, "stale: this run has no such answer"),
        ({"case_id": "gone"}, "stale: this run has no such answer to case 'gone'"),
        ({"rubric_sha256": "f" * 64}, "stale: labelled by another rubric"),
        ({"label": 7}, "outside the scale 1 to 5"),
        ({"scorer": "tone"}, "no judge 'tone' graded this run"),
        ({"label": "good"}, "`label` is 'good'"),
        ({"rater": ""}, "`rater` is missing"),
        ({"label": 2.5}, "between two levels of correctness"),
    ],
)
def test_what_does_not_fit_the_run_is_refused_whole(judged: Project, changes: dict[str, Any], message: str) -> None:
    """Nothing is added, and each line is named."""
    file = export(judged, draw(judged, "first", "--answers", "1"), **changes)
    ran = judged.run("labels", "import", "first", file.name, "--into", "people.jsonl")
    assert ran.returncode == 2
    assert f"{file.name}:1" in ran.stderr
    assert message in " ".join(ran.stderr.split())
    assert "Traceback" not in ran.stderr
    assert not (judged.root / "people.jsonl").exists()


def test_a_rater_who_changes_a_label_has_to_choose(judged: Project) -> None:
    """Neither the old nor the new label wins silently."""
    queue = draw(judged, "first", "--answers", "6")
    judged.run("labels", "import", "first", export(judged, queue).name, "--into", "people.jsonl")
    before = (judged.root / "people.jsonl").read_bytes()
    ran = judged.run("labels", "import", "first", export(judged, queue, label=3).name, "--into", "people.jsonl")
    assert ran.returncode == 2
    assert "ana labelled this answer" in " ".join(ran.stderr.split())
    assert (judged.root / "people.jsonl").read_bytes() == before


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["sample", "nowhere"], "no run folder or saved baseline"),
        (["sample", "first", "--metric", "tone"], "no judge 'tone'"),
        (["sample", "first", "--by", "gruop"], "no cohort 'gruop'"),
        (["sample", "first", "--out", "bot.py/x.html"], "bot.py/x.html"),
        (["import", "first", "gone.jsonl", "--into", "people.jsonl"], "gone.jsonl"),
    ],
)
def test_what_cannot_be_used_for_labels_is_named(judged: Project, words: list[str], message: str) -> None:
    """Exit 2, where and what, and no traceback."""
    ran = judged.run("labels", *words)
    assert ran.returncode == 2, ran.stdout
    assert message in ran.stderr and "Traceback" not in ran.stderr


def test_an_export_that_cannot_stand_beside_the_file_leaves_it_as_it_was(judged: Project) -> None:
    """Labels with and without a chance of being drawn would be neither; and a packed file cannot be added to."""
    queue = draw(judged, "first", "--answers", "6")
    plain = [json.loads(line) for line in export(judged, queue).read_text(encoding="utf-8").splitlines()]
    for row in plain:
        del row["inclusion_probability"]
    people = judged.root / "people.jsonl"
    people.write_text("".join(json.dumps(row) + "\n" for row in plain[:3]), encoding="utf-8")
    before = people.read_bytes()
    ran = judged.run("labels", "import", "first", export(judged, queue).name, "--into", "people.jsonl")
    assert ran.returncode == 2
    assert "others have none" in ran.stderr
    assert people.read_bytes() == before
    packed = judged.run("labels", "import", "first", "labels-ana.jsonl", "--into", "people.jsonl.gz")
    assert packed.returncode == 2
    assert "cannot be added to" in packed.stderr


def test_labels_of_several_processes_are_all_kept(judged: Project) -> None:
    """Imports wait for each other; notes may hold half a character."""
    queue = draw(judged, "first", "--answers", "20")
    files = [export(judged, queue, f"rater{number}", note="\ud800").name for number in range(4)]
    words = ["labels", "import", "first"]
    running = [
        subprocess.Popen(
            judged.command(*words, file, "--into", "people.jsonl"), cwd=judged.root, stdout=subprocess.DEVNULL
        )
        for file in files
    ]
    assert [process.wait() for process in running] == [0] * 4
    assert len((judged.root / "people.jsonl").read_text(encoding="utf-8").splitlines()) == 80
