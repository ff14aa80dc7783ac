"""Near-duplicates of a set are listed, and accepted pairs share a cluster."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from evalkit.cli.golden import golden
from evalkit.errors import InputError
from evalkit.operations.dedup import accept_duplicates, find_duplicates

ROWS = [
    {"id": "a", "input": "When is due diligence due in Malta?"},
    {"id": "b", "input": "Please tell me: when is due diligence due in Malta?"},
    {"id": "c", "input": "Who pays the fee of a transfer?", "cluster": "fees"},
    {"id": "d", "input": "Who pays the fees of a transfer?"},
    {"id": "e", "input": "Who pays the fee of the transfer?"},
    {"id": "f", "input": "Something else entirely."},
]


@pytest.fixture
def cases(tmp_path: Path) -> Path:
    """A set with two groups of near-duplicates."""
    file = tmp_path / "cases.jsonl"
    file.write_text("".join(json.dumps(row) + "\n" for row in ROWS), encoding="utf-8")
    return file


def accepted(folder: Path, *pairs: tuple[object, object]) -> Path:
    """A file of pairs."""
    file = folder / "pairs.json"
    file.write_text(json.dumps({"pairs": [{"a": one, "b": other} for one, other in pairs]}), encoding="utf-8")
    return file


def clusters(file: Path) -> dict[str, str | None]:
    """Cluster by case."""
    rows = [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]
    return {row["id"]: row.get("cluster") for row in rows}


def test_a_variant_says_what_differs_and_each_command_has_its_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The next steps are whole commands, to copy."""
    monkeypatch.chdir(tmp_path)
    rows = [{"id": "a", "input": ROWS[0]["input"]}, {"id": "b", "input": "When is due diligence due in Cyprus?"}]
    Path("my cases.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    lines = CliRunner().invoke(golden, ["dedup", "my cases.jsonl"]).stdout.splitlines()
    assert lines[0].startswith("variant (0.")
    assert lines[0].endswith("): other capitalised word")
    assert "          evalkit golden dedup 'my cases.jsonl' --json > pairs.json" in lines
    assert "          evalkit golden dedup 'my cases.jsonl' --accept pairs.json" in lines
    assert max(map(len, lines)) <= 80


def test_an_ending_beyond_what_is_compared_is_named(tmp_path: Path) -> None:
    """Two books with one beginning are a variant, in words that say where they differ."""
    file, preface = tmp_path / "cases.jsonl", "Cards have a fee. " * 3_000
    rows = [{"id": end, "input": preface + end} for end in ("It ends.", "It goes on.")]
    file.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    lines = CliRunner().invoke(golden, ["dedup", str(file)]).stdout.splitlines()
    assert lines[0] == "variant (1.00): other text after 50,000 characters"


def test_pairs_are_listed_until_they_are_accepted(cases: Path) -> None:
    """What --json prints is what --accept takes."""
    printed = CliRunner().invoke(golden, ["dedup", str(cases), "--json"])
    record = json.loads(printed.stdout)
    assert [(pair["a"], pair["b"], pair["kind"]) for pair in record["pairs"]] == [
        ("a", "b", "same"),
        ("c", "d", "same"),
        ("c", "e", "same"),
    ]
    (cases.parent / "pairs.json").write_text(printed.stdout, encoding="utf-8")
    done = CliRunner().invoke(golden, ["dedup", str(cases), "--accept", str(cases.parent / "pairs.json")])
    assert done.exit_code == 0, done.output
    assert clusters(cases) == {"a": "near-a", "b": "near-a", "c": "fees", "d": "fees", "e": "fees", "f": None}
    found = find_duplicates(cases)
    assert (found.open_pairs, found.n_accepted) == ((), 3)
    assert "0 pairs in 6 cases" in CliRunner().invoke(golden, ["dedup", str(cases)]).stdout


def test_clusters_that_an_accepted_pair_connects_become_one(tmp_path: Path) -> None:
    """Cases of either that no pair names are not independent of the other's either; nothing is done twice."""
    file = tmp_path / "cases.jsonl"
    rows = [{"id": id_, "input": id_ * 9, "cluster": id_[0]} for id_ in ("a1", "a2", "b1", "b2", "c1")]
    file.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    pairs = accepted(tmp_path, ("b1", "a2"))
    assert accept_duplicates(file, pairs).n_changed == 2
    assert clusters(file) == {"a1": "a", "a2": "a", "b1": "a", "b2": "a", "c1": "c"}
    before = file.read_bytes()
    assert accept_duplicates(file, pairs).n_changed == 0
    assert file.read_bytes() == before


@pytest.mark.parametrize(
    ("pairs", "message"),
    [
        ([("a", "gone")], "no case 'gone'"),
        ([("a", "a")], "does not name two cases"),
        ([("a", 7)], "does not name two cases"),
        ([], "no list `pairs`"),
    ],
)
def test_pairs_that_cannot_be_accepted_are_named(cases: Path, pairs: list[tuple[object, object]], message: str) -> None:
    """And the set stays as it is."""
    before = cases.read_bytes()
    with pytest.raises(InputError, match=message):
        accept_duplicates(cases, accepted(cases.parent, *pairs))
    assert cases.read_bytes() == before


def test_a_set_that_is_not_json_lines_is_listed_but_not_changed(tmp_path: Path) -> None:
    """A table has near-duplicates as well, also without ids."""
    file = tmp_path / "cases.csv"
    file.write_text("input\nWho pays the fee of it?\nWho pays the fee of it!\n", encoding="utf-8")
    (pair,) = find_duplicates(file).open_pairs
    assert pair.jaccard == 1
    with pytest.raises(InputError, match="save it as JSON Lines"):
        accept_duplicates(file, accepted(tmp_path, ("a", "b")))


def test_text_of_a_case_cannot_move_the_cursor(tmp_path: Path) -> None:
    """The list shows control characters by name."""
    file = tmp_path / "cases.jsonl"
    rows = [{"id": f"c{at}", "input": f"Who pays \x1b[2J the fee{'!' * at}"} for at in range(2)]
    file.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    shown = CliRunner().invoke(golden, ["dedup", str(file)]).stdout
    assert "\x1b" not in shown
    assert "<U+001B>" in shown
