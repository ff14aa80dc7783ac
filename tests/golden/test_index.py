"""A checked golden set knows its cases without their texts, and reads only the rows that were chosen."""

import gzip
import json
import random
from pathlib import Path
from typing import Any

import pytest

from evalkit.errors import InputError
from evalkit.golden import json_lines
from evalkit.golden.index import KeyNumbers
from evalkit.golden.read import GoldenSet, open_golden
from evalkit.golden.source import GoldenSource
from evalkit.runner.draw import draw
from evalkit.runner.plan import Selection, select
from evalkit.suite.model import Sample

KINDS = ("golden", "canary", "golden")


def a_row(number: int) -> dict[str, Any]:
    """Return a row; its question has 3 to 42 words."""
    question = f"Wie heißt {number} " + "Wort " * (number % 40)
    cohorts = {"topic": f"t{number % 5}"} if number % 7 else {}
    return {"id": f"ä{number}", "input": question, "reference": "x", "kind": KINDS[number % 3], "cohorts": cohorts}


def written(folder: Path, text: str, name: str = "cases.jsonl") -> Path:
    """Write a golden set."""
    file = folder / name
    file.write_bytes(gzip.compress(text.encode()) if name.endswith(".gz") else text.encode())
    return file


def opened(file: Path) -> GoldenSet:
    """Check a golden set."""
    return open_golden(GoldenSource(path=file.name), file, file.name)


def a_text(n_rows: int = 60, *, end: str = "\n") -> str:
    """Return a set with blank lines between its rows."""
    return end.join(json.dumps(a_row(i)) + end * (i % 4 == 1) for i in range(n_rows)) + end


SELECTIONS = {
    "limit": Selection(limit=9, seed=3),
    "case": Selection(case_ids=("ä4", "ä5", "gone")),
    "cohort": Selection(cohorts=("topic=t1", "t3")),
    "not": Selection(cohorts=("!kind=canary",), limit=5),
}


@pytest.mark.parametrize("name", SELECTIONS)
def test_outlines_choose_the_same_cases(tmp_path: Path, name: str) -> None:
    """`--case`, `--cohort` and `--limit` need no texts."""
    golden = opened(written(tmp_path, a_text()))
    chosen = select(golden.outlines(), SELECTIONS[name])
    assert chosen and chosen == select(golden.open(), SELECTIONS[name])


@pytest.mark.parametrize("by", ["topic", "query_length", "severity"])
def test_outlines_draw_the_same_sample(tmp_path: Path, by: str) -> None:
    """Strata need no texts, not even those by the length of the question."""
    golden, sample = opened(written(tmp_path, a_text())), Sample(n=40, by=by)
    assert draw(golden.outlines(), sample, 1) == draw(golden.open(), sample, 1)


@pytest.mark.parametrize("name", ["cases.jsonl", "cases.jsonl.gz"])
@pytest.mark.parametrize("mark", ["", "\ufeff"])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_chosen_cases_are_those_of_the_whole_set(tmp_path: Path, name: str, mark: str, end: str) -> None:
    """They come in the order of the file, with every field and their place."""
    golden = opened(written(tmp_path, mark + a_text(end=end), name))
    chosen = frozenset(case.digest for case in golden.outlines() if case.id in ("ä2", "ä3", "ä59"))
    found = list(golden.open(chosen))
    assert [case.id for case in found] == ["ä2", "ä3", "ä59"]
    whole = [case for case in golden.open() if case.digest in chosen]
    assert found == whole and [case.place for case in found] == [case.place for case in whole]


def test_other_kinds_of_files_give_the_chosen_cases_too(tmp_path: Path) -> None:
    """A table is read whole."""
    golden = opened(written(tmp_path, "id,input,reference,note\na,x y,1,\nb,z,2,n\n", "cases.csv"))
    chosen = frozenset(case.digest for case in golden.outlines() if case.id == "b")
    assert list(golden.open(chosen)) == [case for case in golden.open() if case.id == "b"]


def test_a_column_that_an_earlier_row_explains(tmp_path: Path) -> None:
    """The first row shows that `answer` is the system's; the second is read alone as it was with the first."""
    rows = [{"id": "a", "input": "x", "answer": "1", "reference": "1"}, {"id": "b", "input": "y", "answer": "2"}]
    golden = opened(written(tmp_path, "".join(json.dumps(row) + "\n" for row in rows)))
    chosen = frozenset(case.digest for case in golden.outlines() if case.id == "b")
    assert list(golden.open(chosen)) == [case for case in golden.open() if case.id == "b"]


def test_only_chosen_rows_are_parsed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The other lines are passed over, and the outlines read nothing."""
    golden = opened(written(tmp_path, a_text()))
    parsed: list[bytes] = []
    parse = json_lines.parse_row

    def noted(line: bytes, *rest: Any) -> dict[str, Any] | None:
        parsed.append(line)
        return parse(line, *rest)

    monkeypatch.setattr(json_lines, "parse_row", noted)
    chosen = select(golden.outlines(), Selection(limit=3))
    assert not parsed and len(list(golden.open(chosen))) == len(parsed) == 3


@pytest.mark.parametrize("changed", [a_text().replace("Wort", "Wert"), a_text(20), "\n" + a_text(), "not JSON\n" * 80])
def test_a_changed_file_is_refused(tmp_path: Path, changed: str) -> None:
    """Chosen cases that are not there any more stop the run, whatever is on their lines."""
    file = written(tmp_path, a_text())
    golden = opened(file)
    chosen = select(golden.outlines(), Selection(limit=5))
    written(tmp_path, changed)
    with pytest.raises(InputError, match="changed during the run"):
        list(golden.open(chosen))
    file.unlink()
    with pytest.raises(InputError, match="changed during the run"):
        list(golden.open(chosen))


def test_no_chosen_case_reads_nothing(tmp_path: Path) -> None:
    """An empty choice is not all cases."""
    assert not list(opened(written(tmp_path, a_text())).open(()))


@pytest.mark.parametrize("spread", [10**18, 40])
def test_keys_are_numbered_as_by_a_dict(spread: int) -> None:
    """Keys keep their number while the table grows, also where the first 8 bytes of many are the same."""
    random_ = random.Random(spread)
    seen, expected = KeyNumbers(12), dict[bytes, int]()
    for _ in range(3000):
        key = random_.randrange(spread).to_bytes(8) + random_.randrange(60).to_bytes(4)
        assert seen.find(key) == expected.get(key)
        assert seen.number(key) == expected.setdefault(key, len(expected)) == seen.find(key)
    assert len(seen) == len(expected)
