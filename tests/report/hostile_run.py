"""A run whose every text is one and the same."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import report_samples

from evalkit.aggregate.frame import answer_key
from evalkit.formats.manifest import GoldenFacts, Manifest, SystemFacts
from evalkit.report.html import write_html
from evalkit.report.records import release_decision_markdown
from evalkit.report.view import View, build_view
from evalkit.results import Cell, Check, Comparison, Decision, Estimate, Summary
from evalkit.store.history import PastRun
from evalkit.trust.labels import Label
from evalkit.types import Case, Failure, Message, Metric, Output, Row, Score, Step, ToolCall, Unscored, Usage

HARMLESS = "plain words"
BEFORE = "other words"
"""An answer of the baseline that no answer of the run equals, so that every report has the table of what moved."""


def write(path: Path, payload: str) -> Path:
    """Write the report of a run whose every text is the payload."""
    view, manifest = a_view(payload), a_manifest(payload)
    rows, before = in_order(a_run(payload)), in_order(a_baseline(payload))
    record = release_decision_markdown(view, manifest)
    write_html(path, view, lambda: rows, lambda: before, labels=some_labels(payload), record=record)
    return path


def in_order(rows: list[Row]) -> list[Row]:
    """As a run folder gives them."""
    return sorted(rows, key=lambda row: (row.case.id, row.repeat))


def a_view(payload: str) -> View:
    """The view of the run."""
    rows, before = a_run(payload), a_baseline(payload)
    summary, decision, manifest = a_summary(payload), a_decision(payload), a_manifest(payload)
    return build_view(summary, decision, lambda: rows, lambda: before, manifest, past=some_runs(payload))


def a_manifest(payload: str) -> Manifest:
    """Names of files, versions, hosts, the command."""
    return Manifest(
        run_id=payload,
        suite=payload,
        suite_file=f"{payload}.yaml",
        golden=GoldenFacts(path=payload, sha256=payload, n_cases=1),
        system=SystemFacts(kind=payload, version=payload),
        metrics=(),
        advisory=(),
        score_keys={payload: {payload: payload}},
        cohorts=(payload,),
        command=payload,
        versions={payload: payload},
        seed=3,
        repeats=1,
        expected=1,
        partial=None,
        notices=(payload,),
    )


def _said(payload: str) -> Message:
    """A message with every part, after a text that is long enough to be folded."""
    call = ToolCall(payload, {payload: payload}, payload, payload + 400 * "x", payload, 1, 0.1, 0.2)
    parts = ({"type": "text", "text": payload}, {"type": payload, "x": payload})
    return Message(payload, payload, (call,), payload, payload, parts, {payload: payload})


def a_case(payload: str, place: int) -> Case:
    """Ids end in a number, so that there are several."""
    return Case(
        id=f"{payload}{place}",
        input=payload if place else (_said(payload), Message("user", payload)),
        reference=(payload,),
        contexts=(payload,),
        cohorts={payload: payload, "domain": payload},
        cluster=payload,
        fields={payload: payload},
        place=f"{payload}.jsonl:1",
    )


def a_run(payload: str) -> list[Row]:
    """A failed answer with everything, a failed call, a judge that found its mark, a row that was skipped."""
    usage = Usage(input_tokens=3, output_tokens=4, cost_usd=0.1, model=payload, cached=True)
    output = Output(
        text=payload,
        contexts=(payload,),
        usage=usage,
        tool_calls=(ToolCall(payload, {payload: payload}),),
        trajectory=(
            Step(kind="tool", name=payload, arguments={payload: payload}, error=payload, details={payload: payload}),
        ),
        messages=(_said(payload),),
        state={payload: payload},
        stop=payload,
        interrupt={payload: payload},
        latency_s=0.2,
        attempts=3,
    )
    scores: dict[str, Score | Unscored] = {
        payload: Score(
            payload, 0, False, payload, {payload: payload, "raw": f'{{"why": {json.dumps(payload)}}}'}, usage
        ),
    }
    missing: dict[str, Score | Unscored] = {payload: Unscored(payload, f"echoed {payload}", payload)}
    return [
        Row(case=a_case(payload, 0), output=output, scores=scores),
        Row(case=a_case(payload, 1), failure=Failure(payload, payload)),
        Row(case=a_case(payload, 2), output=Output(text=payload), scores=missing),
        Row(case=a_case(payload, 3), skipped=payload),
        Row(case=_conversation_case(payload, 5), output=_conversation(payload, payload), scores=_by_turn(payload)),
        Row(
            case=_conversation_case(payload, 6),
            failure=Failure(payload, f"turn 1: {payload}", _conversation(payload, payload)),
        ),
    ]


def _conversation_case(payload: str, place: int) -> Case:
    """A case with a script, of which one turn is not reached."""
    turns = [{"user": payload, payload: payload}] * 2
    return replace(a_case(payload, place), input=payload, fields={"turns": turns, payload: payload})


def _conversation(payload: str, answer: str) -> Output:
    """A conversation with steps of a turn and of none, and everything that is known of an answer."""
    known = {"latency_s": 0.1, "contexts": [payload, {"text": payload, "id": payload}], payload: payload}
    said = Message("assistant", answer, (), payload, payload, (), known)
    steps = (
        Step(kind="tool", name=payload, call_id=payload, turn=1, error=payload, recorded_by="evalkit"),
        Step(kind="approval", name=payload, turn=1, decision="rejected", details={payload: payload}),
        Step(kind="tool", name=payload, turn=7, arguments={payload: payload}, result=payload),
    )
    user = replace(_said(payload), role="user")
    return Output(text=answer, messages=(user, said), trajectory=steps, state={payload: answer}, stop=payload)


def _by_turn(payload: str) -> dict[str, Score | Unscored]:
    """A grade with marks of a turn and of a step."""
    found = {"rule": payload, "what": payload, "why": payload, "step": 1, "turn": 1}
    graded = {"turn": 1, "value": 0.0, "passed": False, "reason": payload, "quote": payload}
    missing = {"turn": 1, "unscored": payload, "reason": payload}
    return {payload: Score(payload, 0, False, payload, {"turns": [graded, missing], "violations": [found]})}


def a_baseline(payload: str) -> list[Row]:
    """Other answers and grades, and a case that was removed."""
    score: dict[str, Score | Unscored] = {payload: Score(payload, 1, True, payload, {payload: payload})}
    texts = (BEFORE, payload, BEFORE, BEFORE, payload)
    return [
        *(Row(case=a_case(payload, place), output=Output(text=text), scores=score) for place, text in enumerate(texts)),
        *(
            Row(case=_conversation_case(payload, place), output=_conversation(payload, BEFORE), scores=score)
            for place in (5, 6)
        ),
    ]


def some_labels(payload: str) -> tuple[Label, ...]:
    """A label on the first answer."""
    digest = answer_key(payload).hex() + "0" * 32
    return (Label(f"{payload}0", digest, payload, payload, payload),)


def some_runs(payload: str) -> list[PastRun]:
    """Two stored runs, the scorers of the second are others."""
    values = {f"pass_rate{payload}": 0.5, payload: 0.5}
    keys: list[dict[str, dict[str, str]]] = [{payload: {"a": payload}}, {payload: {"a": "b"}}]
    return [
        PastRun(
            run_id=payload, finished_at=payload, outcome=payload, golden_sha256=payload, score_keys=key, values=values
        )
        for key in keys
    ]


def a_summary(payload: str) -> Summary:
    """Metrics, cohorts, judges, kinds of errors and notes."""
    estimate = Estimate(value=0.5, low=0.4, high=0.6, n=40)
    undefined = Estimate(value=None, reason=payload)
    cohorts = ("overall", f"domain={payload}", f"{payload}=x")
    cells = [
        Cell(metric=payload, cohort=cohort, estimate=each, n_cases=4, n_scored=3, n_unscored=1)
        for cohort, each in zip(cohorts, (estimate, replace(estimate, value=0.3), undefined), strict=True)
    ]
    resource = replace(cells[0], metric="latency_p95_s")
    sample = report_samples.agreement()[0]
    judges = [
        replace(sample, metric=payload, judge=payload, note=payload, cohort=cohort, categories=(payload, "pass"))
        for cohort in cohorts
    ]
    return replace(
        report_samples.summary(),
        suite=payload,
        metrics=(Metric(payload, judge=payload, pass_at=0.5), Metric(f"other {payload}")),
        cells=(*cells, resource, replace(cells[0], metric=f"other {payload}")),
        coverage={"overall": (3, 4), cohorts[1]: (1, 2)},
        agreement=(*judges, replace(judges[0], judge=f"rater {payload} / x", rater_kind=payload)),
        error_kinds={payload: 1},
        unscored_kinds={f"echoed {payload}": 1},
        notes=(payload,),
    )


def a_decision(payload: str) -> Decision:
    """Checks with every text, and a comparison that names cases."""
    seen = Estimate(value=0.5, low=0.4, high=0.6, n=40)
    check = Check(
        name=payload,
        metric=payload,
        cohort=f"domain={payload}",
        outcome="block",
        need=payload,
        observed=seen,
        baseline=0.9,
        drop=replace(seen, value=0.4),
        reason=payload,
        case_ids=tuple(f"{payload}{place}" for place in range(4)),
    )
    compared = Comparison(
        baseline_id=payload,
        n_paired=4,
        overlap=0.8,
        new_failures=(f"{payload}0",),
        removed=(f"{payload}4",),
        incomparable={payload: payload},
    )
    reasons = tuple(f"{place} {payload}" for place in range(5))
    checks = (check, replace(check, outcome="warn", observed=replace(seen, value=None, reason=payload)))
    return Decision(outcome="blocked", checks=checks, reasons=reasons, comparison=compared)
