"""An unchanged golden set is checked once, and its index says what a check of every row would say."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evalkit.errors import InputError, Problem, StoreError
from evalkit.golden import json_lines, stored_index
from evalkit.golden.read import GoldenSet, known_golden, open_golden
from evalkit.golden.source import GoldenSource
from evalkit.golden.stored_index import IndexStore
from evalkit.runner.manifest import GoldenFacts
from evalkit.types import Case


@dataclass
class Counts:
    """Counts cases by kind."""

    kinds: dict[str, int] = field(default_factory=dict)
    names: tuple[str, ...] = ()

    def need(self, case: Case) -> Iterator[str]:
        """Count a case that needs `note`."""
        self.kinds[case.kind] = self.kinds.get(case.kind, 0) + 1
        return iter([] if "note" in case.fields else ["0:note"])

    def record(self) -> Any:
        """Return the counts."""
        return self.kinds

    def restore(self, record: Any) -> None:
        """Take the counts."""
        self.kinds = dict(record)


@pytest.fixture(autouse=True)
def any_size(monkeypatch: pytest.MonkeyPatch) -> None:
    """Small sets are indexed too."""
    monkeypatch.setattr(stored_index, "LEAST_BYTES", 0)
    monkeypatch.setattr("evalkit.golden.index._BLOCK_CASES", 3)


def store_in(folder: Path, counts: Counts | None = None, parts: str = "a", secret: bytes = b"k" * 32) -> IndexStore:
    """Return where indexes are."""
    return IndexStore(folder / ".evalkit" / "sets", parts, secret, counts or Counts())


def opened(file: Path, store: IndexStore | None, counts: Counts | None = None) -> GoldenSet:
    """Check a set, or take its index."""
    counts = counts or (store.counts if store else Counts())  # type: ignore[assignment]
    assert isinstance(counts, Counts)
    source = GoldenSource(path=file.name)
    return open_golden(source, file, file.name, need=counts.need, cohorts=("topic",), store=store)


def facts(golden: GoldenSet) -> Mapping[str, Any]:
    """Return everything that a set says, but for the hash of the file, which only an index computes."""
    outlines = [(case, case.place) for case in golden.outlines()]
    waiting = [(case, case.place) for case in golden.waiting]
    known = replace(golden, open=None, outlines=None, file_sha256=None, waiting=())  # type: ignore[arg-type]
    some = frozenset(case.digest for case, _ in outlines[::2])
    chosen = [(case, case.place) for case in golden.open(some)]
    return {"known": known, "outlines": outlines, "waiting": waiting, "chosen": chosen, "all": list(golden.open())}


TEXTS = st.sampled_from(["a", "b", "ä ö", "c c c"])
ROWS = st.fixed_dictionaries(
    {"id": st.sampled_from([f"é{n}" for n in range(40)]), "input": TEXTS, "reference": TEXTS},
    optional={
        "kind": st.sampled_from(["golden", "canary"]),
        "cohorts": st.dictionaries(st.sampled_from(["topic", "tier"]), st.sampled_from(["x", "X", "y", "z"])),
        "note": st.just("n"),
        "checks": st.just([{"regex": "a"}]),
    },
)
WAITING = st.fixed_dictionaries({"id": st.sampled_from(["w1", "w2", "é1"]), "input": TEXTS}).map(
    lambda row: {**row, "needs_reference": True}
)


def text_of(rows: list[dict[str, Any]], *, csv: bool = False) -> str:
    """Write rows as JSON Lines with blank lines between them, or as CSV."""
    if csv:
        return "id,input,reference\n" + "".join(f"{row['id']},{row['input']},{row.get('reference')}\n" for row in rows)
    return "".join(json.dumps(row) + "\n" * (1 + len(row) % 2) for row in rows)


@settings(max_examples=120)
@given(st.lists(ROWS | WAITING, max_size=14), st.sampled_from(["", "\ufeff", ".csv"]))
def test_an_index_says_what_the_rows_say(
    tmp_path_factory: pytest.TempPathFactory, rows: list[dict[str, Any]], form: str
) -> None:
    """Warnings, missing fields, cohorts, waiting cases, counts and chosen cases are equal with and without it."""
    folder = tmp_path_factory.mktemp("set")
    file = folder / ("cases.csv" if form == ".csv" else "cases.jsonl")
    file.write_text(("" if form == ".csv" else form) + text_of(rows, csv=form == ".csv"), encoding="utf-8")
    plain, first, second = Counts(), Counts(), Counts()
    try:
        expected = facts(opened(file, None, plain))
    except InputError as error:
        for _ in range(2):
            with pytest.raises(InputError) as told:
                opened(file, store_in(folder))
            assert told.value.problems == error.problems
        assert not list(folder.glob("**/*.idx"))
        return
    assert facts(opened(file, store_in(folder, first))) == expected
    assert list(folder.glob("**/*.idx"))
    again = opened(file, store_in(folder, second))
    assert facts(again) == expected and plain.kinds == first.kinds == second.kinds
    assert again.file_sha256 == stored_index.sha256_of(file)


def a_set(folder: Path, n_rows: int = 20, word: str = "one", pad: int = 0) -> Path:
    """Write a set of rows."""
    rows = [{"id": f"c{n}", "input": f"{word} {n}" + " " * pad, "reference": "x"} for n in range(n_rows)]
    file = folder / "cases.jsonl"
    file.write_text(text_of(rows), encoding="utf-8")
    return file


@pytest.fixture
def parsed(monkeypatch: pytest.MonkeyPatch) -> list[bytes]:
    """Return the rows that are parsed from now on."""
    lines: list[bytes] = []
    parse = json_lines.parse_row

    def noted(line: bytes, *rest: Any) -> dict[str, Any] | None:
        lines.append(line)
        return parse(line, *rest)

    monkeypatch.setattr(json_lines, "parse_row", noted)
    return lines


def test_an_indexed_set_is_not_read(tmp_path: Path, parsed: list[bytes]) -> None:
    """The second check parses no row, and a choice only its own rows."""
    file = a_set(tmp_path)
    opened(file, store_in(tmp_path))
    parsed.clear()
    golden = opened(file, store_in(tmp_path))
    assert golden.n_cases == len(list(golden.outlines())) == 20 and not parsed
    (digest,) = [case.digest for case in golden.outlines() if case.id == "c7"]
    assert [case.id for case in golden.open({digest})] == ["c7"] and len(parsed) == 1


def test_an_edit_that_keeps_size_and_time_is_noticed(tmp_path: Path) -> None:
    """An edit within the same second, whose time of writing is set back, is another file."""
    file = a_set(tmp_path)
    before = os.stat(file)
    opened(file, store_in(tmp_path))
    a_set(tmp_path, word="two")
    os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert os.stat(file).st_size == before.st_size
    assert next(iter(opened(file, store_in(tmp_path)).open())).input == "two 0"


def edited_between(file: Path) -> None:
    """Change a byte between the first two pieces, and keep the size."""
    data = bytearray(file.read_bytes())
    data[stored_index._PIECE_BYTES + 1000] = ord("z")
    file.write_bytes(data)


def test_a_file_is_hashed_whole_while_its_time_says_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A set that changed just before it was read may change again within a tick of the clock."""
    file = a_set(tmp_path, 30, pad=400_000)
    monkeypatch.setattr(stored_index, "stamp_of", lambda found: (found.st_size, 0, 0, 0))
    opened(file, store_in(tmp_path))
    pieces = stored_index._pieces_sum(file)
    edited_between(file)
    assert stored_index._pieces_sum(file) == pieces, "the edit must be where no piece is"
    assert [case.id for case in opened(file, store_in(tmp_path)).open() if "z" in str(case.input)] == ["c0"]


def test_a_settled_file_is_not_hashed_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two seconds after its last change, its times and some pieces tell enough; other pieces do not."""
    file = a_set(tmp_path)
    monkeypatch.setattr(stored_index, "_SETTLED_NS", -(10**12))
    opened(file, store_in(tmp_path))
    hashed: list[Path] = []
    monkeypatch.setattr(stored_index, "sha256_of", lambda path: hashed.append(path) or "")
    assert opened(file, store_in(tmp_path)).n_cases == 20 and not hashed
    monkeypatch.setattr(stored_index, "_pieces_sum", lambda path: "other")
    opened(file, store_in(tmp_path))
    assert hashed


def test_a_copy_of_the_file_keeps_its_index(tmp_path: Path, parsed: list[bytes]) -> None:
    """A fresh checkout has other times and the same bytes."""
    file = a_set(tmp_path)
    opened(file, store_in(tmp_path))
    data = file.read_bytes()
    file.unlink()
    file.write_bytes(data)
    parsed.clear()
    assert opened(file, store_in(tmp_path)).n_cases == 20 and not parsed


def test_a_file_that_changes_while_it_is_checked_has_no_index(tmp_path: Path) -> None:
    """Its index would hold rows of both."""
    file = a_set(tmp_path)
    counts = Counts()
    need = counts.need

    def edited(case: Case) -> Iterator[str]:
        file.write_text(file.read_text(encoding="utf-8") + "\n", encoding="utf-8")
        return need(case)

    counts.need = edited  # type: ignore[method-assign]
    opened(file, store_in(tmp_path, counts))
    assert not list(tmp_path.glob("**/*.idx"))


def test_an_index_with_any_fault_is_read_anew(
    tmp_path: Path, parsed: list[bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A byte that differs, a cut, more bytes, another format: the set is checked, and the index is replaced."""
    monkeypatch.setattr(stored_index, "_SETTLED_NS", 1 << 62)  # or the index would hold the time as soon as it may
    file = a_set(tmp_path)
    store = store_in(tmp_path)
    expected = facts(opened(file, store))
    whole = store.file.read_bytes()
    record_at = len(stored_index._MAGIC) + 8
    faults = [whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :] for at in range(0, len(whole), 41)]
    faults += [whole[:at] for at in (0, 5, record_at, record_at + 9, len(whole) - 1)]
    faults += [whole + b"x", b"evalkit set 0" + whole[13:], b"\xff" * 400, whole[:14] + b"\xff" * 8 + whole[22:]]
    for fault in faults:
        store.file.write_bytes(fault)
        parsed.clear()
        assert facts(opened(file, store_in(tmp_path))) == expected
        assert store.file.read_bytes() == whole
        assert len(parsed) > 20


def test_an_index_of_another_machine_is_not_read(tmp_path: Path, parsed: list[bytes]) -> None:
    """Nor one that was made for another suite, under whatever name."""
    file = a_set(tmp_path)
    own, foreign, other = store_in(tmp_path), store_in(tmp_path, secret=b"f" * 32), store_in(tmp_path, parts="b")
    for each in (foreign, other):
        opened(file, each)
        os.replace(each.file, own.file)
        parsed.clear()
        opened(file, own)
        assert len(parsed) == 20


def test_problems_of_scorers_are_found_each_time(tmp_path: Path) -> None:
    """A set that a scorer cannot read has no index."""
    store = replace(store_in(tmp_path), problems=[Problem("cases.jsonl:1", "wrong", "write it right")])
    opened(a_set(tmp_path), store)
    assert not list(tmp_path.glob("**/*.idx"))


def test_a_folder_that_cannot_be_written_only_costs_time(tmp_path: Path) -> None:
    """The index stays in memory."""
    (tmp_path / ".evalkit").write_text("a file", encoding="utf-8")
    golden = opened(a_set(tmp_path), store_in(tmp_path))
    assert len(list(golden.outlines())) == 20


def test_only_the_latest_indexes_are_kept(tmp_path: Path) -> None:
    """And version control leaves them out."""
    file = a_set(tmp_path)
    for at in range(12):
        opened(file, store_in(tmp_path, parts=str(at)))
    left = list((tmp_path / ".evalkit" / "sets").iterdir())
    assert len(left) == 8 and store_in(tmp_path, parts="11").file in left
    assert (tmp_path / ".evalkit" / ".gitignore").read_text(encoding="utf-8") == "*\n"


def test_an_index_that_is_cut_during_a_run_stops_it(tmp_path: Path) -> None:
    """Its cases are not fewer."""
    store = store_in(tmp_path)
    golden = opened(a_set(tmp_path), store)
    os.truncate(store.file, 300)
    with pytest.raises(StoreError, match="was cut"):
        list(golden.outlines())


def test_an_index_that_is_replaced_during_a_run_stays_open(tmp_path: Path) -> None:
    """Another process may check an edited set meanwhile."""
    store = store_in(tmp_path)
    golden = opened(a_set(tmp_path), store)
    opened(a_set(tmp_path, 5, word="other"), store_in(tmp_path))
    assert len(list(golden.outlines())) == 20


def test_a_resumed_run_takes_the_index(tmp_path: Path, parsed: list[bytes]) -> None:
    """It chooses the cases that are left without reading the others, and tells no warning again."""
    file = a_set(tmp_path)
    golden = opened(file, store_in(tmp_path))
    known = GoldenFacts(
        path="", sha256=golden.sha256, n_cases=20, file_sha256=golden.file_sha256, checks=False, lock=None
    )
    parsed.clear()
    found = known_golden(GoldenSource(path=file.name), file, file.name, known, store=store_in(tmp_path))
    assert found is not None and not found.warnings and len(list(found.outlines())) == 20 and not parsed
    without = known_golden(GoldenSource(path=file.name), file, file.name, known)
    assert without is not None and [case.id for case in without.outlines()] == [f"c{n}" for n in range(20)]


SCRIPT = """\
import sys
from pathlib import Path
sys.path.insert(0, sys.argv[2])
import test_stored_index as own
own.stored_index.LEAST_BYTES = 0
folder = Path(sys.argv[1])
for _ in range(20):
    golden = own.opened(folder / "cases.jsonl", own.store_in(folder))
    assert len(list(golden.outlines())) == 200
    own.store_in(folder).file.unlink(missing_ok=True)
"""


def test_processes_write_the_index_at_the_same_time(tmp_path: Path) -> None:
    """Each sees a whole index or none."""
    a_set(tmp_path, 200)
    words = [sys.executable, "-c", SCRIPT, str(tmp_path), str(Path(__file__).parent)]
    running = [subprocess.Popen(words) for _ in range(3)]
    assert [process.wait(120) for process in running] == [0, 0, 0]
