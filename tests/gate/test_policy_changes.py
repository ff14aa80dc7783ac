"""A policy that lets an agent do more is a finding, as a lowered gate is; a stricter one is none."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evalkit.formats.manifest import Rules
from evalkit.gate.amendments import amendments
from evalkit.scorers.agents.policy_checks import Trail, findings
from evalkit.scorers.agents.policy_file import read_policy
from evalkit.scorers.agents.policy_strength import loosened, rule_texts
from evalkit.suite.parse import load_suite
from evalkit.suite.rules import rules_of
from evalkit.types import Step

SUITE = """\
name: desk
golden: golden.jsonl
system: {replay: golden}
scorers:
  - policy: SCORER
gate:
  - GATE
"""


def rules(folder: Path, policy: str | None, scorer: str = "{file: policy.yaml}", gate: str = "pass_rate: 0.5") -> Rules:
    """The rules of a suite with this policy file."""
    (folder / "pyproject.toml").touch()
    (folder / "golden.jsonl").write_text('{"id": "a", "input": "q", "output": "x"}\n', encoding="utf-8")
    (folder / "suite.yaml").write_text(SUITE.replace("SCORER", scorer).replace("GATE", gate), encoding="utf-8")
    for name in ("policy.yaml", "other.yaml"):
        (folder / name).unlink(missing_ok=True)
        if policy is not None:
            (folder / name).write_text(policy, encoding="utf-8")
    return rules_of(load_suite(folder / "suite.yaml"))


def found(folder: Path, before: str | None, after: str | None, **options: Any) -> list[str]:
    """What a change of the file is said to loosen."""
    old, new = rules(folder, before, **options), rules(folder, after, **options)
    return [str(each) for each in amendments(old, new) if each.loosens]


SCHEMA = "{type: object, properties: {eur: {maximum: 50}}}"


@pytest.mark.parametrize(
    ("before", "after", "said"),
    [
        ("forbid: [a, b]", "forbid: [a]", "forbid b forbidden → removed"),
        ("forbid: [a_*]", "forbid: [a_x]", "forbid a_* forbidden → removed"),
        ("{allow: [a], forbid: x}", "forbid: x", "allow a → removed"),
        ("allow: [a]", "allow: [a, b]", "allow a → a, b"),
        ("allow: [get_a]", "allow: [get_*]", "allow get_a → get_*"),
        ("{default: forbid, forbid: x}", "forbid: x", "allow nothing → removed"),
        ("{forbid: x, before: {of: a, needs: b}}", "forbid: x", "before a needs b → removed"),
        ("before: {of: a, needs: b}", "before: {of: a, needs: [b, c]}", "before a needs b → needs b, c"),
        (
            "before: {of: a, needs: b, same: [id]}",
            "before: {of: a, needs: b}",
            "before a needs b; same id → needs b",
        ),
        ("before: {of: [a, c], needs: b}", "before: {of: a, needs: b}", "before a, c needs b → removed"),
        ("{forbid: x, never_after: {of: a, step: b}}", "forbid: x", "never_after a step b → removed"),
        ("never_after: {of: a, step: [b, c]}", "never_after: {of: a, step: b}", "never_after a step b, c → step b"),
        ("at_most: {of: a, n: 2}", "at_most: {of: a, n: 3}", "at_most a n 2; per conversation → n 3; per conversation"),
        ("at_most: {of: a, n: 2}", "at_most: {of: a, n: 2, per: turn}", "n 2; per conversation → n 2; per turn"),
        ("approve: {of: a, expires_s: 60}", "approve: {of: a, expires_s: 90}", "expires_s 60 → expires_s 90"),
        ("approve: {of: a, expires_s: 60}", "approve: {of: a}", "approve a expires_s 60 → without a limit"),
        (f"arguments: {{of: a, schema: {SCHEMA}}}", "arguments: {of: a, schema: {type: object}}", "arguments a schema"),
        ("no_blind_retry: {of: a, reads: b}", "no_blind_retry: {of: a, reads: [b, c]}", "reads b → reads b, c"),
        ("first: a", "first: [a, b]", "first step a → step a, b"),
        ("{first: a, last: b}", "first: a", "last step b → removed"),
        ("first: a", "first: 'node:a'", "first step a → step node:a"),
    ],
)
def test_a_looser_file_is_a_finding(before: str, after: str, said: str, tmp_path: Path) -> None:
    """The rule is named, with what it was and what it is."""
    (text,) = found(tmp_path, before, after)
    assert text.startswith("scorer policy ")
    assert said in text


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("forbid: [a]", "forbid: [a, b]"),
        ("forbid: [a_x, a_y]", "forbid: [a_*]"),
        ("forbid: x", "{allow: [a], forbid: x}"),
        ("allow: [a, b]", "allow: [a]"),
        ("allow: [get_*]", "allow: [get_a, get_b]"),
        ("{allow: [a], default: forbid}", "allow: [a]"),
        ("before: {of: a, needs: [b, c]}", "before: {of: [a, d], needs: b, same: [id]}"),
        ("never_after: {of: a, step: b}", "never_after: {of: a, step: [b, c]}"),
        ("at_most: {of: a, n: 3, per: turn}", "at_most: {of: '*', n: 2}"),
        ("approve: {of: a}", "approve: {of: a, expires_s: 90}"),
        ("no_blind_retry: {of: a, reads: [b, c]}", "no_blind_retry: {of: a, reads: [b]}"),
        ("first: [a, b]", "first: a"),
        ("forbid: a", "# a comment\nforbid: [{of: a, why: new words, severity: low}]"),
        ("{forbid: a, at_most: {of: b, n: 1}}", "{at_most: {of: b, n: 1}, forbid: [a]}"),
    ],
)
def test_a_stricter_file_is_none(before: str, after: str, tmp_path: Path) -> None:
    """Nothing is said to loosen, and the change of the file is seen."""
    assert found(tmp_path, before, after) == []
    changes = amendments(rules(tmp_path, before), rules(tmp_path, after))
    assert [(each.what, each.loosens) for each in changes] == [("scorer policy file policy.yaml", False)]


def test_another_file_is_compared_by_its_rules(tmp_path: Path) -> None:
    """A rename loosens nothing if the rules stay."""
    before, after = rules(tmp_path, "forbid: a"), rules(tmp_path, "forbid: a", scorer="{file: other.yaml}")
    assert [str(each) for each in amendments(before, after) if each.loosens] == []
    (tmp_path / "other.yaml").write_text("forbid: b", encoding="utf-8")
    after = rules_of(load_suite(tmp_path / "suite.yaml"))
    assert [str(each) for each in amendments(before, after) if each.loosens] == [
        "scorer policy forbid a forbidden → removed"
    ]


def test_a_file_that_cannot_be_read_is_a_finding(tmp_path: Path) -> None:
    """What cannot be compared may let more through."""
    assert found(tmp_path, "forbid: a", "forbit: a") != []
    assert found(tmp_path, "forbid: a", None) != []


def test_where_passes_are_held_down_every_change_is_a_finding(tmp_path: Path) -> None:
    """A gate that limits passes from above turns strictness around."""
    assert found(tmp_path, "forbid: [a]", "forbid: [a, b]", gate="pass_rate: {max: 0.9}") != []


@pytest.mark.parametrize(
    "text", ["", "forbid", "forbid 3", 'forbid {"of": 3}', "at_most {}", 'first {"step": [1]}', "x {}"]
)
def test_stored_rules_may_be_anything(text: str) -> None:
    """A baseline is data: a rule that cannot be read is kept only by an equal one."""
    assert len(list(loosened([text], ['forbid {"of": ["a"]}', 'at_most {"of": ["a"], "n": 1, "per": "turn"}']))) == 1
    assert list(loosened([text], [text])) == []
    assert list(loosened([], [text])) == []


globs = st.lists(st.sampled_from(["a", "b", "a*", "*", "?", "node:a"]), min_size=1, max_size=2)
some_rules = st.fixed_dictionaries(
    {},
    optional={
        "allow": globs,
        "forbid": globs,
        "before": st.fixed_dictionaries({"of": globs, "needs": globs}, optional={"same": st.just(["x"])}),
        "never_after": st.fixed_dictionaries({"of": globs, "step": globs}),
        "at_most": st.fixed_dictionaries(
            {"of": globs, "n": st.integers(1, 2)}, optional={"per": st.sampled_from(["turn", "conversation"])}
        ),
        "approve": st.fixed_dictionaries({"of": globs}, optional={"expires_s": st.sampled_from([1, 2])}),
        "no_blind_retry": st.fixed_dictionaries({"of": globs, "reads": globs}),
        "first": globs,
        "last": globs,
        "default": st.just("forbid"),
    },
).filter(bool)
a_step = st.builds(
    lambda kind, name, x, turn, error: Step(
        kind=kind, name=name, arguments={"x": x}, turn=turn, error=error, started_s=float(turn),
        decision="approved" if kind == "approval" else None,
    ),
    st.sampled_from(["tool", "tool", "node", "approval"]),
    st.sampled_from(["a", "b", "ab"]),
    st.integers(0, 1),
    st.integers(1, 3),
    st.sampled_from([None, None, "Error", "denied: no"]),
)  # fmt: skip


@given(some_rules, some_rules, st.lists(a_step, max_size=7))
def test_what_is_not_said_to_loosen_does_not(before: dict[str, Any], after: dict[str, Any], steps: list[Step]) -> None:
    """An answer that breaks the earlier policy breaks a later one that no rule is loosened in."""
    old, new = (read_policy(json.dumps(each).encode(), "policy.yaml") for each in (before, {**before, **after}))
    if not list(loosened(rule_texts(old), rule_texts(new))):
        trail = Trail(steps, whole=True)
        assert not findings(old, trail)[0] or findings(new, trail)[0]
