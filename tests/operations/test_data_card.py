"""The data card of a set: counted, complete or exit code 1, and required by a gate."""

from __future__ import annotations

import datetime
import json
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from evalkit import run
from evalkit.cli.golden import golden
from evalkit.errors import InputError
from evalkit.gate.card import Card, card_checks
from evalkit.golden.card import card_file, data_card, read_card
from evalkit.operations.run import decide_again
from evalkit.store.folder import RunFolder

TEXT = """\
owner: Ana | team
source: tickets
usage_rights: own
sensitivity: internal
personal_data: none
retention: 2 years
deletion: mail the owner
approved_by: Ana
approved_on: "2026-11-03"
labels: two lawyers
"""


@pytest.fixture
def cases(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A set with a card, and a suite that requires it."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "pyproject.toml").touch()
    row = {"input": "secret question", "reference": "a", "output": "a", "cohorts": {"topic": "fees"}}
    rows = [{"id": "a", **row}, {"id": "b", **row, "input": "another secret", "origin": "expert", "kind": "canary"}]
    (tmp_path / "cases.jsonl").write_text("".join(json.dumps(each) + "\n" for each in rows), encoding="utf-8")
    (tmp_path / "cases.card.yaml").write_text(TEXT, encoding="utf-8")
    suite = "name: s\ngolden: cases.jsonl\nsystem: {replay: golden}\nscorers: [exact]\ngate: [card: required]\n"
    (tmp_path / "suite.yaml").write_text(suite, encoding="utf-8")
    return tmp_path / "cases.jsonl"


def card(*words: str) -> Result:
    """Run the command."""
    return CliRunner().invoke(golden, ["card", "cases.jsonl", *words])


def test_a_complete_card_is_printed_without_texts_of_cases(cases: Path) -> None:
    """Counts by kind, origin and cohort; the lock's version and canary string once there is one."""
    ran = card()
    assert ran.exit_code == 0, ran.output
    assert "| owner | Ana \\| team |" in ran.stdout
    assert "| version | not locked |" in ran.stdout
    assert "| kind | canary 1, golden 1 |" in ran.stdout
    assert "| origin | expert 1, not stated 1 |" in ran.stdout
    assert "| topic | fees 2 |" in ran.stdout
    CliRunner().invoke(golden, ["lock", "cases.jsonl"])
    locked = card()
    assert "<!-- evalkit-canary " in locked.stdout
    assert "| version | 20" in locked.stdout
    assert "secret" not in ran.output + locked.output + card("--json").output


def test_an_empty_field_or_personal_data_is_an_exit_code_of_1(cases: Path) -> None:
    """`none` is contradicted by an address in a case; without a card every field is missing."""
    file = cases.with_name("cases.card.yaml")
    file.write_text(TEXT.replace("owner: Ana | team", "owner: ' '"), encoding="utf-8")
    ran = card()
    assert (ran.exit_code, "| owner | **missing** |" in ran.stdout) == (1, True)
    file.write_text(TEXT, encoding="utf-8")
    cases.write_text(cases.read_text(encoding="utf-8").replace("another secret", "mail ana@bank.de"), encoding="utf-8")
    record = json.loads(card("--json").stdout)
    assert (record["personal_data"], record["gaps"]) == ({"email": 1}, ["personal_data"])
    file.unlink()
    assert card().exit_code == 1
    file.write_text("owner: [a]\nowners: b\n", encoding="utf-8")
    assert isinstance(card().exception, InputError)


def test_a_gate_requires_the_card(cases: Path) -> None:
    """A stored run is decided by the card as it was."""
    approved = run("suite.yaml", out="one", reports=False).decision
    assert approved is not None
    assert approved.outcome == "approved", approved.reasons
    cases.with_name("cases.card.yaml").unlink()
    blocked = run("suite.yaml", out="two", reports=False).decision
    assert blocked is not None
    assert blocked.outcome == "blocked"
    assert "the data card of the golden set lacks owner, source" in blocked.reasons[0]
    again = decide_again(RunFolder(Path("one")), None, None).decision
    assert [each.outcome for each in again.checks if each.name == "card"] == ["pass"]
    (check,) = card_checks(Card(), None)
    assert check.outcome == "no decision"
    (check,) = card_checks(Card(on_fail="warn"), ["owner"])
    assert check.outcome == "warn"


@pytest.mark.parametrize(
    ("line", "gaps"),
    [
        ('owner: "\\u200b"', ["owner"]),
        ('owner: "\\u3164"', ["owner"]),
        ("owner: TODO", ["owner"]),
        ("owner: 'todo: ask'", ["owner"]),
        ("source: tbd.", ["source"]),
        ("retention: '?'", ["retention"]),
        ("labels: '-'", ["labels"]),
        ("approved_on: never", ["approved_on"]),
        ("approved_on: '2026-02-30'", ["approved_on"]),
        ("approved_on: '9998-01-01'", ["approved_on"]),
        ("approved_on: TODO", ["approved_on"]),
        ("personal_data: None.", ["personal_data"]),
        ("personal_data: 'no'", ["personal_data"]),
        ("personal_data: N/A", ["personal_data"]),
        ("personal_data: keine", ["personal_data"]),
        ("personal_data: no names but e-mail addresses of staff", []),
        ("owner: Todor Tbilisi", []),
        ("deletion: n/a", []),
    ],
)
def test_a_text_that_says_nothing_is_a_gap(line: str, gaps: list[str], tmp_path: Path) -> None:
    """Unseen characters, placeholders, a day that cannot be, and `none` in other words, if data is found."""
    key = line.partition(":")[0]
    told = TEXT.replace("personal_data: none", "personal_data: e-mail addresses of staff")
    lines = [line if each.startswith(f"{key}:") else each for each in told.splitlines()]
    (tmp_path / "cases.card.yaml").write_text("\n".join(lines), encoding="utf-8")
    today = datetime.date(2026, 11, 3)
    assert list(data_card(tmp_path / "cases.jsonl", "card", (), {"email": 1}, today).gaps) == gaps


def test_an_approval_may_be_a_time_zone_ahead(tmp_path: Path) -> None:
    """Tomorrow here is today elsewhere; the day after tomorrow is nowhere."""
    (tmp_path / "cases.card.yaml").write_text(TEXT, encoding="utf-8")
    found = [
        data_card(tmp_path / "cases.jsonl", "card", (), {}, datetime.date(2026, 11, day)).gaps for day in (1, 2, 3)
    ]
    assert found == [("approved_on",), (), ()]


def test_each_version_of_a_set_has_a_card_of_its_own() -> None:
    """As each has a lock of its own."""
    names = [card_file(Path(name)).name for name in ("faq.v2.jsonl", "faq.v2.jsonl.gz", "faq.jsonl", "faq.csv")]
    assert names == ["faq.v2.card.yaml", "faq.v2.card.yaml", "faq.card.yaml", "faq.card.yaml"]


@pytest.mark.parametrize("text", ["- owner: Ana\n", "", "none\n"])
def test_what_is_no_mapping_is_answered_with_the_keys_of_a_card(text: str, tmp_path: Path) -> None:
    """And not with those of a suite."""
    (tmp_path / "cases.card.yaml").write_text(text, encoding="utf-8")
    with pytest.raises(InputError, match="start with `owner:`, `source:`, `usage_rights:`"):
        read_card(tmp_path / "cases.jsonl", "card")


@pytest.mark.parametrize("target", ["gone.yaml", "cases.card.yaml"])
def test_a_card_that_leads_nowhere_is_refused(target: str, tmp_path: Path) -> None:
    """A broken link, and one to itself, never count as no card."""
    (tmp_path / "cases.card.yaml").symlink_to(target)
    with pytest.raises(InputError, match="card: cannot be read: "):
        read_card(tmp_path / "cases.jsonl", "card")
