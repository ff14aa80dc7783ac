"""The metrics of ragas, run for real: judged ones against a local model server, the others offline."""

from __future__ import annotations

import asyncio
import json
import math
import os
import subprocess
import sys
import warnings
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from evalkit.llm.client import ChatClient
from evalkit.llm.config import ChatConfig
from evalkit.llm.wire import json_objects
from evalkit.scorers.base import Services
from evalkit.scorers.libraries.ragas import Ragas
from evalkit.scorers.libraries.ragas_library import load_ragas
from evalkit.scorers.libraries.ragas_metrics import RAGAS_METRICS
from evalkit.scorers.libraries.ragas_replies import given_in
from evalkit.testing import FakeModel, Fault
from evalkit.types import Case, Metric, Output, Score, ToolCall, Unscored

CASE = Case(
    id="1",
    input="What is the fee?",
    reference=("The fee is 10 EUR.",),
    contexts=("The fee is 10 EUR.", "Other news."),
    fields={
        "reference_contexts": ["The fee is 10 EUR."],
        "rubrics": {"score1_description": "wrong", "score5_description": "right"},
        "expected_tool_calls": [{"name": "fee", "arguments": {"year": 2024}}],
    },
)
OUTPUT = Output(text="The fee is 10 EUR.", tool_calls=(ToolCall("fee", {"year": 2024}),))
JUDGED = sorted(name for name, spec in RAGAS_METRICS.items() if spec.llm)
OFFLINE = sorted(name for name, spec in RAGAS_METRICS.items() if not spec.llm and not spec.package)


class Letters:
    """An embedding that counts letters."""

    name = "letters"

    async def embed(self, texts: Any) -> Any:
        """Shape (n, 26)."""
        return np.array([[text.lower().count(chr(97 + i)) for i in range(26)] for text in texts], dtype=np.float32)


def given(request: Mapping[str, Any]) -> dict[str, Any]:
    """The input of a prompt of ragas."""
    prompt = request["messages"][1]["content"]
    found: dict[str, Any] = json.JSONDecoder().raw_decode(prompt, prompt.rfind("\ninput: ") + len("\ninput: "))[0]
    return found


def wanted(request: Mapping[str, Any]) -> str:
    """Name of the reply model that a request asks for."""
    return str(request["response_format"]["json_schema"]["schema"]["title"])


def good_judge(request: dict[str, Any]) -> dict[str, Any]:
    """A judge that finds two statements in each text and agrees with everything."""
    return GOOD[wanted(request)](given(request))


def verdicts(asked: dict[str, Any]) -> dict[str, Any]:
    """A verdict of 1 for each statement."""
    return {"statements": [{"statement": s, "reason": "r", "verdict": 1} for s in asked["statements"]]}


GOOD: Mapping[str, Callable[[dict[str, Any]], dict[str, Any]]] = {
    "StatementGeneratorOutput": lambda _: {"statements": ["one", "two"]},
    "ClaimDecompositionOutput": lambda _: {"claims": ["one", "two"]},
    "NLIStatementOutput": verdicts,
    "StatementFaithfulnessOutput": verdicts,
    "ContextPrecisionOutput": lambda _: {"reason": "r", "verdict": 1},
    "ContextRecallOutput": lambda _: {"classifications": [{"statement": "s", "reason": "r", "attributed": 1}]},
    "AnswerRelevanceOutput": lambda _: {"question": "What is the fee?", "noncommittal": 0},
    "AnswerAccuracyOutput": lambda _: {"rating": 4},
    "ContextRelevanceOutput": lambda _: {"rating": 2},
    "ResponseGroundednessOutput": lambda _: {"rating": 2},
    "EntitiesList": lambda _: {"entities": ["fee"]},
    "RubricScoreOutput": lambda _: {"feedback": "f", "score": 5},
    "InstanceRubricScoreOutput": lambda _: {"feedback": "f", "score": 5},
    "SQLEquivalenceOutput": lambda _: {"response_explanation": "", "reference_explanation": "", "equivalent": True},
    "ExtractedKeyphrases": lambda _: {"keyphrases": ["fee"]},
    "QuestionsGenerated": lambda _: {"questions": ["q1", "q2"]},
    "AnswersGenerated": lambda asked: {"answers": ["1"] * len(asked["questions"])},
    "ClassificationWithReason": lambda asked: {
        "TP": [{"statement": s, "reason": "r"} for s in asked["answer"]],
        "FP": [],
        "FN": [],
    },
}


def judge_but(**replies: Any) -> Callable[[dict[str, Any]], Any]:
    """The good judge with other replies for some models."""
    return lambda request: replies.get(wanted(request)) or good_judge(request)


async def no_wait(_: float) -> None:
    """Retry at once."""


def graded(
    metric: str | Mapping[str, Any], server: FakeModel | None = None, *, case: Case = CASE, output: Output = OUTPUT
) -> Any:
    """Grade one answer with one metric."""

    async def run() -> Any:
        async with server or FakeModel(good_judge) as live:
            config = ChatConfig(model="m-1", base_url=live.base_url, timeout_s=60, max_retries=1)
            async with ChatClient(config, env={}, sleep=no_wait) as client:
                (scorer,) = Ragas(use=(metric,)).bind(Services(Path(), Letters(), client))  # type: ignore[arg-type]
                return await scorer.score(case, output)

    return asyncio.run(run())


@pytest.mark.parametrize("metric", JUDGED)
def test_judged_metric_runs_through_our_client(metric: str) -> None:
    """Every judged metric gives a perfect score where the judge agrees with everything, and counts its tokens."""
    server = FakeModel(good_judge)
    score = graded(metric, server)
    spec = RAGAS_METRICS[metric]
    best = {"noise_sensitivity": 0.0, "summary_score": 0.5}.get(metric, spec.high)
    assert isinstance(score, Score), score
    assert (score.metric, score.value) == (f"ragas.{metric}", best)
    assert score.usage is not None and score.usage.input_tokens == 100 * len(server.requests) > 0


@pytest.mark.parametrize("metric", JUDGED)
@pytest.mark.parametrize("fault", [Fault(kind="status", status=401), Fault(kind="status", status=503)])
def test_failing_judge_is_unscored(metric: str, fault: Fault) -> None:
    """A judge that cannot be had leaves every judged metric unscored, also those that drop exceptions and ask again."""
    server = FakeModel(always=fault)
    grade = graded(metric, server)
    assert isinstance(grade, Unscored)
    assert grade.kind == f"judge_http_{fault.status}"
    assert len(server.requests) <= 2


@pytest.mark.parametrize("metric", JUDGED)
def test_without_judge_is_unscored(metric: str) -> None:
    """Without an endpoint a judged metric says so."""
    (scorer,) = Ragas(use=(metric,)).bind(Services(Path(), Letters()))  # type: ignore[arg-type]
    grade = asyncio.run(scorer.score(CASE, OUTPUT))
    assert isinstance(grade, Unscored)
    assert grade.kind == "no_judge_endpoint" and "judge: {chat:" in grade.message


@pytest.mark.parametrize("metric", OFFLINE)
def test_other_metrics_run_offline(metric: str) -> None:
    """What needs no model runs without an endpoint: a perfect answer gets 1."""
    (scorer,) = Ragas(use=(metric,)).bind(Services(Path(), Letters()))  # type: ignore[arg-type]
    output = Output(text='The page says "The fee is 10 EUR."') if metric == "quoted_spans_alignment" else OUTPUT
    score = asyncio.run(scorer.score(CASE, output))
    assert isinstance(score, Score), score
    assert score.value == 1.0


@pytest.mark.parametrize(("metric", "package"), [("rouge_score", "rouge-score"), ("datacompy_score", "datacompy")])
def test_missing_package_is_unscored(metric: str, package: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A metric whose own package is not installed names the command that installs it."""
    monkeypatch.setattr("importlib.util.find_spec", lambda name, *_: None)
    (scorer,) = Ragas(use=(metric,)).bind(Services(Path()))
    grade = asyncio.run(scorer.score(CASE, OUTPUT))
    assert (grade.kind, grade.message.endswith(f"pip install {package}")) == ("missing_package", True)


def test_ragas_that_does_not_import_is_unscored() -> None:
    """With a broken ragas every metric is unscored under its own name, and the program goes on."""
    code = """
import asyncio, sys
from pathlib import Path
sys.modules["ragas"] = None
from evalkit.scorers.base import Services
from evalkit.scorers.libraries.ragas import Ragas
from evalkit.types import Case, Output
(scorer,) = Ragas(use=("exact_match",)).bind(Services(Path()))
grade = asyncio.run(scorer.score(Case(id="1", input="q", reference=("a",)), Output(text="a")))
sys.stdout.write(f"{grade.kind} {grade.message}")
"""
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ran.stdout.startswith("ragas_unavailable ModuleNotFoundError")
    assert "pip install" in ran.stdout


def test_perfect_precision_is_one() -> None:
    """Ragas gives 0.99999999995 for a perfect context precision: a gate at 1 must not fail on it."""
    library = load_ragas()
    raw = library.collections.ContextPrecision._calculate_average_precision(None, [1, 1])
    assert raw != 1.0
    assert graded("context_precision").value == 1.0
    assert graded("context_entity_recall").value == 1.0


@pytest.mark.parametrize(
    ("metric", "model", "reply"),
    [
        ("context_precision", "ContextPrecisionOutput", {"reason": "r", "verdict": 2}),
        ("context_utilization", "ContextPrecisionOutput", {"reason": "r", "verdict": -1}),
        (
            "faithfulness",
            "NLIStatementOutput",
            {"statements": [{"statement": s, "reason": "r", "verdict": 2} for s in "ab"]},
        ),
        (
            "context_recall",
            "ContextRecallOutput",
            {"classifications": [{"statement": "s", "reason": "r", "attributed": 5}]},
        ),
        ("answer_relevancy", "AnswerRelevanceOutput", {"question": "q", "noncommittal": 7}),
        ("answer_relevancy", "AnswerRelevanceOutput", {"question": " ", "noncommittal": 0}),
        ("answer_accuracy", "AnswerAccuracyOutput", {"rating": 3}),
        ("context_relevance", "ContextRelevanceOutput", {"rating": 4}),
        ("response_groundedness", "ResponseGroundednessOutput", {"rating": -2}),
        ("rubrics_score_without_reference", "RubricScoreOutput", {"feedback": "f", "score": 90}),
        ("instance_specific_rubrics", "InstanceRubricScoreOutput", {"feedback": "f", "score": 0}),
        ("summary_score", "AnswersGenerated", {"answers": ["yes", "1"]}),
    ],
)
def test_verdict_off_its_scale_is_unscored(metric: str, model: str, reply: Any) -> None:
    """Ragas counts a verdict of 2 as two hits; here it is sent back for repair, and then unscored."""
    server = FakeModel(judge_but(**{model: reply}))
    grade = graded(metric, server)
    assert isinstance(grade, Unscored)
    assert grade.kind == "judge_bad_reply"
    assert sum(wanted(request) == model for request in server.requests) == 3


ONE_VERDICT = {"statements": [{"statement": "one", "reason": "r", "verdict": 1}]}


@pytest.mark.parametrize(
    ("metric", "model", "reply"),
    [
        ("faithfulness", "NLIStatementOutput", ONE_VERDICT),
        ("factual_correctness", "NLIStatementOutput", ONE_VERDICT),
        ("noise_sensitivity", "StatementFaithfulnessOutput", ONE_VERDICT),
        ("summary_score", "AnswersGenerated", {"answers": ["1"]}),
        (
            "answer_correctness",
            "ClassificationWithReason",
            {"TP": [{"statement": "one", "reason": "r"}], "FP": [], "FN": []},
        ),
        ("answer_correctness", "ClassificationWithReason", {"TP": [], "FP": [], "FN": []}),
    ],
)
def test_verdicts_that_do_not_count_up_are_unscored(metric: str, model: str, reply: Any) -> None:
    """Ragas divides by the verdicts that came back, so that one of two scores 1.0; here each must be judged."""
    grade = graded(metric, FakeModel(judge_but(**{model: reply})))
    assert isinstance(grade, Unscored)
    assert grade.kind == "judge_bad_reply"


def test_repaired_verdict_counts() -> None:
    """A judge that fixes its reply when it is told gets its score."""
    replies = iter([{"reason": "r", "verdict": 2}])
    server = FakeModel(lambda request: next(replies, None) or good_judge(request))
    assert graded("context_precision", server).value == 1.0
    assert "verdict is 2" in server.requests[1]["messages"][-1]["content"]


@pytest.mark.parametrize(
    ("metric", "model", "reply"),
    [
        ("faithfulness", "StatementGeneratorOutput", {"statements": []}),
        ("answer_correctness", "StatementGeneratorOutput", {"statements": []}),
        ("noise_sensitivity", "StatementGeneratorOutput", {"statements": []}),
        ("factual_correctness", "ClaimDecompositionOutput", {"claims": []}),
        ("context_recall", "ContextRecallOutput", {"classifications": []}),
        ("summary_score", "ExtractedKeyphrases", {"keyphrases": []}),
        ("summary_score", "QuestionsGenerated", {"questions": []}),
        ("context_entity_recall", "EntitiesList", {"entities": []}),
    ],
)
def test_nothing_to_grade_is_not_applicable(metric: str, model: str, reply: Any) -> None:
    """Where the judge finds no statement, ragas gives NaN, 0.0 or 1.0 by metric; here it is one state."""
    grade = graded(metric, FakeModel(judge_but(**{model: reply})))
    assert isinstance(grade, Unscored)
    assert grade.kind == "not_applicable"
    assert grade.usage is not None and grade.usage.input_tokens is not None


def test_context_without_entities_is_a_recall_of_zero() -> None:
    """Only the reference must hold entities: a context without any has simply recalled nothing."""
    replies = iter([{"entities": ["fee"]}, {"entities": []}])
    assert graded("context_entity_recall", FakeModel(lambda _: next(replies))).value == 0.0


@pytest.mark.parametrize("metric", [name for name in JUDGED if "response" in RAGAS_METRICS[name].takes])
def test_empty_answer_is_not_applicable(metric: str) -> None:
    """An empty answer passes nothing and fails nothing: it is not sent to the judge."""
    server = FakeModel(good_judge)
    assert graded(metric, server, output=Output(text=" ")).kind == "not_applicable"
    assert server.requests == []


@pytest.mark.parametrize(
    ("metric", "case", "kind"),
    [
        ("faithfulness", Case(id="1", input="q"), "missing_contexts"),
        ("context_precision", Case(id="1", input="q", contexts=("c",)), "missing_reference"),
        ("semantic_similarity", Case(id="1", input="q", reference=("",)), "missing_reference"),
        ("summary_score", Case(id="1", input="q"), "missing_reference_contexts"),
        ("instance_specific_rubrics", Case(id="1", input="q"), "missing_rubrics"),
        ("tool_call_f1", Case(id="1", input="q"), "missing_expected_tool_calls"),
        (
            "tool_call_f1",
            Case(id="1", input="q", fields={"expected_tool_calls": [{"tool": "x"}]}),
            "bad_expected_tool_calls",
        ),
    ],
)
def test_missing_fields_are_unscored(metric: str, case: Case, kind: str) -> None:
    """What the case lacks is named, and no judge is asked."""
    server = FakeModel(good_judge)
    assert graded(metric, server, case=case).kind == kind
    assert server.requests == []


def test_silent_system_has_no_tool_calls_to_grade() -> None:
    """A system that reports nothing about tools is not one that called none."""
    assert graded("tool_call_f1", output=Output(text="x")).kind == "missing_tool_calls"


def test_same_prompt_again_is_a_new_sample() -> None:
    """answer_relevancy asks one prompt three times: each goes out with its own seed, warm enough to differ."""
    server = FakeModel(good_judge)
    graded("answer_relevancy", server)
    assert [request["seed"] for request in server.requests] == [0, 1, 2]
    assert server.requests[0]["temperature"] == 0.0 < server.requests[1]["temperature"]


def test_best_reference_counts() -> None:
    """With several acceptable answers the best value counts."""
    case = Case(id="1", input="q", reference=("nothing alike", OUTPUT.text))
    assert graded("exact_match", case=case).value == 1.0
    assert graded("semantic_similarity", case=case).value == 1.0


def test_similarity_of_texts_without_words_is_not_applicable() -> None:
    """A vector of zeros has no direction: no division by zero, no NaN."""
    assert graded("semantic_similarity", output=Output(text="123")).kind == "not_applicable"


def test_answer_without_quotes_is_not_applicable() -> None:
    """Ragas gives 1.0 to an answer that quotes nothing."""
    assert graded("quoted_spans_alignment").kind == "not_applicable"


def tools(metric: str | Mapping[str, Any], expected: list[Any], called: list[tuple[str, dict[str, Any]]]) -> Any:
    """Grade tool calls; a warning of ragas would fail the test."""
    case = Case(id="1", input="q", fields={"expected_tool_calls": expected})
    return graded(metric, case=case, output=Output(text="", tool_calls=tuple(ToolCall(*call) for call in called))).value


F1A = {"name": "f", "args": {"a": 1}}


@pytest.mark.parametrize(
    ("expected", "called", "accuracy", "f1"),
    [
        pytest.param([F1A], [("f", {"a": 1})], 1.0, 1.0, id="right"),
        pytest.param([F1A], [("f", {"a": 1, "extra": 2})], 0.5, 0.0, id="argument that nobody expected"),
        pytest.param([{"name": "f"}], [("f", {"extra": 2})], 0.0, 0.0, id="argument where none was expected"),
        pytest.param([F1A], [("f", {"a": 2})], 0.0, 0.0, id="wrong argument"),
        pytest.param([F1A], [("g", {"a": 1})], 0.0, 0.0, id="wrong tool"),
        pytest.param([], [], 1.0, 1.0, id="none expected, none made"),
        pytest.param([], [("f", {})], 0.0, 0.0, id="none expected, one made"),
        pytest.param([F1A], [], 0.0, 0.0, id="one expected, none made"),
        pytest.param([F1A], [("f", {"a": 1}), ("f", {"a": 1})], 0.0, 0.6667, id="made twice"),
        pytest.param([F1A, F1A], [("f", {"a": 1})], 0.0, 0.6667, id="expected twice"),
        pytest.param(["f"], [("f", {})], 1.0, 1.0, id="expected by name alone"),
    ],
)
def test_tool_calls(expected: list[Any], called: list[Any], accuracy: float, f1: float) -> None:
    """Extra arguments and repeated calls count, and to expect nothing and get nothing is right."""
    assert tools("tool_call_accuracy", expected, called) == accuracy
    assert tools("tool_call_f1", expected, called) == f1


def test_order_of_tool_calls() -> None:
    """Order matters unless the suite says that it does not."""
    expected, called = [F1A, {"name": "g"}], [("g", {}), ("f", {"a": 1})]
    assert tools("tool_call_accuracy", expected, called) == 0.0
    assert tools({"tool_call_accuracy": {"strict_order": False}}, expected, called) == 1.0


def test_bleu_reads_every_sentence() -> None:
    """Ragas cuts texts at ". " and compares the first sentence alone; a wrong rest must show."""
    first = "the cat sat on the mat in the hall"
    case = Case(id="1", input="q", reference=(f"{first}. it then went home to its own bed at night",))
    same = graded("bleu_score", case=case, output=Output(text=case.reference[0])).value
    other = graded("bleu_score", case=case, output=Output(text=f"{first}. rain fell over all of these hills")).value
    assert same == 1.0
    assert other < 0.7


@pytest.mark.parametrize(
    ("retrieved", "reference"),
    [
        (["The fee is 10 EUR.", "Other news."], ["The fee is 10 EUR."]),
        (["Other news.", "The fee is 10 EUR."], ["The fee is 10 EUR.", "A deadline of ten days."]),
        (["Other news."], ["The fee is 10 EUR."]),
        (["The fee is ten EUR.", "x", "The deadline is ten days."], ["The fee is 10 EUR.", "A deadline of ten days."]),
    ],
)
def test_non_llm_context_metrics_equal_those_of_the_old_api(retrieved: list[str], reference: list[str]) -> None:
    """Precision and recall of contexts without a model are those that ragas' deprecated classes give."""
    load_ragas()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from ragas.dataset_schema import SingleTurnSample
        from ragas.metrics._context_precision import NonLLMContextPrecisionWithReference
        from ragas.metrics._context_recall import NonLLMContextRecall

        sample = SingleTurnSample(retrieved_contexts=retrieved, reference_contexts=reference)
        precision = asyncio.run(NonLLMContextPrecisionWithReference().single_turn_ascore(sample))
        recall = asyncio.run(NonLLMContextRecall().single_turn_ascore(sample))
    case = Case(id="1", input="q", contexts=tuple(retrieved), fields={"reference_contexts": reference})
    assert graded("non_llm_context_precision", case=case).value == pytest.approx(precision, abs=1e-6)
    assert graded("non_llm_context_recall", case=case).value == pytest.approx(recall, abs=1e-6)


@pytest.mark.parametrize(
    ("options", "passed"), [({}, None), ({"min": 0.9}, True), ({"max": 0.9}, False), ({"min": 0.2, "max": 1.0}, True)]
)
def test_pass_marks(options: dict[str, float], passed: bool | None) -> None:
    """A mark makes a metric pass or fail; without one it is only measured."""
    assert graded({"semantic_similarity": options}).passed is passed


def test_binary_metric_passes_by_itself() -> None:
    """A metric of yes and no needs no mark."""
    assert graded("exact_match").passed is True


@pytest.mark.parametrize("value", [math.nan, math.inf, 1.5, -0.2])
def test_value_off_the_scale_is_unscored(value: float, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever ragas computes, a value that is not finite or not on the scale is not a score, and is not clamped."""

    async def broken(self: Any, **_: Any) -> Any:
        from ragas.metrics.result import MetricResult

        return MetricResult(value=value)

    monkeypatch.setattr(load_ragas().collections.ExactMatch, "ascore", broken)
    grade = graded("exact_match")
    assert isinstance(grade, Unscored)
    assert grade.kind == ("out_of_range" if math.isfinite(value) else "not_finite")


def test_metrics_say_direction_scale_and_judge() -> None:
    """Each metric is declared before the first call; only a judged one names a judge."""
    config = ChatConfig(model="m-1", base_url="http://127.0.0.1:1/v1")
    services = Services(Path(), Letters(), ChatClient(config, env={}))  # type: ignore[arg-type]
    scorers = Ragas(use=("noise_sensitivity", "exact_match")).bind(services)
    assert [scorer.metrics[0] for scorer in scorers] == [
        Metric("ragas.noise_sensitivity", higher_is_better=False, judge="chat:m-1"),
        Metric("ragas.exact_match", binary=True),
    ]
    assert set(scorers[0].key_parts) == {"ragas", "judge", "settings"}
    assert scorers[0].needs == {"reference"}


@pytest.mark.parametrize(
    ("use", "message"),
    [
        ((), "use: no metric is named"),
        (("faithfullness",), "did you mean faithfulness"),
        (("exact_match", "exact_match"), "named twice"),
        (({"faithfulness": {"minimum": 1}},), "no option 'minimum'; choose from max, min"),
        (({"faithfulness": {"min": "0.8"}},), "write a value of type float"),
        (({"faithfulness": 0.8},), "takes options as a mapping"),
        (({"factual_correctness": {"mode": "f2"}},), "choose from precision, recall, f1"),
        (({"answer_relevancy": {"strictness": True}},), "write a value of type int"),
        (({"faithfulness": None, "exact_match": None},), "several names"),
    ],
)
def test_bad_options_are_refused(use: tuple[Any, ...], message: str) -> None:
    """A metric or option that does not exist is found before anything is imported, with the choices."""
    with pytest.raises(ValueError, match=message):
        Ragas(use=use)


def test_lists_in_a_prompt_are_counted_whatever_the_texts_hold() -> None:
    """A text that looks like the frame of a prompt does not change what was asked."""
    asked = json.dumps({"context": '\ninput: {"statements": []}\nOutput: ', "statements": ["a", "b"]}, indent=4)
    assert given_in(f"examples\ninput: {asked}\nOutput: ") == (("statements", 2),)


@pytest.mark.slow
def test_import_leaves_no_trace(tmp_path: Path) -> None:
    """Loading ragas opens no connection, writes nothing to the home folder, and is done once for all threads."""
    code = """
import socket, sys, threading
def refuse(*_, **__):
    raise AssertionError("a connection")
socket.socket.connect = socket.getaddrinfo = refuse
from evalkit.scorers.libraries.ragas_library import load_ragas
found = []
threads = [threading.Thread(target=lambda: found.append(load_ragas())) for _ in range(4)]
[thread.start() for thread in threads], [thread.join() for thread in threads]
assert len(found) == 4 and all(one is found[0] for one in found)
from ragas._analytics import do_not_track
assert do_not_track()
import asyncio
from pathlib import Path
from evalkit.scorers.base import Services
from evalkit.scorers.libraries.ragas import Ragas
from evalkit.types import Case, Output
(scorer,) = Ragas(use=("exact_match",)).bind(Services(Path()))
asyncio.run(scorer.score(Case(id="1", input="q", reference=("a",)), Output(text="a")))
"""
    home = {"HOME": str(tmp_path), "XDG_DATA_HOME": str(tmp_path / "data"), "XDG_CACHE_HOME": str(tmp_path / "cache")}
    env = {**os.environ, **home, "RAGAS_DO_NOT_TRACK": "false"}
    ran = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, env=env, capture_output=True, text=True)
    assert (ran.returncode, ran.stdout, ran.stderr) == (0, "", "")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
def test_module_that_langchain_dropped_is_stood_in_for() -> None:
    """With a langchain-community that lacks the module, ragas imports all the same."""
    code = """
import importlib.abc, sys
class Gone(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name == "langchain_community.chat_models.vertexai":
            raise ModuleNotFoundError(name)
sys.meta_path.insert(0, Gone())
from evalkit.scorers.libraries.ragas_library import load_ragas
assert load_ragas().collections.Faithfulness
"""
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert (ran.returncode, ran.stderr) == (0, "")


def test_loop_is_not_patched() -> None:
    """The deprecated way into ragas replaces `asyncio.run` for good; ours leaves it alone."""
    before = asyncio.run
    graded("exact_match")
    assert asyncio.run is before


def test_statements_of_the_prompt_s_own_example_are_unscored() -> None:
    """A small model that hands back ragas' example has said nothing about the case."""

    def copying(request: dict[str, Any]) -> dict[str, Any]:
        if wanted(request) != "StatementGeneratorOutput":
            return good_judge(request)
        prompt = request["messages"][-1]["content"]
        examples = [found for found in json_objects(prompt) if "statements" in found]
        return {"statements": examples[0]["statements"]}

    grade = graded("faithfulness", FakeModel(copying))
    assert isinstance(grade, Unscored)
    assert grade.kind == "judge_echoed_example"


def test_no_usage_is_reported_once_a_run_has_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    """A run gives the process its environment back; a second run in it stays silent."""
    from ragas import _analytics

    load_ragas()
    monkeypatch.delenv("RAGAS_DO_NOT_TRACK", raising=False)
    assert _analytics.do_not_track()
    load_ragas()
    assert os.environ["RAGAS_DO_NOT_TRACK"] == "true"
