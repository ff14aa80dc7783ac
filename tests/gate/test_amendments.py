"""What a change did to its own rules."""

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from evalkit.formats.manifest import LabelFile, Rules
from evalkit.gate.amendments import amended, amendments, case_changes
from evalkit.results import Comparison, Decision

RULES = Rules(
    gate=(
        {"pass_rate": {"min": 0.85, "by": "domain", "critical": ["aml"]}},
        {"failures": {"severity": "critical", "max": 0}},
        {"failures": {"severity": "high", "max": 2}},
        {"canary": "strict"},
        {"no_regression": "main"},
    ),
    require_evidence=True,
    kappa_floors={"overall": 0.7},
    cohorts=("domain", "language"),
    repeat=2,
    labels={"people.jsonl": LabelFile(n=2, rows=("aaaaaaaa", "bbbbbbbb"))},
)


def changed(**keys: Any) -> Rules:
    """The rules with other keys."""
    return replace(RULES, **keys)


def gate(place: int, item: Any) -> Rules:
    """The rules with one entry of the gate replaced, or taken out."""
    entries = [*RULES.gate]
    entries[place : place + 1] = [] if item is None else [item]
    return changed(gate=entries)


def rate(**options: Any) -> Rules:
    """The rules with another pass rate."""
    return gate(0, {"pass_rate": {"min": 0.85, "by": "domain", "critical": ["aml"], **options}})


def compared(**options: Any) -> Rules:
    """The rules with another comparison."""
    return gate(4, {"no_regression": {"baseline": "main", **options}})


NAMES = st.sampled_from(
    ["pass_rate", "no_regression", "failures", "canary", "by", "min", "critical", "severity", "alpha"]
)
ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=3),
    max_leaves=12,
)
COST = {"cost_per_case_usd": {"max": 0.05}}


@pytest.mark.parametrize(
    ("after", "said", "loosens"),
    [
        (rate(min=0.8), "gate pass_rate.min 0.85 → 0.8", True),
        (rate(min=0.9, by=["domain"], critical="aml"), "gate pass_rate.min 0.85 → 0.9", False),
        (gate(0, {"pass_rate": {"min": 0.85, "critical": ["aml"]}}), "gate pass_rate.by domain → none", True),
        (gate(0, {"pass_rate": {"min": 0.85, "by": "domain"}}), "gate pass_rate.critical aml → none", True),
        (
            rate(by=["domain", "language"]),
            "gate pass_rate.by domain → domain, language", False,
        ),
        (
            rate(on_fail="warn"),
            "gate pass_rate.on_fail block → warn", True,
        ),
        (gate(1, {"failures": {"severity": "critical", "max": 3}}), "gate failures(critical).max 0 → 3", True),
        (gate(2, {"failures": {"severity": "high", "max": 1}}), "gate failures(high).max 2 → 1", False),
        (gate(2, None), "gate failures(high) severity high, max 2 → removed", True),
        (gate(3, {"canary": {"rule": "2 of 3"}}), "gate canary.rule strict → 2 of 3", True),
        (gate(4, {"no_regression": {"baseline": "other"}}), "gate no_regression.baseline main → other", True),
        (compared(metrics=["exact"]), "gate no_regression.metrics none → exact", True),
        (compared(alpha=0.001), "gate no_regression.alpha none → 0.001", True),
        (compared(max_slowdown=1.1), "gate no_regression.max_slowdown none → 1.1", False),
        (compared(corrected=True), "gate no_regression.corrected false → true", False),
        (changed(gate=[*RULES.gate, COST]), "gate cost_per_case_usd none → max 0.05", False),
        (changed(require_evidence=False), "require_evidence true → false", True),
        (changed(kappa_floors={"overall": 0.65}), "kappa_floors overall 0.7 → 0.65", True),
        (changed(kappa_floors={}), "kappa_floors overall 0.7 → 0.6", True),
        (changed(kappa_floors={"overall": 0.8}), "kappa_floors overall 0.7 → 0.8", False),
        (changed(cohorts=["domain"]), "cohorts domain, language → domain", True),
        (changed(repeat=1), "repeat 2 → 1", True),
        (changed(repeat_rule="any"), "repeat_rule mean → any", True),
        (
            changed(labels={"people.jsonl": LabelFile(n=3, rows=("aaaaaaaa", "bbbbbbbb", "cccccccc"))}),
            "labels people.jsonl 2 labels → 3 labels", True,
        ),
        (
            changed(labels={"people.jsonl": LabelFile(n=2, rows=("aaaaaaaa", "dddddddd"))}),
            "labels people.jsonl 2 labels → 2 labels (1 edited or removed)", True,
        ),
        (changed(labels={}), "labels people.jsonl 2 labels → none", True),
    ],
)  # fmt: skip
def test_each_change_is_named_with_both_values(after: Rules, said: str, loosens: bool) -> None:
    """One change is one finding, with the value that stood before and whether it lets more through."""
    found = amendments(RULES, after)
    assert [(str(each), each.loosens) for each in found] == [(said, loosens)]


def test_reasons_and_order_of_writing_change_nothing() -> None:
    """`why` is not a rule, and shorthand and mapping are one."""
    again = compared(why="it is what users have")
    assert amendments(RULES, again) == ()
    assert amendments(RULES, RULES) == ()
    assert amendments(RULES, changed(gate=RULES.gate[::-1])) == ()


@given(st.lists(ANYTHING | st.dictionaries(NAMES, ANYTHING, min_size=1, max_size=1), max_size=4))
@example([{"pass_rate": {"by": 10**30}}])
def test_a_stored_gate_may_hold_anything(stored: list[Any]) -> None:
    """A baseline is data: whatever its gate says is another rule, and no crash."""
    for each in (*amendments(changed(gate=stored), RULES), *amendments(RULES, changed(gate=stored))):
        assert str(each)


@pytest.mark.parametrize(
    ("rules", "loosens"),
    [
        ({"repeat_rule": "mean"}, False),
        ({"repeat_rule": "all"}, False),
        ({"repeat_rule": "any"}, True),
        ({"repeat_rule": "majority"}, True),
        ({"repeat_rule": "rate:0.3"}, True),
        ({"gate": [*RULES.gate, {"pass_any": {"min": 0.9}}]}, True),
        ({"gate": [*RULES.gate, {"pass_any": {"min": 0.9, "k": 2}}]}, False),
    ],
)
def test_more_repeats_are_looser_where_one_that_passes_helps(rules: dict[str, Any], loosens: bool) -> None:
    """A system that fails now and then passes sooner; the mean stays what it is."""
    found = amendments(changed(**rules), changed(**rules, repeat=9))
    assert [(str(each), each.loosens) for each in found] == [("repeat 2 → 9", loosens)]


def test_what_is_looser_comes_first() -> None:
    """Tightened limits stand below loosened ones."""
    after = changed(gate=[{"pass_rate": {"min": 0.9, "by": "domain", "critical": ["aml"]}}, *RULES.gate[1:]], repeat=1)
    assert [each.what for each in amendments(RULES, after)] == ["repeat", "gate pass_rate.min"]


@pytest.mark.parametrize(
    ("outcome", "ended"),
    [("approved", "approved with conditions"), ("blocked", "blocked"), ("no decision", "no decision")],
)
def test_a_looser_rule_is_a_condition(outcome: Any, ended: str) -> None:
    """An approval under looser rules says so; it never saves a blocked run."""
    found = amendments(RULES, changed(repeat=1))
    decision = amended(Decision(outcome=outcome, checks=()), found, "origin/main@9f2c1ab")
    assert decision.outcome == ended
    assert decision.reasons == ("repeat 2 → 1 since origin/main@9f2c1ab",)


def test_a_tightened_rule_is_no_condition() -> None:
    """More demanded than before: shown, and the approval stays plain."""
    decision = amended(Decision(outcome="approved", checks=()), amendments(RULES, changed(repeat=3)), "x")
    assert (decision.outcome, decision.reasons, len(decision.amendments)) == ("approved", (), 1)


def test_removed_cases_are_counted_with_those_that_failed() -> None:
    """Taking out failing cases is a condition; taking out passing ones is only said."""
    compared = Comparison(
        baseline_id="b", n_paired=9, overlap=1.0, removed=("a", "b", "c"), removed_failing=("a", "c"), changed=("d",)
    )
    decision = amended(Decision(outcome="approved", checks=(), comparison=compared), case_changes(compared), "b")
    assert [str(each) for each in decision.amendments] == [
        "3 cases removed (2 of them failing before)",
        "1 case changed (0 of them failing before)",
    ]
    assert decision.outcome == "approved with conditions"


@pytest.mark.parametrize(
    ("name", "limit", "was", "now", "loosens"),
    [
        ("pass_all", "min", 3, 2, True),
        ("pass_all", "min", 2, 3, False),
        ("pass_any", "min", 3, 2, False),
        ("pass_any", "min", 2, 3, True),
        ("pass_all", "min", None, 3, True),
        ("pass_all", "max", 2, 3, True),
    ],
)
def test_the_number_of_runs_is_a_rule(name: str, limit: str, was: int | None, now: int, loosens: bool) -> None:
    """All of fewer runs pass more easily, and any of more; what cannot be told lets more through."""
    before, after = ({limit: 0.6, **({} if k is None else {"k": k})} for k in (was, now))
    found = amendments(changed(gate=[{name: before}]), changed(gate=[{name: after}]))
    assert [(each.what, each.loosens) for each in found] == [(f"gate {name}.k", loosens)]


VARIED: dict[str, Any] = {
    "gate": [{"robustness_gap": {"max": 0.05, "by": "variant"}}, {"attack_success": 0.02}],
    "variants": ["lower", {"typos": {"rate": 0.05}, "per_case": 2}, {"inject_input": {}, "n": 100}],
}


@pytest.mark.parametrize(
    ("change", "what", "loosens"),
    [
        ({"gate": [{"robustness_gap": {"max": 0.1, "by": "variant"}}, VARIED["gate"][1]]}, "max 0.05 → 0.1", True),
        ({"gate": [{"robustness_gap": {"max": 0.01, "by": "variant"}}, VARIED["gate"][1]]}, "max 0.05 → 0.01", False),
        ({"gate": [{"robustness_gap": {"max": 0.05}}, VARIED["gate"][1]]}, "gate robustness_gap.by", True),
        ({"gate": [VARIED["gate"][0], {"attack_success": 0.2}]}, "attack_success.max 0.02 → 0.2", True),
        ({"gate": VARIED["gate"][:1]}, "gate attack_success max 0.02 → removed", True),
        ({"variants": VARIED["variants"][1:]}, "variants lower", True),
        ({"variants": [*VARIED["variants"][:2], {"inject_input": {}, "n": 10}]}, "variants inject_input", True),
        ({"variants": [*VARIED["variants"], "spaces"]}, "variants spaces", False),
    ],
)
def test_limits_of_variants_and_removed_transforms_are_found(change: dict[str, Any], what: str, loosens: bool) -> None:
    """A higher limit, a removed check, a removed or edited transform may make passing easier; a new one does not."""
    found = amendments(changed(**VARIED), changed(**VARIED | change))
    assert [each.loosens for each in found] == [loosens], found
    assert what in str(found[0])


def test_each_file_of_variants_is_compared_with_itself() -> None:
    """One of two that is removed is a looser rule, in the short form and in the long one."""
    files = [{"file": "paraphrases.jsonl", "words": "a"}, {"file": {"path": "more/german.jsonl"}, "words": "b"}]
    gate = [{"robustness_gap": {"max": 0.1}}]
    for left, gone in ((files[:1], "german"), (files[1:], "paraphrases")):
        found = amendments(changed(variants=files, gate=gate), changed(variants=left, gate=gate))
        assert [(each.what, each.loosens) for each in found] == [(f"variants {gone}", True)]


def test_transforms_without_a_gate_are_told_and_loosen_nothing() -> None:
    """Nothing rests on them."""
    found = amendments(changed(variants=["lower", "typos"]), changed(variants=["typos"]))
    assert [(each.what, each.loosens) for each in found] == [("variants lower", False)]


@pytest.mark.parametrize("change", [{"seed": 5}, {"cohorts": ["language", "domain"]}])
def test_another_order_of_a_run_that_may_stop_early_is_looser(change: dict[str, Any]) -> None:
    """Seed and first cohort decide which cases are run, so an order that hides a drop could be looked for."""
    stopping = {"early_stop": 0.01}
    assert [each.loosens for each in amendments(RULES, changed(**change))] == [False]
    assert [each.loosens for each in amendments(changed(**stopping), changed(**stopping, **change))] == [True]
