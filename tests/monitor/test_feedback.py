"""Ratings and labels that come after the calls: counted once, in the cohorts of their calls, as streams."""

import datetime
import json
from pathlib import Path

import numpy as np
import pytest
from monitor_lab import DAY, MONITOR, START, MonitorLab, row

from evalkit.errors import InputError, Problem, StoreError
from evalkit.monitor.series import SERIES, Series, Stream
from evalkit.monitor.streams import FALSE_BLOCK, RATED, known_facts, read_days
from evalkit.operations.monitor_take import rebuild
from suites.compliance.traffic import Traffic, otlp_export
from suites.compliance.traffic import days_of as traffic_days

PRIVATE = "my account number is 4711"


def said(number: int, at: float, **more: object) -> dict[str, object]:
    """A line of feedback about a call."""
    return {"id": f"call-{number}", "at": START + at, **more}


def counts(counted: int = 0, double: int = 0, refused: int = 0, waiting: int = 0) -> dict[str, int]:
    """What a look says about feedback."""
    return {"counted": counted, "double": double, "refused": refused, "waiting": waiting}


@pytest.fixture
def lab(tmp_path: Path) -> MonitorLab:
    """120 calls of topic cards, and ten ratings of them the next day."""
    made = MonitorLab(tmp_path, MONITOR.replace("thumb: thumb, ", ""))
    made.now += DAY
    made.log([row(i, i * 60) for i in range(120)])
    ratings = [said(i, DAY + i, thumb="down" if i % 5 == 0 else "up", text=PRIVATE) for i in range(100, 110)]
    made.log(ratings, "../ratings.jsonl")
    return made


def days_of(lab: MonitorLab, metric: str, cohort: str = "") -> dict[int, tuple[int, float]]:
    """Day from the first -> number of values and their sum."""
    with Series(lab.folder / SERIES) as series:
        cells = series.days(Stream(metric, cohort))
    return {day - int(START // DAY): (each.sums.n, each.sums.wy) for day, each in cells.items()}


def test_a_rating_counts_once_on_its_own_day(lab: MonitorLab) -> None:
    """Of the call's cohort; a second look, a copy and a changed mind count nothing; calls stay calls."""
    assert lab.take(feedback=["../ratings.jsonl"]).feedback == counts(10)
    assert days_of(lab, "thumbs_down") == {1: (10, 2.0)}
    assert days_of(lab, "thumbs_down", "topic=cards") == {1: (10, 2.0)}
    assert lab.take(feedback=["../ratings.jsonl"]).feedback == counts()
    lab.log([said(100, DAY + 900, thumb="up"), said(101, DAY + 901, thumb="down")], "../more.jsonl")
    assert lab.take(feedback=["../more.jsonl"]).feedback == counts(double=2)
    with Series(lab.folder / SERIES) as series:
        assert sum(series.strata(0, 30_000).values()) == 120
        by_day = read_days(series, {}, int(START // DAY), int(START // DAY) + 3)
        assert (RATED, "") in known_facts(series, {})
    assert [sums.mean for sums in by_day[Stream(RATED)].values()] == [0.0]


def test_a_rating_counts_in_the_week_after_its_call_whatever_its_neighbours_say(lab: MonitorLab) -> None:
    """The call of the third day opens no window for the call of the first."""
    lab.take(feedback=["../ratings.jsonl"])
    lab.now += 9 * DAY
    lab.log([row(900, 3 * DAY)])
    lab.take()
    lab.log([said(900, 3 * DAY + 60, thumb="up"), said(100, 9 * DAY, thumb="down")], "../late.jsonl")
    late = lab.take(feedback=["../late.jsonl"])
    assert late.feedback == counts(1, refused=1)
    assert "a rating more than 7 days after its call" in str(late.refused[0])


def test_each_kind_of_feedback_counts_once_a_call(lab: MonitorLab) -> None:
    """A label and a rating are two things, also of one line; a rating that came with the call is the first."""
    lab.take()
    lab.log([said(1, 60, good=True, action="block", thumb="down"), said(1, 61, thumb="up")], "../both.jsonl")
    assert lab.take(feedback=["../both.jsonl"]).feedback == counts(2, double=1)
    lab.file.write_text(MONITOR, encoding="utf-8")
    lab.log([row(800, DAY, thumb="up")])
    lab.log([said(800, DAY + 9, thumb="down"), said(800, DAY + 9, good=True, action="pass")], "../more.jsonl")
    assert lab.take(feedback=["../more.jsonl"]).feedback == counts(1, double=1)
    assert days_of(lab, "thumbs_down") == {0: (1, 1.0), 1: (1, 0.0)}


def test_a_label_counts_on_the_day_of_its_call_whenever_it_comes(lab: MonitorLab) -> None:
    """Up to four weeks later, in one file for a month, also over the end of a month; later it is refused."""
    lab.take()
    lab.now += 100 * DAY
    lab.log([row(900, 27 * DAY), row(901, 30.5 * DAY)])
    lab.take()
    labels = [said(i, 20 * DAY, good=True, action="block") for i in (1, 2)]
    lab.log([*labels, said(901, 33 * DAY, good=False, action="pass")], "../labels.jsonl")
    lab.log([row(902, 27.5 * DAY + 5 * DAY)])
    assert lab.take(feedback=["../labels.jsonl"]).feedback == counts(1, refused=2)
    assert days_of(lab, "delivered_bad") == {30: (1, 1.0)}
    lab.log([said(900, 30 * DAY, good=True, action="block")], "../labels.jsonl")
    assert lab.take(feedback=["../labels.jsonl"]).feedback == counts(1)
    assert days_of(lab, "blocked_good") == {27: (1, 1.0)}
    lab.log([said(901, 70 * DAY, good=True, action="block")], "../labels.jsonl")
    assert lab.take(feedback=["../labels.jsonl"]).feedback == counts(waiting=1)
    assert rebuild(lab.file)


def test_a_backlog_of_calls_and_labels_is_taken_in_one_look(lab: MonitorLab) -> None:
    """No label is too old then: nothing was sealed before."""
    lab.now += 100 * DAY
    lab.log([row(900, 90 * DAY)])
    lab.log([said(1, DAY, good=True, action="block")], "../labels.jsonl")
    assert lab.take(feedback=["../labels.jsonl"]).feedback == counts(1)
    assert lab.take(feedback=["../labels.jsonl"]).feedback == counts()


def test_feedback_that_comes_before_its_call_waits_for_it(lab: MonitorLab) -> None:
    """For 48 hours, whichever command takes the call; then it is refused with its place, and the look says so."""
    lab.take()
    early = [said(number, 9 * 3600, thumb="down", text=PRIVATE) for number in (700, 701, 700)]
    lab.log(early, "../early.jsonl")
    assert lab.take(feedback=["../early.jsonl"]).feedback == counts(double=1, waiting=2)
    assert PRIVATE.encode() not in lab.written()
    (lab.logs / "../early.jsonl").unlink()
    assert lab.take().feedback == counts(waiting=2)
    lab.log([row(700, 8 * 3600)])
    lab.now += 47 * 3600
    assert lab.take().feedback == counts(1, waiting=1)
    assert days_of(lab, "thumbs_down") == {0: (1, 1.0)}
    lab.now += 2 * 3600
    ended = lab.take()
    assert (ended.feedback, ended.is_enough) == (counts(refused=1), False)
    assert "early.jsonl:2: no call of the 7 days before" in str(ended.refused[0])
    assert lab.take().feedback == {}


def test_no_waiting_feedback_is_lost_if_a_look_is_killed(lab: MonitorLab, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is on disk before the cursor counts; what counted before a kill counts once."""
    lab.take()
    lab.log([said(700, 9 * 3600, thumb="down")], "../early.jsonl")
    lab.take(feedback=["../early.jsonl"])
    lab.log([row(700, 8 * 3600)])

    def killed(folder: Path, waiting: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as broken, pytest.raises(KeyboardInterrupt):
        broken.setattr("evalkit.operations.monitor_feedback.write_waiting", killed)
        lab.take()
    assert lab.take().feedback == counts(1)
    (lab.folder / "waiting.jsonl").write_bytes(b"{}\n")
    with pytest.raises(StoreError, match=r"waiting\.jsonl: a line was altered"):
        lab.take()


def test_a_rating_is_not_the_newest_call(lab: MonitorLab) -> None:
    """If the calls stop, ratings of old ones do not hide it."""
    lab.take(feedback=["../ratings.jsonl"])
    with Series(lab.folder / SERIES) as series:
        assert series.newest_hour() == int(START // 3600) + 1


def test_feedback_comes_from_standard_input_and_folders(lab: MonitorLab) -> None:
    """Packed files of a folder are noted with the command that takes them; a packed file is refused with it."""
    folder = lab.root / "ratings"
    folder.mkdir()
    (folder / "old.jsonl.zst").write_bytes(b"packed")
    (folder / "new.jsonl").write_text(json.dumps(said(1, 60, thumb="up")) + "\n", encoding="utf-8")
    taken = lab.take(feedback=["../ratings"])
    assert taken.feedback == counts(1)
    assert any("monitor.yaml --feedback -`" in note.what for note in taken.notes)
    line = json.dumps(said(2, 60, thumb="up")).encode()
    assert lab.take(feedback=["-"], stdin=line).feedback == counts(1)
    with pytest.raises(InputError, match="--feedback -`"):
        lab.take(feedback=["../ratings/old.jsonl.zst"])


def test_the_series_is_made_again_with_ratings(lab: MonitorLab) -> None:
    """They are observations, so that nothing is lost; no text of them is anywhere."""
    lab.take(feedback=["../ratings.jsonl"])
    before = lab.dumped()
    rebuild(lab.file)
    assert lab.dumped() == before
    assert PRIVATE.encode() not in b"".join(each.read_bytes() for each in lab.folder.rglob("*") if each.is_file())


def test_labels_of_blocked_answers_are_two_streams(lab: MonitorLab) -> None:
    """The share of blocked answers that is good, and of delivered ones that is bad."""
    labels = [said(i, DAY, good=i < 3, action="block") for i in range(10)]
    labels += [said(i, DAY, good=i != 20, action=("pass", "warn")[i % 2]) for i in range(20, 30)]
    lab.log(labels, "../labels.jsonl")
    assert lab.take(feedback=["../labels.jsonl"]).feedback["counted"] == 20
    assert days_of(lab, "blocked_good") == {0: (10, 3.0)}
    assert days_of(lab, "delivered_bad") == {0: (10, 1.0)}
    assert days_of(lab, "thumbs_down") == {}


def test_the_share_of_good_answers_that_are_blocked_is_a_stream(tmp_path: Path) -> None:
    """By weights, as half of the blocked and a quarter of the delivered answers have labels; unknown without any."""
    lab = MonitorLab(tmp_path, MONITOR.replace("thumb: thumb", "action: guard"))
    lab.log([row(i, i * 60, guard="block" if i < 20 else ("pass", "warn")[i % 2]) for i in range(100)])
    lab.log([row(i, DAY + i, guard="block", topic="loans") for i in range(200, 210)])
    lab.log([row(300, 60, guard="stop"), row(301, 60)])
    labels = [said(i, 2 * DAY, good=i < 3, action="block") for i in range(10)]
    labels += [said(i, 2 * DAY, good=i >= 82, action="pass") for i in range(80, 100)]
    labels += [said(200, 2 * DAY, good=True, action="block")]
    lab.log(labels, "../labels.jsonl")
    taken = lab.take(feedback=["../labels.jsonl"])
    assert taken.feedback == counts(31)
    assert "guard: not an action of the guard; write `pass`" in str(taken.refused[0])
    first = int(START // DAY)
    with Series(lab.folder / SERIES) as series:
        by_day = read_days(series, {}, first, first + 3)
        assert (FALSE_BLOCK, "") in known_facts(series, {})
        later = read_days(series, {}, first + 1, first + 2)
    share = (0.2 * 0.3) / (0.2 * 0.3 + 0.8 * 0.9)
    assert by_day[Stream(FALSE_BLOCK)][first].mean == pytest.approx(share)
    assert (by_day[Stream(FALSE_BLOCK)][first].n, by_day[Stream(FALSE_BLOCK)][first + 1].mean) == (21, 1.0)
    assert dict(later[Stream(FALSE_BLOCK)]) == {first + 1: by_day[Stream(FALSE_BLOCK)][first + 1]}
    assert by_day[Stream(FALSE_BLOCK, "topic=cards")][first].mean == 0.0
    assert not by_day[Stream(FALSE_BLOCK, "topic=other")]  # none of its delivered answers has a label
    assert days_of(lab, "blocked") == {0: (100, 20.0), 1: (10, 10.0)}


def test_lines_that_are_no_feedback_are_refused_without_their_values(lab: MonitorLab) -> None:
    """Each with its place and fix."""
    lines: list[object] = [
        said(1, DAY),
        said(1, DAY, thumb=PRIVATE),
        said(1, DAY, good="yes", action="block"),
        said(1, DAY, good=True),
        said(1, DAY, good=True, action=PRIVATE),
        said(1, -DAY, thumb="up"),
        {"thumb": "up", "at": START},
        "[]",
        "{",
    ]
    lab.log(lines, "../odd.jsonl")  # type: ignore[arg-type]
    found = lab.take(feedback=["../odd.jsonl"])
    assert found.feedback == counts(refused=len(lines))
    assert all(isinstance(each, Problem) and each.fix for each in found.refused)
    told = " ".join(map(str, found.refused))
    assert PRIVATE not in told
    parts = (
        "neither thumb nor good",
        "not a rating",
        "not true or false",
        "action: missing",
        "not an action of the guard",
    )
    for part in (*parts, "before the day of its call"):
        assert part in told
    assert not found.is_enough


def test_a_thumb_in_a_trace_is_a_rating(tmp_path: Path) -> None:
    """The attribute that `logs: {thumb: ...}` names; of any span of the trace."""
    traffic = Traffic(until=datetime.date(2026, 9, 1), days=1, calls=3)
    exports = [otlp_export(call) for _, calls in traffic_days(traffic) for call in calls]
    for export, thumb in zip(exports, ("down", "up", None), strict=True):
        root = export["resourceSpans"][0]["scopeSpans"][0]["spans"][1]
        if thumb:
            root["attributes"].append({"key": "app.thumb", "value": {"stringValue": thumb}})
    text = "name: shop\nlogs: {format: otlp, thumb: app.thumb}\nscorers: [{length: {max: 12}}]\n"
    lab = MonitorLab(tmp_path, text)
    lab.log(exports)
    lab.now = (lab.logs / "a.jsonl").stat().st_mtime + 60
    assert lab.take().n_scored == 3
    (found,) = lab.observed()
    values = found.metrics["thumbs_down"]
    assert sorted(values[~np.isnan(values)].tolist()) == [0.0, 1.0]
