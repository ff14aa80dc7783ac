"""Names, values and files that nothing answers to: each is told with its place and a fix, before any call."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
from bad_lab import LABELS, Lab, jsonl
from bad_table import BOT_LINE, both, cell, label, suite, system
from test_bad_corners import CHECK, Spoil, parquet

RUN = ("run", "suite.yaml", "--progress", "none", "--no-report", "--out", "new")
MIX = ("golden", "coverage", "suite.yaml", "--mix")
BY_TOPIC = "{min: 0.3, by: topic}"
NO_REGRESSION = "{baseline: main}"
ANSWER = {"id": "c0", "output": "Paris"}


def replay(rows: str, name: str = "answers.jsonl") -> Spoil:
    """Stored answers as the system."""
    return both(lambda lab: lab.write(name, rows), suite(BOT_LINE, f"{{replay: {name}}}"))


def mix(line: str) -> Spoil:
    """A mix of production."""
    return suite("gate:\n", f"production: {line}\ngate:\n")


def folder_of_rows(lab: Lab) -> None:
    """A baseline whose rows are a folder."""
    rows = lab.baseline() / "rows.jsonl.gz"
    rows.unlink()
    rows.mkdir()


def empty_export(lab: Lab) -> None:
    """What a labelling page exports before anything is labelled."""
    lab.baseline()
    lab.write("export.jsonl", "\n")


CASES: dict[str, tuple[Spoil, tuple[str, ...], str]] = {
    "golden rows without answers": (
        suite(BOT_LINE, "{replay: golden}"),
        RUN,
        "suite.yaml:3:10 system.replay: none of the 4 cases has a stored answer; add `output` to the rows",
    ),
    "answers of other cases": (
        replay(jsonl([{**ANSWER, "id": "z0"}])),
        RUN,
        "system.replay: none of the 4 cases has a stored answer; store answers under the ids of this golden set",
    ),
    "a stored answer that is none": (
        replay(jsonl([ANSWER, {"id": "c1", "output": 5}])),
        CHECK,
        "answers.jsonl:2: `output`: expected a string or {text, contexts, usage, tool_calls, trajectory}, got int 5; ",
    ),
    "a golden row's answer that is none": (
        both(suite(BOT_LINE, "{replay: golden}"), cell(2, output=["Rome"])),
        CHECK,
        "cases.jsonl:2 id c1: `output`: expected a string or ",
    ),
    "packed answers": (replay("\x1f\x8b junk", "answers.jsonl.gz"), CHECK, "answers.jsonl.gz:1: "),
    "a value of production that no case has": (
        mix("{topic=west: 0.5, topic=eats: 0.5}"),
        CHECK,
        "production.topic=eats: no case belongs to `topic=eats`; did you mean `topic=east`?",
    ),
    "a kind of production that there is not": (
        both(mix("{kind=gold: 1}"), suite("cohorts: [topic]", "cohorts: [topic, kind]")),
        CHECK,
        "production.kind=gold: no case belongs to `kind=gold`; ",
    ),
    "a critical value that no case has": (
        suite(BY_TOPIC, "{min: 0.3, by: topic, critical: [north]}"),
        CHECK,
        "gate[0].pass_rate.critical: no case belongs to `north`; write an existing one: overall, topic=east, topic",
    ),
    "a critical value of no cohort": (
        suite(BY_TOPIC, "{min: 0.3, critical: [west]}"),
        CHECK,
        "gate[0].pass_rate.critical: no case belongs to `west`; write an existing one: overall",
    ),
    "a critical value of the comparison": (
        suite(NO_REGRESSION, "{baseline: main, critical: [topic=wets]}"),
        CHECK,
        "gate[4].no_regression.critical: no case belongs to `topic=wets`; did you mean `topic=west`?",
    ),
    "a comparison of nothing": (
        suite(NO_REGRESSION, "{baseline: main, metrics: []}"),
        CHECK,
        "metrics: the list is empty, so nothing would be compared; name one, or remove the key",
    ),
    "a margin that nothing exceeds": (
        suite(NO_REGRESSION, "{baseline: main, margin: 5}"),
        CHECK,
        "margin 5 is as wide as the whole range of every metric that is compared (1); write it in units",
    ),
    "a share twice": ((lambda lab: None), (*MIX, "west=0.5,west=0.5"), "--mix: 'west' is given twice; "),
    "a share of nothing": ((lambda lab: None), (*MIX, "=1"), "--mix: '=1' names no value; "),
    "a baseline whose rows are a folder": (folder_of_rows, CHECK, "main/rows.jsonl.gz: a folder, not a regular file; "),
    "a misspelt key of a label": (
        label(2, inclusion_probabilty=0.5),
        CHECK,
        "labels.jsonl:2: unknown key `inclusion_probabilty`; did you mean `inclusion_probability`?",
    ),
    "an export without labels": (
        empty_export,
        ("labels", "import", "old", "export.jsonl", "--into", "people.jsonl"),
        "export.jsonl:1: no label in it; ",
    ),
    "a conversation without a word": (
        cell(2, input=[{"role": "system", "content": ""}, {"role": "user", "content": " "}]),
        CHECK,
        "cases.jsonl:2 id c1: `input` is a conversation without text; write the question",
    ),
    "a reference of nothing": (
        cell(2, reference=["Rome", " "]),
        CHECK,
        "cases.jsonl:2 id c1: `reference` holds an empty text; ",
    ),
    "an address with a blank": (system("{http: 'http://a b/'}"), CHECK, "expected an http or https address, got "),
    "a key in an address": (
        system("{http: 'http://127.0.0.1:9/ask?api_key=abcdef123456'}"),
        CHECK,
        "a secret is written into the suite; ",
    ),
    "a summary that is the root": (lambda lab: None, (*RUN, "--junit", "/"), "/: it is a folder; "),
    "a starter where no folder can be": (
        lambda lab: None,
        ("init", "/proc/evals"),
        "/proc/evals/suite.yaml: cannot be",
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_what_nothing_answers_to_is_told(tmp_path: Path, name: str) -> None:
    """Exit 2, one line with a fix, no call."""
    spoil, words, said = CASES[name]
    lab = Lab(tmp_path / "project")
    spoil(lab)
    ran = lab.run(*words)
    assert ran.code == 2, ran
    assert said in ran.err, ran.err[-2000:]
    assert "Traceback" not in ran.err
    assert "abcdef123456" not in ran.err
    assert all("; " in line for line in ran.err.splitlines()), ran.err
    assert lab.calls() == []


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--cohort", "!topic=wset"), "--cohort: no case of the golden set answers to 'topic=wset'; "),
        (("--cohort", "topic=west", "--cohort", "eats"), "--cohort: no case of the golden set answers to 'eats'; "),
        (("--case", "c0", "--case", "c9"), "--case: no case of the golden set answers to 'c9'; "),
    ],
)
def test_a_choice_that_no_case_answers_to_is_told(tmp_path: Path, words: tuple[str, ...], said: str) -> None:
    """Also beside one that is sound: what was left out or in would not be what was meant."""
    lab = Lab(tmp_path / "project")
    ran = lab.run(*RUN, *words)
    assert ran.code == 5, ran
    assert said in ran.err
    assert lab.calls() == []


def test_a_run_without_answers_is_no_baseline(tmp_path: Path) -> None:
    """It is not saved; one that was saved by others is told before the first call."""
    lab = Lab(tmp_path / "project")
    sound = (lab.root / "bot.py").read_text(encoding="utf-8")
    lab.write("bot.py", sound.replace("    return", '    raise ValueError("down")\n    return'))
    assert lab.run("run", "suite.yaml", "--out", "old", "--no-report", "--progress", "none").code == 3
    ran = lab.run("baseline", "save", "old", "--accept", "why not")
    assert ran.code == 2, ran
    assert "old: none of its rows has an answer, so nothing can be compared with it; " in ran.err
    shutil.copytree(lab.root / "old", lab.root / "reports" / "baselines" / "main")
    lab.write("bot.py", sound)
    (lab.root / "calls.log").unlink()
    for words in (CHECK, RUN):
        ran = lab.run(*words)
        assert ran.code == 2, ran
        assert "main/manifest.json: none of its rows has an answer, so nothing can be compared with it; " in ran.err
    assert lab.calls() == []


def test_a_name_beyond_any_file_is_no_baseline(tmp_path: Path) -> None:
    """The name is to blame, not the disk."""
    lab = Lab(tmp_path / "project")
    lab.baseline()
    ran = lab.run("baseline", "save", "old", "--name", "x" * 300)
    assert ran.code == 2, ran
    assert "--name: 'xxx" in ran.err


def test_ids_of_a_table_are_numbers_or_text(tmp_path: Path) -> None:
    """As in other golden sets: `true` is none."""
    lab = Lab(tmp_path / "project")
    parquet({"id": ["a"], "input": ["q"], "reference": ["x"]})(lab)
    import pyarrow as pa
    import pyarrow.parquet

    columns: dict[str, Any] = {"id": [True], "input": ["q"], "reference": ["x"]}
    pyarrow.parquet.write_table(pa.table(columns), lab.root / "g.parquet")
    ran = lab.run("check", "suite.yaml")
    assert ran.code == 2, ran
    assert "g.parquet:1 id True: `id` is true; " in ran.err


@pytest.fixture(scope="module")
def run_once(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project with a run."""
    lab = Lab(tmp_path_factory.mktemp("values") / "project")
    lab.baseline()
    return lab.root


@pytest.mark.parametrize(
    "words",
    [("gate", "old"), ("report", "old"), ("baseline", "show", "old"), ("judge", "calibrate", "old")],
    ids=lambda words: " ".join(words),
)
@pytest.mark.parametrize(
    ("key", "value", "said"),
    [
        ("repeat_rule", "sometimes", "repeat_rule: 'sometimes' is not a rule; "),
        ("metrics", None, "two scorers share the name; "),
    ],
)
def test_a_manifest_is_to_blame_for_itself(
    run_once: Path, tmp_path: Path, words: tuple[str, ...], key: str, value: str | None, said: str
) -> None:
    """And not the rows beside it."""
    shutil.copytree(run_once, tmp_path / "copy")
    file = tmp_path / "copy" / "old" / "manifest.json"
    manifest = json.loads(file.read_text(encoding="utf-8"))
    file.write_text(json.dumps({**manifest, key: value or manifest[key] * 2}), encoding="utf-8")
    lab = object.__new__(Lab)
    lab.root = tmp_path / "copy"
    ran = lab.run(*words)
    assert ran.code == 2, ran
    assert "old/manifest.json: " in ran.err
    assert said in ran.err


def test_a_file_of_the_base_branch_that_is_too_large_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Labels that were not read are not labels that were not there."""
    lab = Lab(tmp_path / "project")
    lab.baseline()
    author = ["-c", "user.name=a", "-c", "user.email=a@example.org"]
    for words in (["init", "-q"], ["add", "-A"], [*author, "commit", "-qm", "x"]):
        subprocess.run(["git", "-C", str(lab.root), *words], check=True)
    lab.swap("suite.yaml", NO_REGRESSION, "{baseline: 'git:HEAD:reports/baselines/main'}")
    assert lab.run("check", "suite.yaml").code == 0
    size = (lab.root / "labels.jsonl").stat().st_size
    assert size > (lab.root / "suite.yaml").stat().st_size
    monkeypatch.setattr("evalkit.baselines.base_commit.MAX_GIT_TEXT_BYTES", size - 1)
    ran = lab.run(*RUN)
    assert ran.code == 2, ran
    assert f":labels.jsonl: {size:,} bytes, at most {size - 1:,} are read; keep a smaller file in git" in ran.err
    assert lab.calls() == []


def test_labels_may_hold_what_others_want(tmp_path: Path) -> None:
    """A note of the rater's own is not a misspelt key."""
    lab = Lab(tmp_path / "project")
    lab.write("labels.jsonl", jsonl([{**each, "note": "seen", "rubric": "v1"} for each in LABELS]))
    assert lab.run("check", "suite.yaml").code == 0
