"""Traces as suites: golden rows, stored outputs, labels of people, recorded verdicts, and what is not carried over."""

from __future__ import annotations

import gzip
import json
import sys
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "traces"))
from import_lab import Import, import_file, import_text
from trace_lab import TRACE, document, event, key_values, model, span

from evalkit import Score, Unscored
from evalkit.errors import InputError

TOOL = {"gen_ai.operation.name": "execute_tool", "gen_ai.tool.name": "refund"}
SAMPLE = document(
    span(1, 0, {"gen_ai.operation.name": "invoke_agent", "session.id": "s"}, at=(1, 9)),
    model(2, 1, events=[event("gen_ai.evaluation.result", {"gen_ai.evaluation.score.value": 0.5})]),
    span(3, 1, {**TOOL, "gen_ai.tool.call.arguments": '{"order": "A-17"}', "gen_ai.tool.call.result": "ok"}),
    model(4, 1, said="Refunded."),
    logs=({"traceId": TRACE, "spanId": f"{4:016x}", "eventName": "x", "body": {"stringValue": "y"}},),
)


def annotated(*annotations: dict[str, Any]) -> dict[str, Any]:
    """A model's call with annotations of OpenInference."""
    attributes = {
        f"annotations.{number}.annotation.{key}": value
        for number, each in enumerate(annotations)
        for key, value in each.items()
    }
    return model(1, attributes={"openinference.span.kind": "LLM", **attributes})


def said(made: Import) -> list[str]:
    """What is not carried over, without places."""
    return [what for _, what in made.losses]


def test_labels_are_those_of_people(tmp_path: Path) -> None:
    """A person's annotation of the answer is a label; the verdict of a model is recorded and decides nothing."""
    source = annotated(
        {"name": "correct", "label": "pass", "annotator_kind": "HUMAN", "identifier": "ann"},
        {"name": "tone", "score": 0.25, "annotator_kind": "HUMAN"},
        {"name": "mood", "label": "so so", "annotator_kind": "HUMAN"},
        {"name": "faithful", "score": 1, "label": "yes", "explanation": "quoted", "annotator_kind": "LLM"},
        {"name": "empty", "annotator_kind": "CODE"},
    )
    made = import_text(tmp_path, "a.otlp.json", document(source))
    labels = [json.loads(line) for line in made.read("labels.jsonl").splitlines()]
    assert [(each["scorer"], each["label"], each["rater"], each["rater_kind"]) for each in labels] == [
        ("correct", "pass", "ann", "person"),
        ("tone", 0.25, "unknown", "person"),
    ]
    assert made.answers[0]["recorded"] == {"faithful": {"value": 1.0, "label": "yes", "reason": "quoted", "by": "LLM"}}
    assert made.golden[0]["recorded"] == {"faithful": 1.0}
    assert said(made) == [
        "empty: a verdict without a score or a label",
        "mood of unknown: feedback that is neither pass or fail nor a number",
    ]


def test_an_annotation_of_a_step_is_no_label(tmp_path: Path) -> None:
    """It is not about the answer, so it is recorded."""
    inner = annotated({"name": "correct", "label": "fail", "annotator_kind": "HUMAN"})
    inner.update({"spanId": f"{2:016x}", "parentSpanId": f"{9:016x}"})
    root = span(9, 0, {"gen_ai.operation.name": "invoke_agent"}, at=(0, 20))
    made = import_text(tmp_path, "a.otlp.json", document(root, inner))
    assert not (made.folder / "labels.jsonl").exists()
    assert made.answers[0]["recorded"] == {"correct": {"value": "fail", "label": "fail", "by": "HUMAN"}}


def test_evaluations_in_logs_are_recorded(tmp_path: Path) -> None:
    """`gen_ai.evaluation.result` is an event of a log."""
    log = {
        "traceId": TRACE,
        "spanId": f"{1:016x}",
        "eventName": "gen_ai.evaluation.result",
        "attributes": key_values(
            {
                "gen_ai.evaluation.name": "relevance",
                "gen_ai.evaluation.score.value": 0.75,
                "gen_ai.evaluation.explanation": "why",
            }
        ),
    }
    made = import_text(tmp_path, "a.otlp.json", document(model(1), logs=(log,)))
    assert made.answers[0]["recorded"] == {"relevance": {"value": 0.75, "reason": "why"}}


@pytest.mark.parametrize("observed", [False, True])
def test_observed_calls_are_expected_only_if_asked(tmp_path: Path, observed: bool) -> None:
    """Then the successful ones are, and the trace itself passes."""
    calls = [span(at, 1, {**TOOL, "gen_ai.tool.call.arguments": f'{{"at": {at}}}'}) for at in (3, 4)]
    calls[0]["status"] = {"code": 2, "message": "no"}
    root = span(1, 0, {"gen_ai.operation.name": "invoke_agent"}, at=(1, 9))
    made = import_text(tmp_path, "a.otlp.json", document(root, model(2, 1), *calls), expect_observed=observed)
    assert made.golden[0].get("expected_tool_calls") == (
        [{"name": "refund", "arguments": {"at": 4}}] if observed else None
    )
    (row,) = made.run().values()
    passed = [score.passed for score in row.scores.values() if isinstance(score, Score) and score.passed is not None]
    assert passed == [True]
    assert ("tool_calls.match" in row.scores) is observed


def test_an_answer_without_content_is_listed(tmp_path: Path) -> None:
    """With the variable to set; its steps are an output whose text is unknown, which no scorer of texts grades."""
    made = import_text(tmp_path, "a.otlp.json", document(model(1, said=None)))
    assert made.golden[0]["input"] == "(the trace does not hold the input)"
    assert made.answers[0]["output"]["text_known"] is False
    assert [each.partition(":")[0] for each in said(made)] == [
        "no span holds what the user said",
        "the text of the answer",
    ]
    (row,) = made.run().values()
    assert {(grade.kind if isinstance(grade, Unscored) else "scored") for grade in row.scores.values()} == {"no_text"}
    assert "OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT" in made.read("IMPORT.md")


def test_repeats_and_limit(tmp_path: Path) -> None:
    """Several traces of a case are repeats; the limit counts cases."""
    spans = [model(at, trace=f"{at:032x}", attributes={"evalkit.case_id": case}) for at, case in enumerate("aba", 1)]
    made = import_text(tmp_path, "a.otlp.json", document(*spans))
    assert [(row["id"], row["repeat"]) for row in made.answers] == [("a", 0), ("b", 0), ("a", 1)]
    assert made.suite["repeat"] == 2
    first = import_text(tmp_path, "a.otlp.json", document(*spans), "first", limit=1)
    assert [row["id"] for row in first.answers] == ["a", "a"]


def test_packed_files_and_lines(tmp_path: Path) -> None:
    """A collector packs its files, and writes one export a line."""
    lines = "".join(json.dumps(document(each)) + "\n" for each in (model(2, 1), span(1, 0, TOOL, at=(1, 9))))
    (tmp_path / "pyproject.toml").touch()
    (tmp_path / "a.otlp.jsonl.gz").write_bytes(gzip.compress(lines.encode()))
    assert import_file(tmp_path / "a.otlp.jsonl.gz", tmp_path / "out").counts == {"case": (1, 1), "output": (1, 1)}


@pytest.mark.slow
def test_10_001_steps_are_listed(tmp_path: Path) -> None:
    """The output is not carried over; the case is."""
    spans = [model(at, 1 if at > 1 else 0) for at in range(1, 10_002)]
    made = import_text(tmp_path, "a.otlp.json", document(*spans))
    assert made.counts == {"case": (1, 1), "output": (1, 0)}
    assert said(made) == ["trajectory: 10,001 items, at most 10,000 are read"]


@pytest.mark.parametrize(
    ("text", "what"),
    [
        (json.dumps(SAMPLE)[:-40], "a.otlp.json:1:"),
        (json.dumps(SAMPLE) + "\n" + json.dumps(SAMPLE)[:300] + "\n", "a.otlp.json:2:"),
        (json.dumps(SAMPLE).replace('"0.5"', "NaN").replace("0.5", "NaN"), "NaN is not a JSON number"),
        (json.dumps(document()), "no case in it can be carried over"),
        ('{"resourceSpans": 7}', "`resourceSpans` is not a list"),
    ],
    ids=["cut", "cut line", "NaN", "nothing", "no list"],
)
def test_a_file_that_cannot_be_read_is_refused(tmp_path: Path, text: str, what: str) -> None:
    """With file and line."""
    with pytest.raises(InputError, match=what.replace(".", r"\.")):
        import_text(tmp_path, "a.otlp.json", text)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("more", "what"),
    [
        ({"more": "other.json"}, "not a file of traces, as the first is"),
        ({"format": "ragas"}, "not a file of ragas"),
        ({"answers": "other.json"}, "traces hold their own answers"),
    ],
)
def test_options_that_do_not_fit(tmp_path: Path, more: dict[str, str], what: str) -> None:
    """Each is named."""
    (tmp_path / "other.json").write_text('[{"user_input": "q", "response": "a"}]')
    paths: dict[str, Any] = {
        "more": (tmp_path / "other.json",), "answers": tmp_path / "other.json", "format": "ragas"
    }  # fmt: skip
    with pytest.raises(InputError, match=what):
        import_text(tmp_path, "a.otlp.json", SAMPLE, **{key: paths[key] for key in more})


@pytest.mark.parametrize("more", [{"expect_observed": True}, {"more": ("other.json",)}])
def test_other_formats_take_no_options_of_traces(tmp_path: Path, more: dict[str, Any]) -> None:
    """`--expect-observed` and further files go with traces alone."""
    (tmp_path / "other.json").write_text("[]")
    paths = {key: tuple(tmp_path / each for each in value) if key == "more" else value for key, value in more.items()}
    with pytest.raises(InputError, match="traces"):
        import_text(tmp_path, "a.json", '[{"user_input": "q", "response": "a"}]', **paths)
