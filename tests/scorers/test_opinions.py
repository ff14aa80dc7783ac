"""Several opinions about one answer: samples, panels, criteria."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from judge_room import graded

from evalkit.scorers.base import Services
from evalkit.scorers.judges.opinions import Opinion, combined
from evalkit.scorers.judges.rubric import parse_rubric
from evalkit.scorers.judges.rubric_judge import Judge
from evalkit.testing import FakeModel, Fault
from evalkit.types import Score, Unscored

CRITERIA = b"""---
name: source
version: 1
scale: criteria
criteria:
  cites: "{{answer}} names its source."
  short: "{{answer}} is one sentence."
---
Check {{answer}}.
"""


def level(value: Any) -> dict[str, Any]:
    """A reply of a graded rubric."""
    return {"reason": f"because {value}", "score": value}


def test_samples_are_averaged_and_each_is_kept() -> None:
    """Three opinions of one judge make their mean, and all three can be read."""
    server = FakeModel([level(2), level(3), level(4)])
    score = graded(Judge(rubric="correctness", samples=3, pass_at=3), server)
    assert isinstance(score, Score)
    assert (score.value, score.passed) == (3.0, True)
    assert sorted(each["value"] for each in score.details["opinions"]) == [2.0, 3.0, 4.0]
    assert score.usage is not None and score.usage.input_tokens == 300
    assert sorted(request["seed"] for request in server.requests) == [0, 1, 2]


def test_majority_counts_a_failed_opinion_for_nobody() -> None:
    """Two of three passes are a majority of all that were asked, though the third call failed."""
    servers = [FakeModel([level("pass")]), FakeModel([level("pass")]), FakeModel(always=Fault(kind="refusal"))]
    score = graded(Judge(rubric="refusal", panel=True), servers)
    assert isinstance(score, Score)
    assert (score.value, score.passed) == (1.0, True)
    assert score.details["opinions"][2]["unscored"] == "judge_refusal"
    assert score.reason.startswith("2 of 3 say 1")


def test_half_is_no_majority() -> None:
    """One pass and one fail leave the answer unscored, under a name that says why."""
    grade = graded(Judge(rubric="refusal", panel=True), [FakeModel([level("pass")]), FakeModel([level("fail")])])
    assert isinstance(grade, Unscored)
    assert grade.kind == "judges_disagree"


def test_one_pass_and_one_failed_call_are_no_majority() -> None:
    """The one opinion that came through of two does not decide alone."""
    servers = [FakeModel([level("pass")]), FakeModel(always=Fault(kind="status", status=503))]
    assert graded(Judge(rubric="refusal", panel=True), servers).kind == "judges_disagree"


def test_a_mean_needs_every_opinion() -> None:
    """A mean over those that happened to reply would move with the outage."""
    servers = [FakeModel([level(5)]), FakeModel(always=Fault(kind="truncated"))]
    grade = graded(Judge(rubric="correctness", panel=True), servers)
    assert isinstance(grade, Unscored)
    assert grade.kind == "judge_truncated"
    assert "1 of 2" in grade.message


def test_agree_wants_one_voice() -> None:
    """With `agree` a single other level leaves the answer unscored."""
    servers = [FakeModel([level(4)]), FakeModel([level(4)]), FakeModel([level(5)])]
    assert graded(Judge(rubric="correctness", panel=True, combine="agree"), servers).kind == "judges_disagree"
    same = [FakeModel([level(4)]), FakeModel([level(4)])]
    assert graded(Judge(rubric="correctness", panel=True, combine="agree"), same).value == 4.0


def test_a_panel_is_named_in_metric_and_key() -> None:
    """Scores of a panel are not comparable with those of its first member."""
    judge = graded_panel()
    assert judge.metrics[0].judge == "chat:m-1+m-2"
    assert judge.key_parts["settings"].count("+") == 1


def graded_panel() -> Any:
    """A bound panel of two that is never asked."""
    from evalkit.llm.client import ChatClient
    from evalkit.llm.config import ChatConfig

    first, second = (ChatClient(ChatConfig(model=f"m-{n}", base_url="http://127.0.0.1:1/v1"), env={}) for n in (1, 2))
    return Judge(rubric="correctness", panel=True).bind(Services(Path(), llm=first, panel=(second,)))


def test_a_panel_that_the_suite_does_not_name_is_refused() -> None:
    """`panel: true` without a panel says where to write it."""
    from evalkit.llm.client import ChatClient
    from evalkit.llm.config import ChatConfig

    client = ChatClient(ChatConfig(model="m", base_url="http://127.0.0.1:1/v1"), env={})
    with pytest.raises(ValueError, match="panel: the suite names no panel"):
        Judge(rubric="correctness", panel=True).bind(Services(Path(), llm=client))


def test_criteria_are_judged_one_by_one(tmp_path: Path) -> None:
    """The value is the share of criteria that are met, and the reason names those that are not."""
    (tmp_path / "source.md").write_bytes(CRITERIA)
    reply = {"cites": {"reason": "names Art. 6", "met": True}, "short": {"reason": "three sentences", "met": False}}
    score = graded(Judge(rubric="source.md", pass_at=1), FakeModel([reply]), root=tmp_path)
    assert isinstance(score, Score)
    assert (score.value, score.passed) == (0.5, False)
    assert score.reason == "1 of 2 criteria met; short: three sentences"


@pytest.mark.parametrize(
    "reply",
    [
        {"cites": {"reason": "r", "met": True}},
        {"cites": {"reason": "r", "met": 1}, "short": {"reason": "r", "met": True}},
        {"cites": {"reason": "", "met": True}, "short": {"reason": "r", "met": True}},
        {"cites": {"reason": "r", "met": True}, "short": {"reason": "r", "met": True}, "more": 1},
    ],
)
def test_a_criterion_without_a_verdict_is_unscored(tmp_path: Path, reply: Any) -> None:
    """A criterion that is left out, or answered by no truth value, is not taken for unmet."""
    (tmp_path / "source.md").write_bytes(CRITERIA)
    assert graded(Judge(rubric="source.md"), FakeModel([reply]), root=tmp_path).kind == "judge_bad_reply"


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (b"scale: criteria", b"scale: pass_fail", "this scale has none"),
        (
            b'criteria:\n  cites: "{{answer}} names its source."\n  short: "{{answer}} is one sentence."\n',
            b"",
            "none given",
        ),
        (b"  cites:", b"  Cites It:", "is not an id"),
        (b'"{{answer}} is one sentence."', b"3", "says nothing"),
        (b'"{{answer}} is one sentence."', b'"{{contxts}}"', "unknown slot"),
    ],
)
def test_bad_criteria_are_refused(old: bytes, new: bytes, message: str) -> None:
    """Each fault of the list of criteria is named."""
    with pytest.raises(ValueError, match=message):
        parse_rubric(CRITERIA.replace(old, new), "r.md")


def test_the_reason_is_that_of_the_nearest_opinion() -> None:
    """A mean between levels is explained by an opinion that was really given."""
    found = combined("m", [Opinion(1.0, "low"), Opinion(4.0, "high"), Opinion(4.0, "high too")], "mean")
    assert isinstance(found, Opinion)
    assert (found.value, found.reason) == (3.0, "2 of 3 say 4: high")


@pytest.mark.parametrize("samples", [0, 51])
def test_samples_outside_reason_are_refused(samples: int) -> None:
    """No opinion is not a judge, and a thousand are a bill."""
    with pytest.raises(ValueError, match="samples"):
        Judge(rubric="correctness", samples=samples)
