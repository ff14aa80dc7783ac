"""Tests of a promptfoo config that are in files beside it: read as data, never run, never from elsewhere."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from import_lab import Import, import_text

from evalkit.errors import InputError

TESTS: list[dict[str, Any]] = [
    {"description": "hours", "vars": {"question": "When?"}, "assert": [{"type": "icontains", "value": "nine"}]},
    {"vars": {"question": "Sunday?"}, "metadata": {"topic": "sunday"}},
]
CSV = (
    "question,__expected,__expected2,__description,__metadata:topic\n"
    'When?,icontains: nine,"contains-any: 9, nine",hours,open\n'
    "Sunday?,closed,,sunday,shut\n"
    "Is it JSON?,is-json,,json,form\n"
    "Alike?,similar(0.8): yes,,alike,form\n"
    "A note?,note: this,,note,form\n"
)


def config(tests: Any) -> dict[str, Any]:
    """A config with some tests, and a check for all."""
    return {
        "prompts": ["{{question}}"],
        "providers": ["echo"],
        "defaultTest": {"assert": [{"type": "not-contains", "value": "sorry"}]},
        "tests": tests,
    }


def imported(folder: Path, tests: Any, **files: str) -> Import:
    """Import a config with files beside it."""
    (folder / "data").mkdir()
    for name, text in files.items():
        (folder / "data" / name.replace("_", ".")).write_text(text, encoding="utf-8")
    return import_text(folder, "promptfooconfig.json", config(tests))


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("t_json", json.dumps(TESTS)),
        ("t_yaml", json.dumps(TESTS)),
        ("t_jsonl", "".join(json.dumps(test) + "\n" for test in TESTS)),
    ],
)
@pytest.mark.parametrize("listed", [False, True])
def test_tests_in_a_file(tmp_path: Path, name: str, text: str, listed: bool) -> None:
    """Alone or among others; places name the file that a test is in."""
    file = f"file://data/{name.replace('_', '.')}"
    made = imported(tmp_path, [file, {"vars": {"question": "Here?"}}] if listed else file, **{name: text})
    assert [row["input"] for row in made.golden] == ["When?", "Sunday?", *(["Here?"] if listed else [])]
    assert [len(row["checks"]) for row in made.golden[:2]] == [2, 1]
    assert made.counts["assertion"] == (2, 2)
    assert made.golden[1]["cohorts"] == {"topic": "sunday"}


def test_a_table_of_tests(tmp_path: Path) -> None:
    """Columns are variables; `__expected` is an assertion, or the text that is expected."""
    made = imported(tmp_path, "data/t.csv", t_csv=CSV)
    checks = [[next(iter(check.items())) if isinstance(check, dict) else check for check in row["checks"][:-1]]
              for row in made.golden]  # fmt: skip
    assert [row["id"] for row in made.golden] == ["hours", "sunday", "json", "alike", "note"]
    assert [[each if isinstance(each, str) else each[0] for each in row] for row in checks] == [
        ["contains", "contains"],
        ["exact"],
        ["json"],
        [],
        ["exact"],
    ]
    assert made.golden[0]["cohorts"] == {"topic": "open"}
    assert "similarity" in made.read("suite.yaml")


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("file://tests.py", "is not the name of a file"),
        ("file://tests.py:make", "is not the name of a file"),
        ("https://example.org/tests.csv", "is not the name of a file"),
        ("file://data/*.yaml", "matches 0 files beside the config"),
        ("file://../secret.json", "is outside of the folder"),
        ("/etc/hosts.json", "is outside of the folder"),
        ("file://data/link.json", "is outside of the folder"),
        ("file://data/none.json", "there is no file"),
        ("file://data/object.json", "holds no list of tests"),
        ("file://a\0.json", "is not the name of a file"),
        ("file://" + "a" * 5_000 + ".json", "there is no file"),
    ],
)
def test_a_file_that_is_not_read(tmp_path: Path, name: str, said: str) -> None:
    """Code, addresses, patterns, and whatever is outside of the folder, also by a link; the other tests are."""
    folder = tmp_path / "project"
    (folder / "data").mkdir(parents=True)
    (tmp_path / "secret.json").write_text(json.dumps(TESTS))
    (folder / "data" / "link.json").symlink_to(tmp_path / "secret.json")
    (folder / "data" / "object.json").write_text("{}")
    made = import_text(folder, "promptfooconfig.json", config([name, TESTS[0]]))
    assert made.counts["case"] == (2, 1)
    assert [(place, said in what) for place, what in made.losses] == [("promptfooconfig.json tests[0]", True)]


def test_a_file_of_tests_that_is_damaged_is_refused(tmp_path: Path) -> None:
    """With its own name and line."""
    with pytest.raises(InputError, match=r"data/t\.jsonl:1:"):
        imported(tmp_path, "file://data/t.jsonl", t_jsonl='{"vars": ')


def test_the_metric_and_threshold_of_a_row(tmp_path: Path) -> None:
    """The metric names every assertion of the row; a threshold is listed, as that of a test."""
    (tmp_path / "tests.csv").write_text(
        "q,__expected,__expected2,__metric,__threshold\nOpen?,contains: 9,icontains: at,hours,0.5\n", encoding="utf-8"
    )
    made = import_text(tmp_path, "promptfooconfig.yaml", "prompts: ['{{q}}']\nproviders: [echo]\ntests: tests.csv\n")
    assert [check["contains"]["name"] for check in made.golden[0]["checks"]] == ["hours", "hours"]
    assert [what.partition(":")[0] for _, what in made.losses] == ["threshold 0.5"]
