"""Label files."""

import json
from pathlib import Path

import pytest

from evalkit.errors import InputError
from evalkit.trust.label_files import read_labels
from evalkit.types import Metric

GOOD = {
    "case_id": "a",
    "answer_sha256": "0" * 64,
    "scorer": "correctness",
    "label": "pass",
    "rater": "r",
    "rater_kind": "person",
}


def labels_file(tmp_path: Path, *rows: dict[str, object]) -> Path:
    """A label file of these rows."""
    file = tmp_path / "labels.jsonl"
    file.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return file


def test_words_and_grades_are_read(tmp_path: Path) -> None:
    """`pass`, `fail` and numbers are labels."""
    file = labels_file(tmp_path, GOOD, {**GOOD, "case_id": "b", "label": 4})
    first, second = read_labels([file], ["labels.jsonl"])
    assert (first.label, second.label, first.metric) == ("pass", 4.0, "correctness")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        pytest.param({"label": "good"}, "`label` is 'good'", id="word"),
        pytest.param({"label": True}, "`label` is True", id="bool"),
        pytest.param({"rater": " "}, "`rater` is missing or not text", id="no rater"),
        pytest.param({"rater_kind": "robot"}, "choose from person, author, program", id="kind"),
        pytest.param({"inclusion_probability": 1e-300}, "write a number from 1e-12 to 1", id="chance"),
        pytest.param({"answer_sha256": "abc"}, "`answer_sha256` is not the SHA-256", id="hash"),
    ],
)
def test_a_bad_label_is_named(tmp_path: Path, change: dict[str, object], said: str) -> None:
    """File, line, what, fix."""
    file = labels_file(tmp_path, {**GOOD, **change})
    with pytest.raises(InputError) as raised:
        read_labels([file], ["labels.jsonl"])
    assert str(raised.value).startswith("labels.jsonl:1: ")
    assert said in str(raised.value)


def test_one_rater_labels_a_case_once(tmp_path: Path) -> None:
    """A second label of the same rater, case and scorer names both places."""
    file = labels_file(tmp_path, GOOD, {**GOOD, "label": "fail"})
    with pytest.raises(
        InputError, match=r"labels.jsonl:2: r labels correctness of case 'a' again, first at labels.jsonl:1"
    ):
        read_labels([file], ["labels.jsonl"])


@pytest.mark.parametrize("label", ["1e999", "NaN", "true"])
def test_what_is_no_finite_number_is_no_label(tmp_path: Path, label: str) -> None:
    """Infinity would be a level of its own."""
    row = f'{{"case_id": "a", "answer_sha256": "{"0" * 64}", "scorer": "m", "label": {label}, "rater": "r"}}'
    file = tmp_path / "labels.jsonl"
    file.write_text(row[:-1] + ', "rater_kind": "person"}', encoding="utf-8")
    with pytest.raises(InputError):
        read_labels([file], ["labels.jsonl"])


@pytest.mark.parametrize(
    ("label", "said"),
    [
        (0, "`label` is 0, outside the scale 1 to 5 of correctness"),
        (3.5, "`label` is 3.5, between two levels of correctness"),
        (6, "outside the scale 1 to 5"),
    ],
)
def test_a_label_off_the_scale_of_its_metric_is_named(tmp_path: Path, label: float, said: str) -> None:
    """Whoever reads the file says so, once the metric is known; labels of other metrics are read as they are."""
    judge = Metric("correctness", 1, 5, judge="j", pass_at=4)
    file = labels_file(tmp_path, GOOD, {**GOOD, "case_id": "b", "label": label})
    with pytest.raises(InputError) as raised:
        read_labels([file], ["labels.jsonl"], [judge])
    assert str(raised.value).startswith("labels.jsonl:2: ")
    assert said in str(raised.value)
    assert len(read_labels([file], ["labels.jsonl"], [Metric("tone", 1, 5, judge="j")])) == 2


def test_a_level_of_a_pass_fail_metric_is_named(tmp_path: Path) -> None:
    """1 is neither `pass` nor a level there."""
    file = labels_file(tmp_path, {**GOOD, "label": 1})
    with pytest.raises(InputError, match=r'correctness is pass or fail; write "pass" or "fail"'):
        read_labels([file], ["labels.jsonl"], [Metric("correctness", binary=True, judge="j")])
