"""The files of shards: what counts, whoever else has written there."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

import pytest

from evalkit.errors import StoreError
from evalkit.formats.rows import encode_row
from evalkit.net.rate_limits import Limits
from evalkit.net.retry import ExchangeFailed, StatusReply
from evalkit.store.folder import ROWS
from evalkit.store.journal import Journal
from evalkit.store.running import RUNNING
from evalkit.store.shards import ShardFolder, SharedWork, WorkPlan, open_row, remove_shards, written_rows
from evalkit.types import Case, Output, Row

PLAN = WorkPlan(suite="suite.yaml", overrides={"repeat": 2}, replies="taken", workers=2, checks=False)


def case(number: int) -> Case:
    """A case with its number as its digest."""
    return Case(id=f"c{number}", input="1 + 1", digest=f"{number:064x}", fields={"n": number}, cluster="k")


def row(number: int, text: str = "2", repeat: int = 0) -> Row:
    """A row of a case."""
    return Row(case=case(number), repeat=repeat, output=Output(text=text))


@pytest.fixture
def shards(tmp_path: Path) -> SharedWork:
    """Two shards, the second with repeats."""
    made = SharedWork.new(tmp_path)
    work = [(1, case(0), 0), (3, case(1), 0), (3, case(1), 1), (1, case(2), 0)]
    assert made.write(PLAN, [(number, open_row(each, repeat)) for number, each, repeat in work]) == [1, 3]
    return made


def attempt(shard: ShardFolder, number: int, rows: list[Row]) -> Path:
    """Make an attempt that writes rows."""
    folder = shard.new_attempt(number)
    with Journal(folder / ROWS) as journal:
        for each in rows:
            journal.append(each)
    return folder


def texts(rows: Iterable[tuple[bytes, Row]]) -> list[str]:
    """What the rows answer."""
    return [row.output.text for line, row in rows if row.output is not None and line == encode_row(row)]


def test_workers_read_the_cases_as_they_were_written(shards: SharedWork) -> None:
    """Every field of a case, and each repeat, in the order of the golden set."""
    assert list(shards.shard(1).work()) == [open_row(case(0), 0), open_row(case(2), 0)]
    assert list(shards.shard(3).work()) == [open_row(case(1), 0), open_row(case(1), 1)]
    assert shards.plan(WorkPlan) == PLAN


def test_the_first_seal_holds_and_only_its_bytes_count(shards: SharedWork, tmp_path: Path) -> None:
    """A process that was taken for dead writes on, and seals too: nothing of it counts."""
    shard = shards.shard(1)
    slow = attempt(shard, 1, [row(0, "slow")])
    attempt(shard, 2, [row(0, "quick"), row(2, "quick")])
    first, second = shard.attempts()
    shard.seal([second], [])
    with Journal(slow / ROWS) as journal:
        journal.append(row(2, "late"))
    shard.seal([first], [("a", 0)])
    attempts, left_open = shard.sealed()
    assert texts([each for found in attempts for each in found.rows()]) == ["quick", "quick"]
    assert left_open == frozenset()
    with next(shard.path.glob("a2*")).joinpath(ROWS).open("ab") as file:
        file.write(encode_row(row(9, "behind the seal")))
    assert texts(written_rows(tmp_path)) == ["quick", "quick"]
    assert not list(shard.path.glob(".*.tmp"))


def test_a_shard_that_is_not_sealed_gives_its_intact_rows(shards: SharedWork, tmp_path: Path) -> None:
    """A torn line is not a row; the earliest attempt comes first, also after the ninth."""
    shard = shards.shard(1)
    for number in (10, 9):
        folder = attempt(shard, number, [row(0, f"attempt {number}")])
    with (folder / ROWS).open("ab") as file:
        file.write(encode_row(row(2))[:-9])
    assert texts(written_rows(tmp_path)) == ["attempt 9", "attempt 10"]
    assert [len(each.data.splitlines()) for each in shard.attempts()] == [1, 1]
    remove_shards(tmp_path)
    assert list(written_rows(tmp_path)) == []


def test_sealed_bytes_that_are_gone_are_an_error(shards: SharedWork) -> None:
    """Another disk, or a file that was cut: never fewer rows in silence."""
    shard = shards.shard(1)
    folder = attempt(shard, 1, [row(0), row(2)])
    shard.seal(shard.attempts(), [])
    with (folder / ROWS).open("r+b") as file:
        file.truncate(100)
    with pytest.raises(StoreError, match=r"does not hold the [\d,]+ bytes that its worker sealed; .* --resume"):
        shard.sealed()


def test_deaths_are_counted_over_attempts(shards: SharedWork) -> None:
    """An attempt that ended says so; one that did not suspects what it had begun."""
    shard = shards.shard(1)
    for number, end in ((1, ""), (2, ""), (3, "end\n")):
        (shard.new_attempt(number) / RUNNING).write_text(f"\nbegin 7\nab 0\n{end}", encoding="utf-8")
    assert shard.deaths() == {("ab", 0): 2}


def test_workers_stop_with_the_run(shards: SharedWork, tmp_path: Path) -> None:
    """By a file, or because the folder is gone."""
    assert (shards.stopped, shards.cut) == (False, False)
    shards.stop(at_once=False)
    assert (shards.stopped, shards.cut) == (True, False)
    shards.stop(at_once=True)
    assert shards.cut
    remove_shards(tmp_path)
    assert shards.stopped
    shards.stop(at_once=True)


def test_leases_never_exceed_the_budget(shards: SharedWork) -> None:
    """A part of what is left at a time, what was overdrawn first; what is given back can be taken again."""
    budget = shards.budget
    budget.set(1.0)
    assert budget.lease(0.0, 0.25) == 0.25
    assert budget.lease(0.15, 0.25) == pytest.approx(0.15 + 0.15)
    budget.give_back(0.05)
    taken = [0.5]
    while taken[-1]:
        taken.append(budget.lease(0.0, 0.25))
    assert sum(taken) == pytest.approx(1.0)
    assert min(each for each in taken if each) >= 1e-9
    assert len(taken) < 40
    assert budget.lease(3.0, 0.25) == 0.0
    assert json.loads((shards.path / "budget.json").read_text(encoding="utf-8"))["left"] == 0.0


def test_workers_keep_the_limits_of_an_endpoint_together(shards: SharedWork) -> None:
    """Calls of one go between those of another, and one that calls nothing leaves all to the others."""
    one, other, judge = shards.timetable("system"), shards.timetable("system"), shards.timetable("judge 1")
    waits = [each.book("requests", 10) for each in (one, other, other, one)]
    assert waits == pytest.approx([0, 10, 20, 30], abs=2)
    assert judge.book("requests", 10) == pytest.approx(0, abs=2)
    assert one.book("tokens", 10) == pytest.approx(0, abs=2)
    other.correct("tokens", -4)
    assert one.book("tokens", 10) == pytest.approx(6, abs=2)


def test_an_endpoint_that_asks_to_wait_gets_nothing_from_any_worker(shards: SharedWork) -> None:
    """What one worker is told (429) holds for all; the other endpoints go on."""
    one, other = shards.timetable("system"), shards.timetable("system")
    Limits(60, timetable=one).heed(turned_away(30), left_s=60)
    assert other.book("requests", 1) == pytest.approx(30, abs=2)
    assert shards.timetable("judge 1").book("requests", 1) == pytest.approx(0, abs=2)
    Limits(60, timetable=one).heed(turned_away(900), left_s=60)
    Limits(60, timetable=one).heed(turned_away(50, status=503), left_s=60)
    assert other.book("requests", 1) == pytest.approx(31, abs=2)


def turned_away(seconds: float, status: int = 429) -> ExchangeFailed:
    """A reply that asks to wait."""
    return ExchangeFailed(f"http_{status}", "later", refusal=StatusReply(status, b"", str(seconds)))


def test_many_processes_change_the_figures_in_turn(shards: SharedWork) -> None:
    """No call passes twice at one moment, whoever is killed while it books."""
    code = "from pathlib import Path\nfrom evalkit.store.shared_limits import SharedTimetable\nimport sys\n"
    code += "t = SharedTimetable(Path(sys.argv[1]), 'system')\nwhile True: t.book('requests', 1); print(flush=True)\n"
    command = [sys.executable, "-c", code, str(shards.path / "limits.json")]
    running = [subprocess.Popen(command, stdout=subprocess.PIPE) for _ in range(3)]
    n_booked = 0
    for each in running:
        assert each.stdout is not None
        n_booked += len([each.stdout.readline() for _ in range(100)])
        each.kill()
        n_booked += len(each.communicate()[0].splitlines())
    waited_s = shards.timetable("system").book("requests", 1)
    assert n_booked - 60 <= waited_s <= n_booked + 3
