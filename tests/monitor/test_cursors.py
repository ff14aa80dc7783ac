"""How far each log was read: found at once among many, kept while the log is there, and said once."""

from __future__ import annotations

import asyncio
import os
import shutil
import sqlite3
from pathlib import Path

import pytest
from monitor_lab import DAY, MONITOR, MonitorLab, row
from test_trace_source import TEXT, line, reply, root, trace

from evalkit.errors import StoreError
from evalkit.monitor import cursors, trace_source
from evalkit.monitor.store import MonitorStore
from evalkit.operations.monitor_take import TakenCalls, TakeRequest, follow, rebuild


def cursors_of(lab: MonitorLab) -> int:
    """Number of cursors that the store holds."""
    with MonitorStore(lab.folder) as store:
        return len(store.state().cursors)


def test_each_log_is_looked_up_without_looking_at_the_others(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A first take and an empty look read the ends of each file a few times, however many files there are."""
    read = []
    pread = os.pread
    monkeypatch.setattr(cursors.os, "pread", lambda *given: read.append(1) or pread(*given))
    lab = MonitorLab(tmp_path)
    for number in range(120):
        lab.log([row(number, number, answer="word " * 1_000)], f"{number}.jsonl")
    assert lab.take().n_scored == 120
    first = len(read)
    assert lab.take().n_read == 0
    assert first < 8 * 120
    assert len(read) - first < 4 * 120


def test_many_small_logs_of_traces_are_settled_together(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Traces that wait are not read again for each further file, and every file has its cursor."""
    lab = MonitorLab(tmp_path, TEXT)
    lab.now = 1_700_000_000.0 + 3_600
    settled = []
    own = trace_source.read_spans
    monkeypatch.setattr(trace_source, "read_spans", lambda sources: settled.append(len(sources)) or own(sources))
    for number in range(1, 61):
        file = lab.log([line(reply(number), root(number))], f"{number}.jsonl")
        os.utime(file, (lab.now - 3_600, lab.now - 3_600))
    assert lab.take().n_scored == 60
    assert settled == [60]
    assert cursors_of(lab) == 60
    assert lab.take().n_read == 0
    assert trace(1) not in lab.dumped()["state"][0]


def test_the_cursor_of_a_log_that_is_gone_is_dropped_after_a_month(tmp_path: Path) -> None:
    """That of a log that is still there is kept, however long it has not grown."""
    lab = MonitorLab(tmp_path)
    lab.log([row(1, 0)], "old.jsonl")
    gone = lab.log([row(2, 0)], "gone.jsonl")
    assert lab.take().n_scored == 2
    gone.unlink()
    for days, kept in ((1, 2), (29, 2), (31, 1), (400, 1)):
        lab.now += days * DAY
        lab.take()
        assert cursors_of(lab) == kept, days
    assert lab.take().n_read == 0


def test_a_copy_that_was_read_to_its_end_is_not_read_again(tmp_path: Path) -> None:
    """Also once the log itself was truncated, so that no other cursor tells."""
    for kind in ("jsonl", "parquet"):
        (tmp_path / kind).mkdir()
        lab = MonitorLab(tmp_path / kind, MONITOR.replace("jsonl", kind))
        log = lab.logs / f"a.{kind}"
        if kind == "jsonl":
            lab.log([row(i, i) for i in range(3)])
        else:
            import pyarrow as pa
            import pyarrow.parquet as pq

            pq.write_table(pa.Table.from_pylist([{**row(i, i), "docs": ["a"]} for i in range(3)]), log)
        assert lab.take().n_scored == 3
        shutil.copy(log, lab.logs / "b.old")
        assert lab.take().n_read == 0
        log.unlink()
        assert lab.take().n_read == 0
        assert cursors_of(lab) == 2


def test_follow_goes_on_while_a_log_is_rotated(tmp_path: Path) -> None:
    """A named log is not there for a while, and comes back as another file."""
    lab = MonitorLab(tmp_path)
    looks: list[TakenCalls] = []
    log = lab.log([row(0, 0)])

    async def within(seconds: float) -> bool:
        if len(looks) == 1:
            log.rename(log.with_suffix(".1"))
        if len(looks) == 2:
            lab.log([row(1, 1)])
        return len(looks) == 3

    request = TakeRequest(file=lab.file, logs=[str(log)], env={}, now=lambda: lab.now)
    asyncio.run(follow(request, within, 0.01, looks.append))
    assert [each.n_scored for each in looks] == [1, 0, 1]
    assert [note.what for note in looks[1].notes] == ["not there any more: it is read when it is back"]


def test_follow_says_a_note_once_until_it_changes(tmp_path: Path) -> None:
    """A folder inside the folder, and later a packed file."""
    lab = MonitorLab(tmp_path)
    looks: list[TakenCalls] = []
    (lab.logs / "inside").mkdir()
    lab.log([row(0, 0, chat="s", docs=["a"], cost=1.0, steps=1)])

    async def within(seconds: float) -> bool:
        if len(looks) == 2:
            (lab.logs / "b.jsonl.zst").touch()
        return len(looks) == 4

    request = TakeRequest(file=lab.file, logs=[str(lab.logs)], env={}, now=lambda: lab.now)
    asyncio.run(follow(request, within, 0.01, looks.append))
    said = [[Path(note.place).name for note in each.notes] for each in looks]
    assert said == [["inside"], [], ["b.jsonl.zst"], []]


def test_a_damaged_cursor_is_said_with_the_command_that_mends_it(tmp_path: Path) -> None:
    """Not a traceback; the journal holds it too."""
    lab = MonitorLab(tmp_path)
    lab.log([row(1, 0)])
    assert lab.take().n_scored == 1
    with sqlite3.connect(lab.folder / "series.sqlite") as database:
        database.execute("UPDATE state SET value = '{' WHERE name LIKE 'cursor %'")
    database.close()
    with pytest.raises(StoreError, match=r"series\.sqlite: damaged.*`evalkit monitor take --rebuild`"):
        lab.take()
    assert rebuild(lab.file) == 1
    assert lab.take().n_read == 0
