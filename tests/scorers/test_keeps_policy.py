"""The `policy` scorer: each rule with a violation and without, files with mistakes, and rules that are not decided."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from evalkit.errors import InputError
from evalkit.scorers.agents.policy import KeepsPolicy
from evalkit.scorers.agents.policy_file import read_policy
from evalkit.scorers.base import Services
from evalkit.types import Case, Output, Score, Step, ToolCall, Unscored

CASE = Case(id="c", input="q")


def call(name: str, error: str | None = None, turn: int | None = None, **arguments: Any) -> Step:
    """A step of kind tool."""
    return Step(kind="tool", name=name, arguments=arguments, error=error, turn=turn)


def approval(decision: Any = "approved", call_id: str = "", at: float | None = None, **arguments: Any) -> Step:
    """A step of kind approval, for `refund`."""
    given = arguments or (None if call_id else {})
    return Step(kind="approval", name="refund", decision=decision, call_id=call_id, arguments=given, ended_s=at)


def graded(text: str, steps: Any, folder: Path) -> Score | Unscored:
    """Grade steps by a policy file."""
    (folder / "policy.yaml").write_text(text, encoding="utf-8")
    output = steps
    if not isinstance(steps, Output):
        calls = tuple(ToolCall(step.name, step.arguments or {}) for step in steps if step.kind == "tool")
        output = Output(text="", tool_calls=calls, trajectory=tuple(steps))
    return KeepsPolicy(file="policy.yaml").bind(Services(folder)).score(CASE, output)


GET, REFUND, CANCEL = call("get_order", id="A"), call("refund", id="A", eur=20), call("cancel_order", id="A")
DENIED = call("refund", "denied: no approval", id="A", eur=20)
FAILED = call("refund", "timeout", id="A", eur=20)
SCHEMA = "{type: object, properties: {eur: {type: number, maximum: 50}}, required: [eur]}"
BEFORE = "before: {of: [refund, cancel_*], needs: get_order, same: [id]}"
PER_TURN = "at_most: {of: get, n: 1, per: turn}"
APPROVE = "approve: {of: refund}"
RETRY = "no_blind_retry: {of: refund, reads: [get_*]}"


@pytest.mark.parametrize(
    ("policy", "steps", "n"),
    [
        pytest.param("allow: [get_*]", [GET], 0, id="allow"),
        pytest.param("allow: [get_*]", [GET, REFUND, DENIED], 2, id="allow: attempts count"),
        pytest.param("allow: []", [GET], 1, id="allow nothing"),
        pytest.param("allow: [{of: get_*, why: reads}, refund]", [GET, REFUND], 0, id="allow with a reason"),
        pytest.param("allow: [get_*]", [Step(kind="node", name="planner"), GET], 0, id="allow is about tools"),
        pytest.param("allow: [get_*, 'node:p*']", [Step(kind="node", name="tools"), GET], 1, id="allow nodes"),
        pytest.param("forbid: refund", [GET], 0, id="forbid"),
        pytest.param("forbid: [re*]", [GET, REFUND, DENIED], 2, id="forbid: attempts count"),
        pytest.param("forbid: ['node:danger']", [Step(kind="node", name="danger")], 1, id="forbid a node"),
        pytest.param("forbid: [danger]", [Step(kind="node", name="danger")], 0, id="a name means a tool"),
        pytest.param("default: forbid", [GET], 1, id="default"),
        pytest.param("{default: forbid, allow: [get_*]}", [GET, REFUND], 1, id="default and allow: one finding"),
        pytest.param("{default: forbid, forbid: [refund]}", [REFUND, GET], 2, id="default and forbid"),
        pytest.param(f"arguments: {{of: refund, schema: {SCHEMA}}}", [REFUND], 0, id="arguments"),
        pytest.param(f"arguments: {{of: refund, schema: {SCHEMA}}}", [call("refund", eur=51)], 1, id="arguments above"),
        pytest.param(f"arguments: {{of: refund, schema: {SCHEMA}}}", [call("refund", "denied")], 1, id="attempt"),
        pytest.param(BEFORE, [GET, REFUND, CANCEL], 0, id="before"),
        pytest.param(BEFORE, [REFUND, GET], 1, id="before: too late"),
        pytest.param(BEFORE, [call("get_order", id="B"), REFUND], 1, id="before: another order"),
        pytest.param(BEFORE, [call("get_order", "Error", id="A"), REFUND], 1, id="before: failed"),
        pytest.param(BEFORE, [DENIED], 0, id="before: denied"),
        pytest.param(BEFORE, [GET, call("refund")], 1, id="before: no argument to compare"),
        pytest.param("before: {of: refund, needs: 'node:c*'}", [Step(kind="node", name="check"), REFUND], 0, id="node"),
        pytest.param("never_after: {of: refund, step: cancel_*}", [REFUND, CANCEL], 0, id="never_after"),
        pytest.param("never_after: {of: refund, step: cancel_*}", [CANCEL, REFUND, REFUND, DENIED], 2, id="after"),
        pytest.param("at_most: {of: refund, n: 1}", [REFUND, GET], 0, id="at_most"),
        pytest.param("at_most: {of: [refund, get_*], n: 1}", [REFUND, GET, DENIED], 2, id="at_most: together"),
        pytest.param(PER_TURN, [call("get", turn=1), call("get", turn=2)], 0, id="per turn"),
        pytest.param(PER_TURN, [call("get", turn=1), call("get", turn=1)], 1, id="in a turn"),
        pytest.param(PER_TURN, [call("get")], 0, id="one is within any turn"),
        pytest.param(APPROVE, [approval(id="A", eur=20), REFUND], 0, id="approve"),
        pytest.param(APPROVE, [approval("edited", id="A", eur=20.0), REFUND], 0, id="approve: edited"),
        pytest.param(APPROVE, [approval(id="A", eur=20), call("refund", id="A", eur=200)], 1, id="approve: more"),
        pytest.param(APPROVE, [approval(id="A", eur=20), REFUND, REFUND], 1, id="approve: one call each"),
        pytest.param(APPROVE, [approval("rejected", id="A", eur=20), REFUND], 1, id="approve: rejected"),
        pytest.param(APPROVE, [approval("rejected", id="A", eur=20), DENIED], 0, id="approve: rejected and denied"),
        pytest.param(APPROVE, [approval("expired", id="A", eur=20), REFUND], 1, id="approve: expired"),
        pytest.param(APPROVE, [REFUND, approval(id="A", eur=20)], 1, id="approve: too late"),
        pytest.param(APPROVE, [Step(kind="approval", name="refund", decision="approved"), REFUND], 1, id="for nothing"),
        pytest.param(RETRY, [FAILED, GET, REFUND], 0, id="no_blind_retry"),
        pytest.param(RETRY, [FAILED, REFUND], 1, id="after an error"),
        pytest.param(RETRY, [REFUND, REFUND], 1, id="after a success"),
        pytest.param(RETRY, [DENIED, REFUND], 0, id="after a refusal"),
        pytest.param(RETRY, [FAILED, call("get_order", "Error"), REFUND], 1, id="the look failed"),
        pytest.param(RETRY, [REFUND, call("refund", id="B")], 0, id="another call"),
        pytest.param("first: get_*", [GET, REFUND], 0, id="first"),
        pytest.param("first: get_*", [DENIED, GET], 0, id="first: denied"),
        pytest.param("first: [get_*, look]", [REFUND, GET], 1, id="first: another"),
        pytest.param("first: {step: 'node:plan', why: x}", [GET, Step(kind="node", name="plan")], 0, id="first node"),
        pytest.param("last: close", [GET, call("close")], 0, id="last"),
        pytest.param("last: close", [call("close"), GET], 1, id="last: another"),
        pytest.param("{first: a, last: b, forbid: c}", [], 0, id="no step"),
    ],
)
def test_rules(policy: str, steps: list[Step], n: int, tmp_path: Path) -> None:
    """How many violations there are; none is a pass."""
    grade = graded(policy, steps, tmp_path)
    assert isinstance(grade, Score), grade
    assert grade.details["n_violations"] == n, grade.reason
    assert (grade.value, grade.passed) == (float(not n), not n)


@pytest.mark.parametrize(
    ("times", "n"), [((0, 3600), 0), ((0, 3601), 1), ((100, 3700), 0), ((None, 10), None), ((0, None), None)]
)
def test_approvals_expire(times: tuple[Any, Any], n: int | None, tmp_path: Path) -> None:
    """An approval is good for a time; without times that is not known."""
    given, called = times
    steps = [approval(at=given, id="A", eur=20), replace(REFUND, started_s=called)]
    grade = graded("approve: {of: refund, expires_s: 3600}", steps, tmp_path)
    if n is None:
        assert isinstance(grade, Unscored)
        assert grade.kind == "unknown_time"
    else:
        assert isinstance(grade, Score)
        assert grade.details["n_violations"] == n
        assert n == 0 or "refund (step 2) was approved more than 3600 s before: " in grade.reason


def test_a_call_without_any_approval_is_known_to_break_the_rule(tmp_path: Path) -> None:
    """Missing times do not excuse it."""
    grade = graded("approve: {of: refund, expires_s: 60}", [REFUND], tmp_path)
    assert isinstance(grade, Score)
    assert grade.value == 0.0


def test_approvals_are_matched_as_well_as_possible(tmp_path: Path) -> None:
    """An approval by call id is left to its call, though an earlier one could use it; arguments count there too."""
    first = Step(kind="tool", name="refund", arguments={"eur": 20})
    second = Step(kind="tool", name="refund", arguments={"eur": 20}, call_id="c2")
    steps = [approval(eur=20), approval(call_id="c2"), second, first]
    assert graded(APPROVE, steps, tmp_path).value == 1.0  # type: ignore[union-attr]
    by_both = [approval(call_id="c2", eur=20), approval(eur=20), first, second]
    assert graded(APPROVE, by_both, tmp_path).value == 1.0  # type: ignore[union-attr]
    other = Step(kind="tool", name="refund", arguments={"eur": 200}, call_id="c2")
    assert graded(APPROVE, [approval(call_id="c2", eur=20), other], tmp_path).value == 0.0  # type: ignore[union-attr]


def test_the_reason_of_one_rule_of_allowed_tools(tmp_path: Path) -> None:
    """A call that is not allowed has the reason and the severity of the rule."""
    grade = graded("allow: {of: get_*, why: a desk for questions, severity: high}", [REFUND], tmp_path)
    assert isinstance(grade, Score)
    (violation,) = grade.details["violations"]
    assert (violation["why"], violation["severity"]) == ("a desk for questions", "high")


def test_violations_are_told(tmp_path: Path) -> None:
    """Rule, step, turn, reason and severity, in the order of the steps."""
    policy = f"""
approve: {{of: refund, why: "over the counter only", severity: critical}}
{BEFORE}
forbid: [delete_*]
"""
    steps = [Step(kind="llm"), call("delete_order", turn=1), call("refund", turn=2, id="A")]
    grade = graded(policy, steps, tmp_path)
    assert isinstance(grade, Score)
    assert [(each["rule"], each["step"], each["turn"], each["severity"]) for each in grade.details["violations"]] == [
        ("forbid", 2, 1, "medium"),
        ("before", 3, 2, "medium"),
        ("approve", 3, 2, "critical"),
    ]
    assert grade.reason == (
        "3 violations; forbid: delete_order (step 2, turn 1) is forbidden; before: refund (step 3, turn 2) without an "
        'earlier successful get_order with the same id; approve: refund (step 3, turn 2) was not approved: {"id": "A"} '
        "(over the counter only)"
    )


CALLED = Output(text="", tool_calls=(ToolCall("refund"),))


@pytest.mark.parametrize(
    ("policy", "output", "kind"),
    [
        ("forbid: x", Output(text="x"), "missing_tool_calls"),
        (APPROVE, CALLED, "missing_trajectory"),
        (APPROVE, Output(text="", tool_calls=(ToolCall("get"),)), None),
        (BEFORE, Output(text="", tool_calls=(ToolCall("get_order", {"id": 1}), ToolCall("refund", {"id": 1}))), None),
        ("forbid: 'node:x'", Output(text="", tool_calls=(ToolCall("get"),)), "missing_trajectory"),
        ("allow: ['*', 'node:x']", Output(text="", tool_calls=(ToolCall("get"),)), "missing_trajectory"),
        ("first: 'node:x'", Output(text="", tool_calls=(ToolCall("get"),)), "missing_trajectory"),
        (PER_TURN, [call("get"), call("get")], "unknown_turn"),
        (APPROVE, replace(CALLED, trajectory=(Step(kind="llm"),)), "missing_trajectory"),
    ],
)
def test_what_is_not_reported_is_not_kept(policy: str, output: Any, kind: str | None, tmp_path: Path) -> None:
    """A rule that needs what the system does not report leaves the answer unscored, unless another one is broken."""
    grade = graded(policy, output, tmp_path)
    assert (grade.kind if isinstance(grade, Unscored) else None) == kind
    if kind and kind != "missing_tool_calls":
        broken = graded(f"{{{policy}, last: nothing}}" if policy[0] != "{" else policy, output, tmp_path)
        assert isinstance(broken, Score)
        assert broken.value == 0.0


@pytest.mark.parametrize(
    "policy",
    [
        "forbid: [refund, 'node:x']",
        "at_most: {of: [refund, get, 'node:x'], n: 1}",
        "never_after: {of: refund, step: [get, 'node:x']}",
        "arguments: {of: ['*', 'node:x'], schema: {required: [id]}}",
    ],
)
def test_calls_alone_can_break_a_rule_about_other_steps_too(policy: str, tmp_path: Path) -> None:
    """What is known to be wrong is wrong, whatever is not known."""
    output = Output(text="", tool_calls=(ToolCall("get"), ToolCall("refund")))
    assert graded(policy, output, tmp_path).value == 0.0  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("forbit: [x]", "policy.yaml:1:1 forbit: unknown key; did you mean `forbid`?"),
        (
            "forbid: x\nbefore:\n  - {of: a, need: b}",
            "policy.yaml:3:13 before[0].need: unknown key; did you mean `needs`?",
        ),
        ("before: {of: a}", "policy.yaml:1:1 before.needs: missing; add `needs:`"),
        ("at_most: {of: a, n: 0}", "policy.yaml:1:18 at_most.n: expected 1 or more, got 0; write `forbid`"),
        ("at_most: {of: a, n: 1, per: day}", "policy.yaml:1:24 at_most.per: expected one of conversation, turn"),
        ("approve: {of: a, expires_s: 0}", "policy.yaml:1:18 approve.expires_s: expected seconds above 0"),
        ("forbid: [{of: []}]", "policy.yaml:1:11 forbid[0].of: the list is empty; name a tool"),
        ("arguments: {of: a, schema: {type: objct}}", "policy.yaml:1:20 arguments.schema: $.type: 'objct' is not"),
        ("forbid: [{of: a, severity: high, wy: x}]", "policy.yaml:1:34 forbid[0].wy: unknown key; did you mean `why`?"),
        ("first: {stp: a}", "policy.yaml:1:9 first.stp: unknown key; did you mean `step`?"),
        ("first: []", "policy.yaml:1:1 first: the list is empty"),
        ("forbid: ['']", "policy.yaml:1:1 forbid: a name is empty"),
        ("description: nothing", "forbid: the file has no rule; write one"),
        ("", "policy.yaml:1:1: the file is empty; write rules"),
        ("- a", "policy.yaml:1:1: the top level is not a mapping; write rules"),
        ("forbid: [a\n", "policy.yaml:2"),
        ("forbid: *x\n", "anchors (&name) and aliases (*name) are refused"),
    ],
)
def test_a_file_with_a_mistake(text: str, problem: str) -> None:
    """Each is told with line and column, and what to write."""
    with pytest.raises(InputError) as caught:
        read_policy(text.encode(), "policy.yaml")
    assert problem in str(caught.value)


def test_every_mistake_is_told_at_once() -> None:
    """Three mistakes, three problems."""
    text = b"forbit: [x]\nbefore: {of: a}\nat_most: {of: a, n: many}"
    with pytest.raises(InputError) as caught:
        read_policy(text, "policy.yaml")
    assert len(caught.value.problems) == 3


@pytest.mark.parametrize(
    ("name", "what"),
    [
        ("policy.yaml", "'policy.yaml' cannot be read (No such file or directory)"),
        ("../policy.yaml", "'../policy.yaml' leaves the project"),
    ],
)
def test_a_file_that_is_not_there(name: str, what: str, tmp_path: Path) -> None:
    """It is named before the first call."""
    (tmp_path / "pyproject.toml").touch()
    with pytest.raises(InputError) as caught:
        KeepsPolicy(file=name).bind(Services(tmp_path))
    assert what in str(caught.value)


def test_the_rules_are_part_of_the_score_key(tmp_path: Path) -> None:
    """Another rule is another score; a comment, a reason or another order is not."""

    def key(text: str) -> object:
        (tmp_path / "policy.yaml").write_text(text, encoding="utf-8")
        return KeepsPolicy(file="policy.yaml").bind(Services(tmp_path)).key_parts

    plain = key("forbid: [a, b]\nat_most: {of: x, n: 2}")
    assert plain == key("# why\nat_most: [{of: [x], n: 2, why: enough}]\nforbid: [b, {of: a, severity: high}]")
    assert plain != key("forbid: [a, b]\nat_most: {of: x, n: 3}")


@pytest.mark.slow
def test_ten_thousand_steps(tmp_path: Path) -> None:
    """Every rule on a long answer, with as many approvals as calls."""
    steps = [approval(n=0) for _ in range(1_000)] + [call("refund", n=0) for _ in range(1_500)]
    steps += [call("get_order", id=n % 30) for n in range(7_500)]
    policy = f"""
{APPROVE}
{BEFORE}
{RETRY}
allow: ["*"]
at_most: {{of: refund, n: 1000}}
never_after: {{of: refund, step: get_*}}
arguments: {{of: get_order, schema: {{required: [id]}}}}
"""
    grade = graded(policy, steps, tmp_path)
    assert isinstance(grade, Score)
    assert grade.details["n_violations"] == 500 + 1_500 + 1_499 + 500
