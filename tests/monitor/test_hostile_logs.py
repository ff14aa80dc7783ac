"""Logs that nobody expects: they are refused or noted with their place, in bounded memory, and never quoted."""

from __future__ import annotations

import os
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any, BinaryIO

import pytest
from monitor_lab import MONITOR, START, MonitorLab, row

from evalkit.disk.files import open_file
from evalkit.errors import InputError
from evalkit.monitor import log_files
from evalkit.operations import monitor_take


def test_a_stream_without_a_line_feed_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Such as /dev/zero: it is not held in memory until it ends."""
    monkeypatch.setattr(log_files, "MAX_LINE_BYTES", 1 << 20)
    with pytest.raises(InputError, match=r"<stdin>:1: a line longer than 1 MiB"):
        MonitorLab(tmp_path).take("-", stdin=b"\0" * (7 << 20))


def test_what_is_no_file_in_a_folder_is_noted_and_the_logs_beside_it_are_read(tmp_path: Path) -> None:
    """A link to itself, a link to nothing, a link to the folder above, a pipe."""
    lab = MonitorLab(tmp_path)
    (lab.logs / "itself.jsonl").symlink_to("itself.jsonl")
    (lab.logs / "gone.jsonl").symlink_to("nothing")
    (lab.logs / "above").symlink_to("..")
    os.mkfifo(lab.logs / "pipe.jsonl")
    lab.log([row(1, 0)])
    taken = lab.take()
    assert taken.n_scored == 1
    said = {Path(note.place).name: note.what for note in taken.notes if note.place.startswith(str(lab.logs))}
    assert said == {
        "above": "a folder inside a folder is not read: name it too",
        "gone.jsonl": "a link that leads nowhere: it is not read",
        "itself.jsonl": "a link that leads nowhere: it is not read",
        "pipe.jsonl": "not a regular file: it is not read",
    }
    with pytest.raises(InputError, match="a named pipe"):
        lab.take(str(lab.logs / "pipe.jsonl"))


def parquet(lab: MonitorLab, columns: dict[str, Any]) -> None:
    """Write two calls with further columns."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    calls = {"id": ["a", "b"], "at": [START, START], "question": ["q", "q"], "answer": ["x", "y"], **columns}
    pq.write_table(pa.table(calls), lab.logs / "a.parquet")


def test_values_of_parquet_that_python_does_not_hold(tmp_path: Path) -> None:
    """A time after the year 9999 refuses its row if it is needed; in other columns it does not matter."""
    import pyarrow as pa

    late = pa.array([1 << 62, int(START * 1e6)], pa.timestamp("us"))
    for name, columns, n in (("at", {"at": late}, 1), ("other", {"other": late}, 2), ("both", {"at": late}, 1)):
        (tmp_path / name).mkdir()
        lab = MonitorLab(tmp_path / name, MONITOR.replace("jsonl", "parquet"))
        parquet(lab, {**columns, "docs": [["a"], ["b"]]})
        taken = lab.take()
        assert taken.n_scored == n
        if n == 1:
            (refused,) = map(str, taken.refused)
            assert "a.parquet row 1: at: not a time; write ISO 8601" in refused


def test_parquet_with_dictionaries_decimals_and_nested_columns(tmp_path: Path) -> None:
    """Amounts of money are often decimals."""
    import pyarrow as pa

    lab = MonitorLab(tmp_path, MONITOR.replace("jsonl", "parquet"))
    parquet(
        lab,
        {
            "at": [datetime.fromtimestamp(START, UTC)] * 2,
            "topic": pa.array(["cards", "loans"]).dictionary_encode(),
            "cost": [Decimal("0.25"), Decimal("0.5")],
            "answer": [{"text": "x", "contexts": ["c"]}, {"text": "y", "contexts": ["d"]}],
            "meta": [{"a": {"b": [1]}}, None],
        },
    )
    assert lab.take().n_scored == 2
    assert sorted(cost for each in lab.observed() for cost in each.metrics["cost_usd"].tolist()) == [0.25, 0.5]


def test_a_damaged_parquet_file_is_refused_by_name_and_the_others_count(tmp_path: Path) -> None:
    """Empty, truncated, of another format, or with rows in the middle that cannot be read; a repaired one counts."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    lab = MonitorLab(tmp_path, MONITOR.replace("jsonl", "parquet"))
    rows = [row(i, i, docs=["a"], topic="cards" if i % 2 else "loans") for i in range(9)]
    for name, own in (("a", rows[:3]), ("b", rows[3:])):
        pq.write_table(pa.Table.from_pylist(own), lab.logs / f"{name}.parquet", row_group_size=2, compression="none")
    whole = (lab.logs / "b.parquet").read_bytes()
    groups = pq.ParquetFile(lab.logs / "b.parquet").metadata
    (answer,) = [at for at in range(groups.num_columns) if groups.row_group(1).column(at).path_in_schema == "answer"]
    column = groups.row_group(1).column(answer)
    start = column.dictionary_page_offset or column.data_page_offset
    holed = whole[:start] + b"\xff" * column.total_compressed_size + whole[start + column.total_compressed_size :]
    (lab.logs / "b.parquet").write_bytes(holed)
    (lab.logs / "c.parquet").touch()
    (lab.logs / "d.parquet").write_bytes(whole[:-9])
    (lab.logs / "e.parquet").write_text("{}\n")
    taken = lab.take()
    assert (taken.n_scored, taken.n_refused, len(lab.ids())) == (7, 5, 7)
    said = sorted(str(each).rpartition("/")[2] for each in taken.refused)
    assert said[0] == "b.parquet rows 3 to 4: damaged; write these calls to a log again"
    assert [each.partition(":")[0] for each in said[1:]] == ["c.parquet", "d.parquet", "e.parquet"]
    assert all(": not Parquet, or damaged; " in each for each in said[1:])
    (lab.logs / "d.parquet").write_bytes(whole)
    assert (again := lab.take()).n_scored == 2
    assert again.n_double == 4


def test_a_log_that_cannot_be_read_does_not_hide_the_others(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is refused by name at every look, for each format and for feedback; its cursor does not move."""

    def denied(path: Path, **options: int) -> BinaryIO:
        if path.name.startswith("b."):
            raise PermissionError(13, "Permission denied", str(path))
        return open_file(path, **options)

    lab = MonitorLab(tmp_path)
    lab.log([row(1, 0)])
    lab.log([row(2, 0)], "b.jsonl")
    (lab.root / "ratings").mkdir()
    lab.log([{"id": "call-1", "at": START, "thumb": "up"}], "../ratings/a.jsonl")
    lab.log([{"id": "call-1", "at": START, "thumb": "up"}], "../ratings/b.jsonl")
    with monkeypatch.context() as broken:
        broken.setattr(log_files, "open_file", denied)
        for n_scored in (1, 0):
            taken = lab.take(feedback=["../ratings"])
            assert (taken.n_scored, taken.n_refused, taken.feedback["refused"]) == (n_scored, 1, 1)
            assert all("b.jsonl: cannot be read: Permission denied; check" in str(each) for each in taken.refused)
    assert lab.take().n_scored == 1


def test_long_rows_are_batched_by_their_bytes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """So that memory does not grow with the length of texts."""
    monkeypatch.setattr(monitor_take, "BATCH_BYTES", 4_000)
    monkeypatch.setattr(log_files, "BLOCK_BYTES", 2_000)
    monkeypatch.setattr(log_files, "_PIECE_BYTES", 2_000)
    lab = MonitorLab(tmp_path)
    lab.log([row(number, number, answer="word " * 200) for number in range(20)])
    assert lab.take().n_scored == 20
    assert len({each.batch for each in lab.observed()}) >= 4


@pytest.mark.parametrize(
    "answer",
    [
        {"text": "x", "SECRET": 1},
        {"text": "x", "usage": {"SECRET": 1}},
        {"text": "x", "tool_calls": [{"SECRET": 1}]},
        {"text": "x", "tool_calls": [{"name": "a", "arguments": "SECRET"}]},
        {"text": "x", "contexts": [{"SECRET": 1}]},
        {"text": "x", "contexts": [{"text": "SECRET", "score": "SECRET"}]},
        {"text": "x", "usage": {"input_tokens": 4111111111111111111}},
        {"text": "x", "messages": [{"role": "tool", "content": "a", "tool_call_id": "SECRET"}]},
        {"text": "x", "latency_s": "SECRET"},
        {"error": {"SECRET": 1}},
    ],
)
def test_a_refused_answer_repeats_no_key_and_no_value(answer: Any, tmp_path: Path) -> None:
    """Keys too may be private: an arguments object may have the name of a customer as one."""
    lab = MonitorLab(tmp_path)
    lab.log([row(1, 0, answer=answer)])
    for refused in map(str, lab.take().refused):
        assert "SECRET" not in refused
        assert "4111" not in refused
        assert "a.jsonl:1: answer" in refused


def test_an_amount_that_is_none_is_named_by_its_column(tmp_path: Path) -> None:
    """The name of the field may be another."""
    lab = MonitorLab(tmp_path)
    lab.log([row(1, 0, seconds=-1), row(2, 0, cost="0.1")])
    found = [str(each).partition("a.jsonl:")[2].partition(";")[0] for each in lab.take().refused]
    assert found == ["1: seconds: expected a finite number of at least 0", "2: cost: expected a number"]
