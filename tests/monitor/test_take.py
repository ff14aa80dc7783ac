"""`take`: each call counts once, whatever happens to the logs; figures, samples and texts are those of the calls."""

import asyncio
import gzip
import json
import os
import random
import shutil
import time
from pathlib import Path
from typing import Any

import pytest
from monitor_lab import DAY, MONITOR, START, MonitorLab, row

from evalkit.errors import InputError, StoreError
from evalkit.monitor.calls import MISSING, cohort_value
from evalkit.monitor.sampled_texts import sampled_rows
from evalkit.monitor.series import Series, Stream, day_of
from evalkit.monitor.store import MonitorStore
from evalkit.operations import monitor_take
from evalkit.operations.monitor_take import TakeRequest, follow, rebuild
from evalkit.testing import FakeModel

FIRST = day_of("2026-09-01")
KEY = {"EVALKIT_CACHE_KEY": "a key of twenty letters"}


def test_rows_become_figures_by_hour_cohort_and_metric(tmp_path: Path) -> None:
    """200 calls, of which 20 failed and 45 answers are too long."""
    lab = MonitorLab(tmp_path)
    rows = []
    for i in range(200):
        failed = {"error": "timeout", "answer": None} if i % 10 == 0 else {}
        long = {"answer": "word " * 20} if i % 4 == 1 else {}
        rows.append(row(i, i * 60.0, **{"topic": ["cards", "loans"][i % 2], "chat": f"s{i}", **long, **failed}))
    lab.log(rows)
    taken = lab.take()
    assert (taken.n_read, taken.n_scored, taken.n_refused, taken.n_double) == (200, 200, 0, 0)
    with Series(lab.folder / "series.sqlite") as series:
        key = next(each.score_key for each in series.streams() if each.metric == "length.passed")
        errors = series.days(Stream("error"))[FIRST].sums
        passed = series.days(Stream("length.passed", "", key))[FIRST].sums
        assert (errors.n, errors.mean) == (200, pytest.approx(0.1))
        too_long = sum(1 for i in range(200) if i % 4 == 1 and i % 10)
        assert (passed.n, passed.mean) == (180, pytest.approx(1 - too_long / 180))
        latency = series.days(Stream("latency_s"))[FIRST]
        assert latency.histogram is not None
        assert latency.histogram.quantile(0.5) == pytest.approx(1.5, rel=0.01)
        assert len(series.hours(Stream("error"))) == 4  # 200 minutes
        own = {each.cohort: series.days(each)[FIRST].sums.n for each in series.streams() if each.metric == "error"}
        assert own == {"": 200, "topic=other": 100, "topic=cards": 50, "topic=loans": 50}  # other until 50 calls
        facts = {each.metric: each for each in series.facts()}
        assert (facts["length.passed"].is_rate, facts["length.passed"].is_judged) == (True, False)
        assert not facts["error"].higher_is_better


def test_the_same_log_is_read_once_and_grows(tmp_path: Path) -> None:
    """Nothing twice, and what was added since; a line that is not whole waits."""
    lab = MonitorLab(tmp_path)
    lab.log([row(i, i) for i in range(5)])
    assert lab.take().n_scored == 5
    assert lab.take().n_read == 0
    with lab.log([row(5, 5)]).open("a", encoding="utf-8") as file:
        text = json.dumps(row(6, 6))
        file.write(text[:20])
    taken = lab.take()
    assert taken.n_scored == 1
    assert "no line feed yet" in taken.notes[0].what
    assert taken.notes[0].place.endswith("a.jsonl:7")
    with (lab.logs / "a.jsonl").open("a", encoding="utf-8") as file:
        file.write(text[20:] + "\n")
    assert lab.take().n_scored == 1
    assert len(set(lab.ids())) == len(lab.ids()) == 7


def test_a_rotated_log_goes_on_under_its_new_name(tmp_path: Path) -> None:
    """A rename keeps the inode; the new file is read from its beginning."""
    lab = MonitorLab(tmp_path)
    old = lab.log([row(i, i) for i in range(3)])
    lab.take()
    lab.log([row(3, 3)])
    old.rename(lab.logs / "a.jsonl.1")
    lab.log([row(4, 4)])
    taken = lab.take()
    assert (taken.n_scored, taken.n_double) == (2, 0)
    assert all("check the name of the column" in note.what for note in taken.notes)


def test_a_copied_and_truncated_log_is_told_apart(tmp_path: Path) -> None:
    """`copytruncate`: the rest is read from the copy, and the log itself from its beginning."""
    lab = MonitorLab(tmp_path)
    log = lab.log([row(i, i) for i in range(3)])
    lab.take()
    lab.log([row(3, 3)])
    shutil.copy(log, lab.logs / "a.jsonl.1")
    with log.open("r+") as file:
        file.truncate(0)
    lab.log([row(4, 4)])
    taken = lab.take()
    assert (taken.n_scored, taken.n_double) == (2, 0)
    said = sorted(note.what for note in taken.notes if "check the name of the column" not in note.what)
    assert said == [
        "a copy of a log that was read up to here",
        "truncated or replaced since it was read: it is read from the beginning",
    ]


def test_what_a_folder_holds_and_is_not_read_is_said(tmp_path: Path) -> None:
    """Lines that were packed between two takes, subfolders and folders without a log; not what was read before."""
    lab = MonitorLab(tmp_path)
    log = lab.log([row(i, i) for i in range(3)])
    lab.take()
    (lab.logs / "read.jsonl.gz").write_bytes(gzip.compress(log.read_bytes()))
    (lab.logs / "other.jsonl.gz").write_bytes(b"not gzip")
    (lab.logs / "empty.jsonl.xz").touch()
    (lab.logs / ".hidden").mkdir()
    (lab.logs / "inside").mkdir()
    lab.log([row(3, 3)])
    (lab.logs / "a b.jsonl.gz").write_bytes(gzip.compress(log.read_bytes()))
    log.unlink()
    taken = lab.take()
    said = {Path(note.place).name: note.what for note in taken.notes}
    assert sorted(said) == ["a b.jsonl.gz", "empty.jsonl.xz", "inside", "logs", "other.jsonl.gz"]
    assert said["logs"] == "a folder without a log: check the path"
    assert said["inside"] == "a folder inside a folder is not read: name it too"
    assert said["a b.jsonl.gz"].startswith("packed, with lines that were not read: run `gzip -dc '")
    assert said["a b.jsonl.gz"].endswith("monitor.yaml -`")
    assert "run `xz -dc " in said["empty.jsonl.xz"]
    assert lab.take("-", stdin=gzip.decompress((lab.logs / "a b.jsonl.gz").read_bytes())).n_scored == 1


def test_a_log_that_was_truncated_and_has_grown_beyond_is_noticed(tmp_path: Path) -> None:
    """The same inode and a larger size, but other bytes before the cursor."""
    lab = MonitorLab(tmp_path)
    log = lab.log([row(i, i) for i in range(3)])
    lab.take()
    with log.open("r+") as file:
        file.truncate(0)
    lab.log([row(i, i) for i in range(10, 20)])
    assert lab.take().n_scored == 10


def test_doubles_are_dropped_within_a_batch_and_a_week(tmp_path: Path) -> None:
    """By id: in one log, in another one, and six days later; two weeks later the id is another call's."""
    lab = MonitorLab(tmp_path)
    lab.now = START + 30 * DAY
    lab.log([row(1, 0), row(1, 5), row(2, 10)])
    taken = lab.take()
    assert (taken.n_scored, taken.n_double, taken.n_read) == (2, 1, 3)
    lab.log([row(2, 20), row(3, 30)], "b.jsonl")
    assert (lab.take().n_double, len(lab.ids())) == (1, 3)
    lab.log([row(3, 6 * DAY), row(4, 6 * DAY)], "c.jsonl")
    assert lab.take().n_double == 1
    lab.log([row(1, 15 * DAY)], "d.jsonl")
    assert lab.take().n_scored == 1


def test_calls_that_come_too_late_are_refused(tmp_path: Path) -> None:
    """48 hours after the newest call of earlier takes; within one take the order of logs is free."""
    lab = MonitorLab(tmp_path)
    lab.now = START + 20 * DAY
    lab.log([row(1, 10 * DAY)])
    lab.log([row(2, 1 * DAY)], "b.jsonl")
    assert lab.take().n_scored == 2
    lab.log([row(3, 8.5 * DAY), row(4, 7.9 * DAY)], "c.jsonl")
    taken = lab.take()
    assert (taken.n_scored, taken.n_refused) == (1, 1)
    assert "48 hours" in str(taken.refused[0])
    assert taken.refused[0].place.endswith("c.jsonl:2")


def test_a_killed_look_goes_on_with_the_limit_that_it_began_with(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The newest log is read first; the older ones are not too late for the process that comes after a kill."""
    monkeypatch.setattr(monitor_take, "BATCH_ROWS", 3)
    lab = MonitorLab(tmp_path)
    lab.now = START + 30 * DAY
    for at, day in enumerate((20, 10, 1)):
        file = lab.log([row(10 * day + i, day * DAY + i) for i in range(3)], f"{day}.jsonl")
        os.utime(file, (START + at, START + at))
    commit = MonitorStore.commit

    def killed(store: MonitorStore, *given: Any) -> None:
        if store.state().last:
            raise KeyboardInterrupt
        commit(store, *given)

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(MonitorStore, "commit", killed)
        lab.take()
    assert len(lab.ids()) == 3
    before = lab.dumped()
    rebuild(lab.file)
    assert lab.dumped() == before
    taken = lab.take()
    assert (taken.n_scored, taken.n_refused) == (6, 0)
    lab.log([row(500, 1 * DAY)], "late.jsonl")
    assert lab.take().n_refused == 1  # the look has ended


def test_refused_lines_are_named_and_repeat_no_value(tmp_path: Path) -> None:
    """File, line, fault and fix; read = scored + refused + double."""
    lab = MonitorLab(tmp_path)
    private = "my card is 4111"
    lab.log(
        [
            "{broken",
            "[1, 2]",
            {**row(1, 0), "id": None},
            {**row(2, 0), "at": "yesterday"},
            row(3, 40 * DAY),
            row(4, 0, question={"secret": private}),
            row(5, 0, answer=None),
            row(6, 0, answer={"text": [private]}),
            row(7, 0, seconds=-1),
            row(8, 0, docs=[{"x": private}]),
            row(9, 0, thumb=private),
            row(10, 0, steps=1.5),
            "",
            row(11, 0),
        ]
    )
    taken = lab.take()
    assert (taken.n_read, taken.n_scored, taken.n_refused) == (13, 1, 12)
    assert not taken.is_enough
    shown = [str(each).partition("a.jsonl:")[2] for each in taken.refused]
    assert [line.partition(":")[0] for line in shown] == [str(n) for n in range(1, 13)]
    assert private not in "".join(shown)
    assert shown[0] == "1: not JSON; write one JSON object a line, in UTF-8"
    assert shown[2] == "3: id: missing; name the column of the id under `logs: {id: ...}`"
    assert shown[3].startswith("4: at: not a time; write ISO 8601 such as")
    assert all("; " in line for line in shown)


def test_an_empty_error_is_not_an_error(tmp_path: Path) -> None:
    """Zero, false and empty values are calls that answered; texts, true and objects failed; the rest is refused."""
    lab = MonitorLab(tmp_path)
    none = [0, 0.0, False, "", [], {}, None]
    failed: list[Any] = ["timeout", True, {"code": 5}]
    lab.log([row(i, i, error=error) for i, error in enumerate([*none, *failed, 500, 1.5, ["timeout"]])])
    taken = lab.take()
    assert (taken.n_scored, taken.n_refused) == (10, 3)
    fix = "error: not a text, boolean or object; write the message of the error, or null if there is none"
    assert all(str(each).endswith(fix) for each in taken.refused)
    with Series(lab.folder / "series.sqlite") as series:
        errors = series.days(Stream("error"))[FIRST].sums
    assert (errors.n, errors.mean) == (10, pytest.approx(0.3))


def test_numbers_are_values_of_a_cohort_and_absent_columns_are_said(tmp_path: Path) -> None:
    """1.5 is text, NaN is missing; a column that no row has is named, but not those of errors and ratings."""
    text = MONITOR.replace("[topic]", "{topic: topic, tier: teir}")
    lab = MonitorLab(tmp_path, text)
    lab.log([row(i, i, topic=1.5, docs=["a"], chat="s", cost=0.1) for i in range(60)])
    taken = lab.take()
    what = "no row of this look has a value that can be used: check the name of the column"
    assert [(note.place, note.what) for note in taken.notes] == [
        ("shop cohorts: {tier: teir}", what),
        ("shop logs: {steps: steps}", what),
    ]
    with Series(lab.folder / "series.sqlite") as series:
        assert "topic=1.5" in {each.cohort for each in series.streams()}
    assert lab.take().notes == ()
    assert cohort_value(float("nan")) == cohort_value(float("inf")) == MISSING


def test_a_byte_order_mark_is_not_part_of_the_first_call(tmp_path: Path) -> None:
    """Of a file and of standard input, and only there; the next look goes on after the line."""
    lab = MonitorLab(tmp_path)
    lab.log(["\ufeff" + json.dumps(row(0, 0)), row(1, 1)])
    taken = lab.take()
    assert (taken.n_scored, taken.n_refused) == (2, 0)
    lab.log([row(2, 2), "\ufeff" + json.dumps(row(3, 3))])
    taken = lab.take()
    assert (taken.n_scored, taken.n_refused) == (1, 1)
    assert lab.take("-", stdin=b"\xef\xbb\xbf" + json.dumps(row(4, 4)).encode()).n_scored == 1


def test_many_refused_lines_are_counted_and_the_first_shown(tmp_path: Path) -> None:
    """20 are shown of 1,000."""
    lab = MonitorLab(tmp_path)
    lab.log(["x"] * 1_000)
    taken = lab.take()
    assert (taken.n_refused, len(taken.refused)) == (1_000, 20)


def test_a_session_is_drawn_as_a_whole_and_pi_is_stored(tmp_path: Path) -> None:
    """With 2,000 calls in sessions of 4: all calls of a drawn session with its pi, weights near the day's number."""
    lab = MonitorLab(tmp_path, MONITOR + "sample: {per_day: 200, floor: 10, most: 0.5}\n")
    lab.log([row(i, i * 40.0, chat=f"s{i // 4}") for i in range(2_000)])
    lab.take()
    (found,) = lab.observed()
    later = found.at >= (START + 200 * 40) * 1_000_000  # after the first 50, of which all are drawn
    by_unit: dict[int, set[bool]] = {}
    for unit, drawn in zip(found.units[later].tolist(), found.drawn[later].tolist(), strict=True):
        by_unit.setdefault(unit, set()).add(drawn)
    assert all(len(each) == 1 for each in by_unit.values())
    assert found.pi[later].tolist() == pytest.approx([0.1] * int(later.sum()), rel=0.1)
    assert float((found.drawn / found.pi).sum()) == pytest.approx(2_000, rel=0.35)
    assert found.drawn[:50].all()


def test_texts_of_the_sample_are_kept_for_some_days(tmp_path: Path) -> None:
    """Question, answer, contexts and cohorts, no other column; deleted after `keep.days`; figures stay."""
    lab = MonitorLab(tmp_path, MONITOR + "keep: {days: 5}\n")
    lab.log([row(i, i * 60, docs=["a doc"], user="Eve") for i in range(10)])
    lab.take()
    rows = list(sampled_rows(lab.folder, [FIRST]))
    assert len(rows) == 10
    assert (rows[3].case.input, rows[3].case.contexts, rows[3].case.cohorts) == (
        "What is 3?",
        ("a doc",),
        {"topic": "other"},
    )
    assert rows[3].case.fields == {"at": START + 180, "pi": 1.0, "batch": 1}
    assert rows[3].scores["length"].passed  # type: ignore[union-attr]
    lab.now += 10 * DAY
    assert lab.take().n_forgotten == 1
    assert list(sampled_rows(lab.folder, [FIRST])) == []
    assert len(lab.ids()) == 10


def test_text_keys_and_personal_data_are_not_stored(tmp_path: Path) -> None:
    """Only texts of the sample are, without the values of secret variables; `keep: {text: none}` keeps none."""
    planted = [
        "PLANTED-QUESTION",
        "PLANTED-ANSWER",
        "PLANTED-DOC",
        "eve@example.org",
        "sk-planted-key-123456",
        "chat-of-eve",
        "call-of-eve",
    ]
    lab = MonitorLab(tmp_path, MONITOR + "sample: {per_day: 1, floor: 1, most: 0.001}\n")
    rows = [row(i, i * 10.0) for i in range(3_000)]
    for at in range(100, 3_000):
        rows[at] |= {"question": planted[0], "answer": planted[1], "docs": [planted[2]], "email": planted[3]}
        rows[at] |= {"key": planted[4], "chat": planted[5], "id": f"{planted[6]}-{at}", "error": None}
        rows[at] |= {"topic": planted[3] if at == 101 else "cards"}
    lab.log([*rows, row(9_000, 0, question=[planted[3]]), "{" + planted[4]])
    taken = lab.take()
    assert taken.n_sampled < 100
    kept = sum(b"PLANTED-QUESTION" in file.read_bytes() for file in lab.folder.rglob("rows.jsonl"))
    assert kept <= 1
    written = lab.written()
    import pyarrow.parquet as pq

    tables = repr([pq.read_table(file, partitioning=None).to_pydict() for file in lab.folder.rglob("*.parquet")])
    for text in planted:
        assert text.encode() not in written
        assert text not in tables
        assert text not in repr(lab.dumped())


def test_secrets_of_the_environment_are_redacted_in_kept_texts(tmp_path: Path) -> None:
    """As in the rows of a run."""
    lab = MonitorLab(tmp_path)
    lab.log([row(1, 0, answer="The key is hunter2-hunter2-hunter2.")])
    lab.take(env={"MY_API_KEY": "hunter2-hunter2-hunter2"})
    (text,) = [file.read_text(encoding="utf-8") for file in lab.folder.rglob("rows.jsonl")]
    assert "hunter2" not in text
    none = MonitorLab(tmp_path, MONITOR.replace("shop", "other") + "keep: {text: none}\n")
    none.take()
    assert not (tmp_path / "monitors" / "other" / "sampled").exists()


@pytest.mark.parametrize("id", ["\x1b[31mjoe", "a\nb", "a\u202eb", "a\x00"])
def test_an_id_that_cannot_be_printed_is_refused(tmp_path: Path, id: str) -> None:
    """It would reach the terminal of whoever reads the calls that failed."""
    lab = MonitorLab(tmp_path)
    lab.log([row(1, 0), row(2, 1) | {"id": id}])
    taken = lab.take()
    (refused,) = map(str, taken.refused)
    assert "id: characters that cannot be printed; write the id without them" in refused


def test_rebuild_makes_equal_series(tmp_path: Path) -> None:
    """From the observations alone: every table with the same content, and takes go on where they were."""
    lab = MonitorLab(tmp_path, MONITOR + "sample: {suspects: 0.5}\n")
    rng = random.Random(3)
    for part in range(4):
        rows = [
            row(part * 100 + i, part * DAY / 3 + i * 300, seconds=rng.random(), chat=f"s{i // 3}") for i in range(100)
        ]
        lab.log([{**each, "topic": rng.choice("ab"), "thumb": rng.choice(["up", "down", None])} for each in rows])
        lab.take()
    before = lab.dumped()
    assert rebuild(lab.file) == 4
    assert lab.dumped() == before
    for file in ("series.sqlite", "series.sqlite-wal", "series.sqlite-shm"):
        (lab.folder / file).unlink(missing_ok=True)
    assert lab.take().n_read == 0  # a lost file is made again by the next take
    assert lab.dumped() == before


def test_altered_observations_and_a_cut_journal_are_noticed(tmp_path: Path) -> None:
    """`take --rebuild` names the file; it never counts what was altered."""
    lab = MonitorLab(tmp_path)
    lab.log([row(i, i) for i in range(5)])
    lab.take()
    (file,) = lab.folder.rglob("*.parquet")
    file.write_bytes(file.read_bytes()[:-20])
    with pytest.raises(StoreError, match="altered"):
        rebuild(lab.file)
    journal = lab.folder / "batches.jsonl"
    journal.write_bytes(journal.read_bytes().replace(b"scored", b"scorex"))
    with pytest.raises(StoreError, match="altered"):
        rebuild(lab.file)
    journal.write_bytes(b"")
    lab.take()  # nothing is known any more, so that everything is taken anew
    assert len(set(lab.ids())) == 5


@pytest.mark.parametrize("damage", ["delete a file", "delete all", "cut", "empty", "overwrite"])
def test_deleted_and_damaged_ids_are_noticed(tmp_path: Path, damage: str) -> None:
    """The next take names the file and `--rebuild`, which helps, and counts nothing twice."""
    lab = MonitorLab(tmp_path)
    for part in range(2):
        lab.log([row(10 * part + i, i) for i in range(9)])
        lab.take()
    file = lab.folder / "ids" / "day=2026-09-01" / "00001.ids"
    if damage == "delete all":
        shutil.rmtree(lab.folder / "ids")
    elif damage == "delete a file":
        file.unlink()
    else:
        good = file.read_bytes()
        file.write_bytes({"cut": good[:-3], "empty": b"", "overwrite": good[::-1]}[damage])
    data = json.dumps(row(0, 0)).encode()
    with pytest.raises(StoreError, match=r"day=2026-09-01.*`evalkit monitor take MONITOR\.yaml --rebuild`"):
        lab.take("-", stdin=data)
    assert rebuild(lab.file) == 2
    assert lab.take("-", stdin=data).n_double == 1


def test_ids_that_were_merged_or_forgotten_are_not_missed(tmp_path: Path) -> None:
    """30 batches of a day, and ten days later none of its ids."""
    lab = MonitorLab(tmp_path)
    lab.now = START + 30 * DAY
    for at in (*range(30), 12 * DAY, 13 * DAY):
        lab.log([row(int(at) + 100, at)])
        assert lab.take().n_scored == 1
    assert lab.take().n_read == 0
    assert not (lab.folder / "ids" / "day=2026-09-01").exists()


def test_a_judge_grades_the_sample_within_its_budget(tmp_path: Path) -> None:
    """Rules grade all, the judge the drawn calls; a second look asks nothing again; no money, no verdict."""
    judged = """\
judge: {chat: {model: toy, base_url: "URL", prices: {input_usd_per_million: 1000, output_usd_per_million: 1000}}}
sample: {per_day: 40, floor: 1, most: 0.5, budget_usd_per_day: BUDGET}
"""
    text = MONITOR.replace("scorers: [", "scorers: [{judge: {rubric: tone}}, ").replace("cohorts: [topic]\n", "")
    with FakeModel(usage={"prompt_tokens": 10, "completion_tokens": 5}) as model:
        more = judged.replace("URL", model.base_url)
        lab = MonitorLab(tmp_path, text + more.replace("BUDGET", "100"))
        lab.log([row(i, i * 80.0) for i in range(1_000)])
        taken = lab.take(env=KEY)
        assert 20 < taken.n_judged == taken.n_sampled < 80
        assert taken.spent_usd == pytest.approx(0.015 * taken.n_judged)
        asked = len(model.requests)
        assert asked == taken.n_judged
        (found,) = lab.observed()
        names = [name for name in found.metrics if name.startswith("judge") and name.endswith(".scored")]
        assert names
        with Series(lab.folder / "series.sqlite") as series:
            (stream,) = [each for each in series.streams() if each.metric == names[0]]
            sums = series.days(stream)[FIRST].sums
            assert (sums.n, sums.mean) == (taken.n_judged, 1.0)
            assert sums.w == pytest.approx(1_000, rel=0.5)
            assert stream.score_key
        assert lab.take(env=KEY).n_judged == 0
        shutil.rmtree(lab.folder)
        lab.file.write_text(text + more.replace("BUDGET", "0.1"), encoding="utf-8")
        assert lab.take(env=KEY).n_judged == taken.n_judged  # replies of the first time are cached, and cost nothing
        assert len(model.requests) == asked


def test_beyond_the_budget_calls_are_unscored_not_guessed(tmp_path: Path) -> None:
    """The cap ends questions, and coverage says so."""
    text = MONITOR.replace("scorers: [", "scorers: [{judge: {rubric: tone}}, ").replace("cohorts: [topic]\n", "")
    with FakeModel(usage={"prompt_tokens": 10, "completion_tokens": 5}) as model:
        price = "prices: {input_usd_per_million: 1000, output_usd_per_million: 1000}"
        text += f'judge: {{chat: {{model: toy, base_url: "{model.base_url}", {price}}}}}\nconcurrency: 1\n'
        lab = MonitorLab(tmp_path, text + "sample: {most: 1, budget_usd_per_day: 0.1}\n")
        lab.log([row(i, i * 80.0) for i in range(30)])
        taken = lab.take()
        assert taken.spent_usd == pytest.approx(0.105)
        assert (
            taken.unjudged.message
            == "budget of $0.1 reached after $0.105; raise `budget_usd_per_day` for further calls"
        )
        assert len(model.requests) == 7
        with Series(lab.folder / "series.sqlite") as series:
            (stream,) = [each for each in series.streams() if each.metric == "judge.scored"]
            assert series.days(stream)[FIRST].sums.mean == pytest.approx(7 / 30)


def test_standard_input_is_read_without_a_cursor(tmp_path: Path) -> None:
    """The last line counts also without a line feed; a second time all are doubles."""
    lab = MonitorLab(tmp_path)
    data = "\n".join(json.dumps(row(i, i)) for i in range(3)).encode()
    assert lab.take("-", stdin=data).n_scored == 3
    assert lab.take("-", stdin=data).n_double == 3


def test_parquet_is_read_once_row_by_row(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Times as timestamps, lists as contexts; a replaced file is read anew, and its doubles dropped."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    lab = MonitorLab(tmp_path, MONITOR.replace("jsonl", "parquet"))
    rows = [
        {**row(i, i), "docs": ["a"], "at": pa.scalar(int(START + i), pa.timestamp("s", "UTC")).as_py()}
        for i in range(50)
    ]
    pq.write_table(pa.Table.from_pylist(rows), lab.logs / "a.parquet")
    monkeypatch.setattr("evalkit.monitor.call_source.PARQUET_ROWS", 20)
    assert lab.take().n_scored == 50
    assert lab.take().n_read == 0
    pq.write_table(pa.Table.from_pylist([*rows, {**rows[0], "id": "new"}]), lab.logs / "a.parquet")
    taken = lab.take()
    assert (taken.n_scored, taken.n_double) == (1, 50)


def test_every_problem_is_reported_before_anything_is_written(tmp_path: Path) -> None:
    """Of the monitor and of the logs, and of scorers that need what logs do not hold."""
    lab = MonitorLab(tmp_path, "name: shop\nlogs: {format: jsonl}\nsampel: 1\n")
    with pytest.raises(InputError) as caught:
        lab.take("none.jsonl", str(lab.file), "a.gz")
    said = str(caught.value)
    assert "sampel: unknown key" in said
    assert "none.jsonl: no such file or folder" in said
    lab.file.write_text(MONITOR.replace("length: {max: 12}", "exact: {}"), encoding="utf-8")
    with pytest.raises(InputError, match=r"monitor.yaml:5:\d+ scorers\[0\]: exact needs a reference"):
        lab.take()
    assert not lab.folder.exists()
    lab.file.write_text(
        MONITOR.replace("length: {max: 12}", "facts: {}").replace("contexts: docs, ", ""), encoding="utf-8"
    )
    with pytest.raises(InputError, match=r"scorers\[0\]: facts looks facts up in contexts; name their column: `logs:"):
        lab.take()
    packed = lab.logs / "x.jsonl.gz"
    packed.touch()
    with pytest.raises(InputError, match=r"gzip -dc \S+ \| evalkit monitor take \S*monitor.yaml -"):
        lab.take(str(packed))


def test_two_processes_do_not_take_at_once(tmp_path: Path) -> None:
    """The second is told; the lock ends with the first."""
    from evalkit.monitor.store import MonitorStore

    lab = MonitorLab(tmp_path)
    lab.log([row(1, 0)])
    with MonitorStore(lab.folder), pytest.raises(InputError, match="another process takes"):
        lab.take()
    assert lab.take().n_scored == 1


def test_follow_looks_again_until_told_to_end(tmp_path: Path) -> None:
    """Each look takes what is new."""
    lab = MonitorLab(tmp_path)
    looks = []
    lab.log([row(0, 0)])

    async def within(seconds: float) -> bool:
        lab.log([row(len(looks), len(looks))])
        return len(looks) == 3

    request = TakeRequest(file=lab.file, logs=[str(lab.logs)], env={}, now=lambda: lab.now)
    asyncio.run(follow(request, within, 0.01, looks.append))
    assert [each.n_scored for each in looks] == [1, 1, 1]


def test_batches_of_any_size_give_the_same_figures(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Sums of the log's own figures do not depend on how the log was cut."""
    totals = []
    for size, block in ((10, 300), (10_000, 1 << 20)):
        folder = tmp_path / str(size)
        folder.mkdir()
        lab = MonitorLab(folder)
        monkeypatch.setattr(monitor_take, "BATCH_ROWS", size)
        monkeypatch.setattr("evalkit.monitor.log_files.BLOCK_BYTES", block)
        monkeypatch.setattr("evalkit.monitor.log_files._PIECE_BYTES", block)
        lab.log([row(i, i * 60, topic="ab"[i % 2]) for i in range(300)])
        assert lab.take().n_scored == 300
        with Series(lab.folder / "series.sqlite") as series:
            totals.append(
                {
                    each: (series.days(each)[FIRST].sums.n, series.days(each)[FIRST].sums.wy)
                    for each in series.streams()
                    if each.metric != "length.passed"
                }
            )
    assert totals[0] == totals[1]


def test_ids_of_a_day_are_merged_into_one_file(tmp_path: Path) -> None:
    """40 takes leave few files, and every id is still known."""
    lab = MonitorLab(tmp_path)
    for i in range(40):
        lab.log([row(i, i)])
        lab.take()
    assert len(list(lab.folder.rglob("*.ids"))) < 26
    lab.log([row(i, i) for i in reversed(range(40))], "again.jsonl")
    assert lab.take().n_double == 40


def test_a_million_units_take_little_time(tmp_path: Path) -> None:
    """The draw itself: well below a second for 100,000 hashes."""
    from evalkit.monitor.calls import hash64
    from evalkit.monitor.sampling import is_drawn

    started = time.process_time()
    drawn = sum(is_drawn(hash64(b"salt", str(i)), 0.01) for i in range(100_000))
    assert 850 < drawn < 1_150
    assert time.process_time() - started < 5
