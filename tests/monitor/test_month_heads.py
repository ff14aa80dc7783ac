"""A month that is over is sealed: what was taken cannot be altered, added or removed unseen."""

import json
from pathlib import Path

import pytest
from monitor_lab import DAY, MonitorLab, row

from evalkit.errors import StoreError
from evalkit.monitor.month_heads import HEADS, read_heads
from evalkit.operations.monitor_take import rebuild


@pytest.fixture
def lab(tmp_path: Path) -> MonitorLab:
    """Calls of September and October, then of the second of December: two months are sealed."""
    made = MonitorLab(tmp_path)
    made.now += 120 * DAY
    for number, day in enumerate((3, 20, 29, 40, 92)):
        made.log([row(10 * number + i, day * DAY + i) for i in range(5)])
        made.take()
    return made


def test_each_month_that_is_over_has_a_head(lab: MonitorLab) -> None:
    """September and October, not December; another look seals nothing twice, and a rebuild agrees."""
    heads = read_heads(lab.folder)
    assert [(each.month, each.files) for each in heads] == [("2026-09", 3), ("2026-10", 1)]
    lab.take()
    assert rebuild(lab.file) == 5
    assert read_heads(lab.folder) == heads


def test_a_month_is_open_for_28_days(tmp_path: Path) -> None:
    """Labels of the calls of its last day may still come."""
    lab = MonitorLab(tmp_path)
    lab.now += 90 * DAY
    lab.log([row(1, 29.5 * DAY), row(2, 57.9 * DAY)])
    lab.take()
    assert read_heads(lab.folder) == []
    lab.log([row(3, 58.1 * DAY)])
    lab.take()
    assert [each.month for each in read_heads(lab.folder)] == ["2026-09"]


def test_a_batch_that_is_missing_in_a_sealed_month_is_found(lab: MonitorLab) -> None:
    """Its line and its file are gone together, so that nothing else shows it."""
    journal = lab.folder / "batches.jsonl"
    first, *others = journal.read_bytes().splitlines(keepends=True)
    journal.write_bytes(b"".join(others))
    for file in lab.folder.glob("observations/*/00001.parquet"):
        file.unlink()
    assert b'"number": 1,' in first
    with pytest.raises(StoreError, match="the observations of 2026-09 are not those that were sealed"):
        rebuild(lab.file)


def test_an_altered_head_is_found(lab: MonitorLab) -> None:
    """A line is sealed itself."""
    file = lab.folder / HEADS
    lines = file.read_bytes().splitlines(keepends=True)
    file.write_bytes(lines[0].replace(b"2026-09", b"2026-08") + lines[1])
    with pytest.raises(StoreError, match="a line was altered"):
        rebuild(lab.file)
    record = json.loads(lines[0])
    assert "2026-09" in json.dumps(record)
