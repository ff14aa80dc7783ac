"""Gates on figures that a suite can never give are problems before the run; those that see less are warned of."""

from __future__ import annotations

import asyncio
import json
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from evalkit.errors import InputError
from evalkit.operations.run import Request, ready
from evalkit.suite.parse import load_suite

COMMAND = "system: {command: [cat]}"
CASES = (
    {"id": "a", "severity": "critical", "cohorts": {"topic": "loans"}},
    {"id": "b", "severity": "low", "cohorts": {"topic": "hours"}},
    {"id": "c", "kind": "canary", "cohorts": {"topic": "hours"}},
    {"id": "d", "kind": "regression", "required": ["x"], "cohorts": {"topic": "hours"}},
)


def checked(
    root: Path,
    scorers: str,
    gate: str,
    *,
    system: str = COMMAND,
    more: str = "",
    cases: tuple[dict[str, object], ...] = CASES,
) -> tuple[str, ...]:
    """The warnings of a suite.

    Raises:
        InputError: with its problems.
    """
    (root / "pyproject.toml").touch()
    rows = ({"input": "x", "reference": "x", "output": "x", **case} for case in cases)
    (root / "cases.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    suite = f"name: s\ngolden: cases.jsonl\n{system}\nscorers: {scorers}\ncohorts: [topic]\ngate: [{gate}]\n{more}\n"
    (root / "suite.yaml").write_text(suite, encoding="utf-8")

    async def check() -> tuple[str, ...]:
        async with AsyncExitStack() as stack:
            request = Request(suite=root / "suite.yaml", replies="none")
            prepared, _ = await ready(load_suite(root / "suite.yaml"), request, {}, stack)
            return tuple(map(str, prepared.warnings))

    return asyncio.run(check())


CHAT = "system: {chat: some-model, base_url: 'https://models.test/v1'}"
PRICED = (
    "system: {chat: m, base_url: 'https://x.test/v1', prices: {input_usd_per_million: 1, output_usd_per_million: 1}}"
)
HTTP = "system: {http: 'https://bot.test', pick: {text: a}}"
REPLAY = "system: {replay: golden}"
GRADED = "[token_f1]"
IN_LOANS = "pass_rate: {min: 0.8, by: topic, critical: [loans]}"


@pytest.mark.parametrize(
    ("scorers", "gate", "options", "what"),
    [
        (GRADED, "pass_rate: {min: 0.8}", {}, "no scorer has a pass mark"),
        (GRADED, IN_LOANS, {}, "no scorer has a pass mark"),
        ("[exact: {advisory: true}]", "pass_rate: {min: 0.8}", {}, "exact would, but is advisory"),
        ("[exact: {advisory: true}, token_f1]", "failures: {max: 0}", {}, "exact would, but is advisory"),
        (GRADED, "failures: {severity: critical, max: 0}", {}, "no scorer has a pass mark"),
        (GRADED, "canary: 2 of 3", {}, "no scorer has a pass mark"),
        (GRADED, "token_f1.passed: {min: 0.8}", {}, "token_f1 has no pass mark"),
        (GRADED, "no_regression: {metrics: [pass_rate]}", {}, "no scorer has a pass mark"),
        (GRADED, "no_regression: {metrics: [token_f1.passed]}", {}, "token_f1 has no pass mark"),
        ("[exact: {advisory: true}]", "no_regression: main", {}, "every scorer is advisory"),
        ("[exact]", "pass_any: {min: 0.8}", {}, "each case is run once"),
        ("[exact]", "pass_all: {min: 0.8}", {}, "each case is run once"),
        ("[exact]", "pass_spread: {max: 0.2}", {}, "each case is run once"),
        ("[exact]", "pass_rate_production: {min: 0.8}", {}, "no `production:` mix"),
        ("[exact]", "monthly_cost_usd: {max: 100}", {}, "no `traffic_per_month`"),
        ("[exact]", "judge_cost_usd_per_case: {max: 1}", {}, "no judge that costs money"),
        ("[exact]", "user_cost_usd_per_case: {max: 1}", {}, "no model plays a user"),
        ("[exact]", "cost_per_case_usd: {max: 1}", {"system": CHAT}, "the price of some-model is unknown"),
        ("[exact]", "no_regression: {max_cost_ratio: 1.1}", {"system": CHAT}, "the price of some-model is unknown"),
        ("[exact]", "cost_per_case_usd: {max: 1}", {"system": HTTP}, "`pick` names no `usage.cost_usd`"),
        ("[exact]", "ttft_p95_s: {max: 1}", {"system": HTTP}, "`pick` names no `ttft_s`"),
        ("[exact]", "ttft_p95_s: {max: 1}", {"system": PRICED}, "without `stream: true`"),
        ("[exact]", "cost_usd_per_success: {max: 1}", {"system": CHAT}, "the price of some-model is unknown"),
        ("[exact]", "cost_usd_per_success: {max: 1}", {"system": HTTP}, "`pick` names no `usage.cost_usd`"),
        ("[exact]", "tokens_per_success: {max: 9}", {"system": HTTP}, "`pick` names no `usage.input_tokens`"),
        ("[exact]", "tokens_per_case: {max: 9}", {"system": HTTP}, "`pick` names no `usage.input_tokens`"),
        ("[exact]", "no_regression: {metrics: [tokens_per_case]}", {"system": HTTP}, "names no `usage.input_tokens`"),
        ("[exact]", "tool_calls_per_success: {max: 9}", {"system": HTTP}, "`pick` names no `tool_calls`"),
        ("[exact]", "seconds_per_success: {max: 9}", {"system": REPLAY}, "stored answers have no fresh times"),
        (GRADED, "cost_usd_per_success: {max: 1}", {"system": REPLAY}, "no scorer has a pass mark"),
        (
            "[exact]",
            "tokens:planner: {max: 9}",
            {"system": HTTP, "more": "nodes: [planner]"},
            "`pick` names no `trajectory`, so there is no tokens:planner",
        ),
        ("[exact]", "latency_p95_s: {max: 1}", {"system": REPLAY}, "stored answers have no fresh times"),
        ("[exact]", "tokens_per_s: {min: 1}", {"system": REPLAY}, "stored answers have no fresh times"),
        ("[exact]", "no_regression: {max_slowdown: 1.1}", {"system": REPLAY}, "no fresh times"),
        ("[exact: {when: {kind: regression}}]", "canary: 2 of 3", {}, "applies to 0 of 1 case of kind canary"),
        ("[exact: {when: {kind: regression}}]", "failures: 0", {}, "applies to 0 of 1 case of severity critical"),
        ("[exact: {when: {kind: adversarial}}]", "pass_rate: {min: 0.8}", {}, "applies to 0 of 4 cases"),
        ("[exact, keywords: {when: {kind: adversarial}}]", "keywords: {min: 0.8}", {}, "applies to 0 of 4 cases"),
        ("[exact: {when: {topic: hours}}]", IN_LOANS, {}, "applies to 0 of 1 case of topic=loans"),
        (
            "[exact, keywords: {when: {has: required}}]",
            "keywords: {min: 0.8, by: topic, critical: [topic=loans]}",
            {},
            "the scorer of keywords applies to 0 of 1 case of topic=loans",
        ),
    ],
)  # fmt: skip
def test_a_gate_that_can_never_say_anything_is_a_problem(
    tmp_path: Path, scorers: str, gate: str, options: dict[str, object], what: str
) -> None:
    """With the line of the gate, what is missing, and how to fix it."""
    with pytest.raises(InputError) as caught:
        checked(tmp_path, scorers, f"{{{gate}}}", **options)  # type: ignore[arg-type]
    (problem,) = caught.value.problems
    assert what in problem.what
    assert "suite.yaml:6" in problem.place
    assert "gate[0]." + gate.partition(": ")[0] in problem.place
    assert problem.fix


@pytest.mark.parametrize(
    ("scorers", "gate", "options"),
    [
        ("[token_f1: {min: 0.5}]", IN_LOANS, {}),
        ("[token_f1: {min: 0.5}]", "token_f1.passed: {min: 0.8}", {}),
        ("[token_f1, exact: {when: {kind: canary}}]", "canary: strict", {}),
        ("[exact]", "failures: {severity: critical, max: 0}", {}),
        ("[exact]", "failures: {severity: null, kind: regression}", {}),
        ("[exact]", "pass_all: {min: 0.8}", {"more": "repeat: 2"}),
        ("[exact]", "pass_rate_production: {min: 0.8}", {"more": "production: {topic=hours: 1.0}"}),
        ("[exact]", "cost_per_case_usd: {max: 1}", {"system": PRICED}),
        ("[exact]", "cost_per_case_usd: {max: 1}", {"system": HTTP.replace("text: a", "text: a, usage: u")}),
        ("[exact]", "cost_per_case_usd: {max: 1}", {"system": REPLAY}),
        ("[exact]", "latency_p95_s: {max: 1}", {"system": HTTP}),
        ("[exact]", "cost_usd_per_success: {max: 1}", {"system": PRICED}),
        ("[exact]", "tool_calls_per_success: {max: 1}", {"system": REPLAY}),
        ("[exact]", "tokens:planner: {max: 1}", {"system": REPLAY, "more": "nodes: [planner, tools]"}),
        ("[exact]", "no_regression: {metrics: [pass_rate, tokens_per_case, cost_per_case_usd]}", {"system": REPLAY}),
        ("[exact]", "monthly_cost_usd: {max: 1}", {"more": "traffic_per_month: 1000"}),
        (GRADED, "no_regression: main", {}),
        (GRADED, "token_f1: {min: 0.5}", {}),
        ("[exact, token_f1: {advisory: true}]", "token_f1: {min: 0.5}", {}),
    ],
)
def test_a_gate_that_can_decide_is_sound(tmp_path: Path, scorers: str, gate: str, options: dict[str, object]) -> None:
    """Its neighbours: what can be produced is not a problem."""
    checked(tmp_path, scorers, f"{{{gate}}}", **options)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("scorers", "gate", "what"),
    [
        ("[exact: {when: {severity: low}}]", "failures: {severity: null}", "applies to 2 of its 3 cases"),
        ("[exact: {when: {topic: hours}}]", "pass_rate: {min: 0.8, by: topic}", "no scorer gives it in topic=loans"),
        ("[exact, keywords: {when: {has: required}}]", "keywords: {min: 0.8, by: topic}", "in topic=loans"),
    ],
)
def test_a_gate_that_sees_less_than_it_seems_to_is_warned_of(
    tmp_path: Path, scorers: str, gate: str, what: str
) -> None:
    """The run goes on, and the warning has the line."""
    (warning,) = [each for each in checked(tmp_path, scorers, f"{{{gate}}}") if "gate[0]" in each]
    assert what in warning
    assert "suite.yaml:6" in warning


@pytest.mark.parametrize(
    ("gate", "cases", "what"),
    [
        ("canary: strict", CASES[:2], "no case of kind canary"),
        ("failures: {severity: critical}", CASES[1:], "no case of severity critical"),
        ("failures: {severity: high, kind: regression}", CASES, "no case of kind regression and severity high"),
    ],
)
def test_a_gate_on_cases_that_are_not_there_is_warned_of(
    tmp_path: Path, gate: str, cases: tuple[dict[str, object], ...], what: str
) -> None:
    """The run says that it lacks evidence; `check` says so before."""
    (warning,) = [each for each in checked(tmp_path, "[exact]", f"{{{gate}}}", cases=cases) if "gate[0]" in each]
    assert what in warning


def test_a_scorer_without_its_judge_is_warned_of(tmp_path: Path) -> None:
    """Its scores are unscored by name in the run, which ends without a decision; said before the run."""
    scorers, gate = "[deepeval: [answer_relevancy], exact]", "{pass_rate: {min: 0.8}}"
    (warning,) = [each for each in checked(tmp_path, scorers, gate) if "asks a judge" in each]
    assert "suite.yaml:4" in warning
    advisory = "[deepeval: {use: [answer_relevancy], advisory: true}, exact]"
    assert not [each for each in checked(tmp_path, advisory, gate) if "asks a judge" in each]


def test_a_scorer_that_applies_to_no_case_is_warned_of(tmp_path: Path) -> None:
    """A misspelt field under `when` would switch the scorer off without a word."""
    gate = "{pass_rate: {min: 0.8}}"
    (warning,) = [
        each for each in checked(tmp_path, "[exact, keywords: {when: {has: reqired}}]", gate) if "when" in each
    ]
    assert "suite.yaml:4" in warning
    assert "keywords applies to no case of the golden set" in warning
    assert not [
        each for each in checked(tmp_path, "[exact, keywords: {when: {has: required}}]", gate) if "when" in each
    ]


def test_each_gate_has_its_own_problem(tmp_path: Path) -> None:
    """All at once, one a gate."""
    with pytest.raises(InputError) as caught:
        checked(
            tmp_path,
            GRADED,
            "pass_rate: {min: 0.8}, failures: 0, canary: strict".replace(", f", "}, {f")
            .replace(", c", "}, {c")
            .join("{}"),
        )
    assert [problem.place.split()[-1] for problem in caught.value.problems] == [
        "gate[0].pass_rate",
        "gate[1].failures",
        "gate[2].canary",
    ]


def test_a_wrong_scorer_hides_what_cannot_be_known_yet(tmp_path: Path) -> None:
    """Where a scorer is refused, nothing is said of pass marks."""
    with pytest.raises(InputError) as caught:
        checked(tmp_path, "[judge: {name: tone, rubric: none.md}]", "{pass_rate: {min: 0.8}}")
    assert not any("pass mark" in problem.what for problem in caught.value.problems)


@pytest.mark.parametrize(
    ("key", "repeat", "said"), [("pass_all", 4, "5 of 4 repeats"), ("pass_any", 1, "5 of 1 repeat")]
)
def test_more_runs_than_repeats_are_a_problem(tmp_path: Path, key: str, repeat: int, said: str) -> None:
    """At the line of `k`, with the most that it can be."""
    with pytest.raises(InputError) as caught:
        checked(tmp_path, "[exact]", f"{{{key}: {{k: 5, min: 0.5}}}}", more=f"repeat: {repeat}")
    (problem,) = caught.value.problems
    assert str(problem).endswith(f"gate[0].{key}.k: {said}; write at most {repeat}, or raise `repeat`")
    assert "suite.yaml:6" in problem.place


@pytest.mark.parametrize(("options", "repeat"), [("k: 4", 4), ("k: 2", 4), ("k: 1", 1)])
def test_as_many_runs_as_repeats_are_sound(tmp_path: Path, options: str, repeat: int) -> None:
    """Its neighbours."""
    checked(tmp_path, "[exact]", f"{{pass_all: {{{options}, min: 0.5}}}}", more=f"repeat: {repeat}")


@pytest.mark.parametrize(
    ("gate", "said"),
    [
        ("pass_rate: {k: 3, min: 0.5}", "k: pass_rate has none; remove it, or gate pass_all or pass_any"),
        ("exact: {k: 3, min: 0.5}", "k: exact has none"),
        ("pass_all: {k: 0, min: 0.5}", "k: 0 is not a number of runs"),
        ("pass_all: {k: -2, min: 0.5}", "k: -2 is not a number of runs"),
        ("pass_all: {k: 2.5, min: 0.5}", "k"),
        ("pass_all: {k: many, min: 0.5}", "k"),
    ],
)
def test_what_is_no_number_of_runs_is_refused(tmp_path: Path, gate: str, said: str) -> None:
    """When the suite is read."""
    with pytest.raises(InputError) as caught:
        checked(tmp_path, "[exact]", f"{{{gate}}}", more="repeat: 4")
    assert said in str(caught.value)
