"""The metrics of deepeval, run for real against a local model server."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import threading
import warnings
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from evalkit.llm.client import ChatClient
from evalkit.llm.config import ChatConfig
from evalkit.scorers.base import Services
from evalkit.scorers.libraries.deepeval import Deepeval
from evalkit.scorers.libraries.deepeval_library import load_deepeval, muted_thread
from evalkit.scorers.libraries.deepeval_metrics import DEEPEVAL_METRICS
from evalkit.testing import FakeModel, Fault
from evalkit.types import Case, Metric, Output, Score, ToolCall, Unscored

CASE = Case(
    id="1",
    input="What is the fee?",
    reference=("The fee is 10 EUR.",),
    contexts=("The fee is 10 EUR.", "Other news."),
)
OUTPUT = Output(text="The fee is 10 EUR.")
G_EVAL: Mapping[str, Any] = {"g_eval": {"name": "helpful", "criteria": "Is it helpful?"}}
JUDGED: list[Any] = [G_EVAL if name == "g_eval" else name for name, spec in DEEPEVAL_METRICS.items() if spec.llm]
IDS = [name for name, spec in DEEPEVAL_METRICS.items() if spec.llm]


def wanted(request: Mapping[str, Any]) -> str:
    """Name of the reply model that a request asks for."""
    return str(request["response_format"]["json_schema"]["schema"]["title"])


GOOD: Mapping[str, Any] = {
    "Steps": {"steps": ["look", "judge"]},
    "ReasonScore": {"reason": "helpful", "score": 8},
    "Truths": {"truths": ["the fee is 10"]},
    "Claims": {"claims": ["one", "two"]},
    "Statements": {"statements": ["one", "two"]},
    "Verdicts": {"verdicts": [{"verdict": "yes", "reason": "r"}, {"verdict": "yes", "reason": "r"}]},
    "FaithfulnessScoreReason": {"reason": "faithful"},
    "AnswerRelevancyScoreReason": {"reason": "relevant"},
    "HallucinationScoreReason": {"reason": "sober"},
}


def judge_but(**replies: Any) -> Callable[[dict[str, Any]], Any]:
    """A judge that agrees with everything, but for the given replies."""
    return lambda request: replies.get(wanted(request)) or GOOD[wanted(request)]


async def no_wait(_: float) -> None:
    """Retry at once."""


def graded(
    metric: str | Mapping[str, Any], server: FakeModel | None = None, *, case: Case = CASE, output: Output = OUTPUT
) -> Any:
    """Grade one answer with one metric."""
    return asyncio.run(grades(metric, server or FakeModel(judge_but()), [(case, output)]))[0]


async def grades(metric: str | Mapping[str, Any], server: FakeModel, pairs: list[tuple[Case, Output]]) -> Any:
    """Grade several answers at once with one metric."""
    async with server:
        config = ChatConfig(model="m-1", base_url=server.base_url, timeout_s=60, max_retries=1)
        async with ChatClient(config, env={}, sleep=no_wait) as client:
            (scorer,) = Deepeval(use=(metric,)).bind(Services(Path(), llm=client))
            return await asyncio.gather(*(scorer.score(case, output) for case, output in pairs))


@pytest.mark.parametrize(
    ("metric", "name", "value", "reason", "calls"),
    [
        pytest.param(G_EVAL, "deepeval.helpful", 0.8, "helpful", 2, id="g_eval"),
        pytest.param("faithfulness", "deepeval.faithfulness", 1.0, "faithful", 4, id="faithfulness"),
        pytest.param("answer_relevancy", "deepeval.answer_relevancy", 1.0, "relevant", 3, id="answer_relevancy"),
        pytest.param("hallucination", "deepeval.hallucination", 1.0, "sober", 2, id="hallucination"),
    ],
)
def test_metric_runs_through_our_client(metric: Any, name: str, value: float, reason: str, calls: int) -> None:
    """Each judged metric gives its value and reason, and every token is counted."""
    server = FakeModel(judge_but())
    score = graded(metric, server)
    assert isinstance(score, Score), score
    assert (score.metric, score.value, score.reason) == (name, value, reason)
    assert len(server.requests) == calls
    assert score.usage is not None and score.usage.input_tokens == 100 * calls


@pytest.mark.parametrize("metric", JUDGED, ids=IDS)
@pytest.mark.parametrize("status", [401, 503])
def test_failing_judge_is_unscored(metric: Any, status: int) -> None:
    """A judge that cannot be had leaves the case unscored after the first question."""
    server = FakeModel(always=Fault(kind="status", status=status))
    grade = graded(metric, server)
    assert isinstance(grade, Unscored)
    assert grade.kind == f"judge_http_{status}"
    assert len(server.requests) == (1 if status == 401 else 2)


@pytest.mark.parametrize("metric", JUDGED, ids=IDS)
def test_without_judge_is_unscored(metric: Any) -> None:
    """Without an endpoint a judged metric says so."""
    (scorer,) = Deepeval(use=(metric,)).bind(Services(Path()))
    grade = asyncio.run(scorer.score(CASE, OUTPUT))
    assert isinstance(grade, Unscored)
    assert grade.kind == "no_judge_endpoint" and "judge: {chat:" in grade.message


def test_deepeval_that_does_not_import_is_unscored() -> None:
    """With a broken deepeval every metric is unscored under its own name, and the program goes on."""
    code = """
import asyncio, sys
from pathlib import Path
sys.modules["deepeval"] = None
from evalkit.scorers.base import Services
from evalkit.scorers.libraries.deepeval import Deepeval
from evalkit.types import Case, Output
(scorer,) = Deepeval(use=("tool_correctness",)).bind(Services(Path()))
grade = asyncio.run(scorer.score(Case(id="1", input="q"), Output(text="a")))
sys.stdout.write(f"{grade.kind} {grade.message}")
"""
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ran.stdout.startswith("deepeval_unavailable ModuleNotFoundError")
    assert "pip install" in ran.stdout


@pytest.mark.parametrize("level", [85, -3, 11, 0.8, 7.5])
def test_level_off_the_scale_is_unscored(level: float) -> None:
    """GEval divides whatever it gets by 10: 85 is 8.5 there and 0.8 is 0.08; here it is not a score."""
    server = FakeModel(judge_but(ReasonScore={"reason": "r", "score": level}))
    grade = graded(G_EVAL, server)
    assert isinstance(grade, Unscored)
    assert grade.kind == "judge_bad_reply" and "whole number from 0 to 10" in grade.message
    assert sum(wanted(request) == "ReasonScore" for request in server.requests) == 3


@pytest.mark.parametrize(("level", "value"), [(0, 0.0), (10, 1.0), (3, 0.3)])
def test_levels_are_tenths(level: int, value: float) -> None:
    """A level from 0 to 10 is a value from 0 to 1."""
    assert graded(G_EVAL, FakeModel(judge_but(ReasonScore={"reason": "r", "score": level}))).value == value


def test_steps_are_generated_once_for_a_rubric() -> None:
    """Cases at once share the evaluation steps, and each shows the steps that it was graded by."""
    server = FakeModel(judge_but())
    found = asyncio.run(grades(G_EVAL, server, [(CASE, OUTPUT)] * 5))
    assert [score.value for score in found] == [0.8] * 5
    assert [wanted(request) for request in server.requests].count("Steps") == 1
    assert all(score.details["evaluation_steps"] == ["look", "judge"] for score in found)


def test_failed_steps_are_asked_for_again() -> None:
    """A case that failed to get the steps leaves no trace: the next one asks."""
    server = FakeModel(judge_but(), faults=[Fault(kind="status", status=401)])
    first, second = asyncio.run(grades(G_EVAL, server, [(CASE, OUTPUT)] * 2))
    assert (first.kind, second.value) == ("judge_http_401", 0.8)


def test_given_steps_cost_no_question() -> None:
    """Steps that the suite gives are used as they are."""
    server = FakeModel(judge_but())
    assert graded({"g_eval": {"evaluation_steps": ["count the words"]}}, server).value == 0.8
    assert len(server.requests) == 1
    assert "count the words" in server.requests[0]["messages"][1]["content"]


def test_each_case_has_its_own_metric() -> None:
    """Deepeval keeps results on the metric: answers graded at once must not get each other's."""

    def by_answer(request: dict[str, Any]) -> Any:
        if wanted(request) == "Steps":
            return GOOD["Steps"]
        number = int(request["messages"][1]["content"].split("answer number ")[1][0])
        return {"reason": f"this is {number}", "score": number}

    pairs = [(CASE, Output(text=f"answer number {number}")) for number in range(8)]
    found = asyncio.run(grades(G_EVAL, FakeModel(by_answer, latency_s=0.005), pairs))
    assert [(score.value, score.reason) for score in found] == [(n / 10, f"this is {n}") for n in range(8)]


@pytest.mark.parametrize(
    ("metric", "model", "reply"),
    [
        ("faithfulness", "Claims", {"claims": []}),
        ("faithfulness", "Truths", {"truths": []}),
        ("answer_relevancy", "Statements", {"statements": []}),
    ],
)
def test_nothing_to_grade_is_not_applicable(metric: str, model: str, reply: Any) -> None:
    """Deepeval passes an answer without claims with a 1; here it is not a score."""
    grade = graded(metric, FakeModel(judge_but(**{model: reply})))
    assert isinstance(grade, Unscored)
    assert grade.kind == "not_applicable"
    assert grade.usage is not None


@pytest.mark.parametrize("metric", JUDGED, ids=IDS)
def test_empty_answer_is_not_applicable(metric: Any) -> None:
    """An empty answer is not sent to the judge."""
    server = FakeModel(judge_but())
    assert graded(metric, server, output=Output(text=" \n")).kind == "not_applicable"
    assert server.requests == []


@pytest.mark.parametrize("metric", ["faithfulness", "answer_relevancy", "hallucination"])
def test_missing_verdicts_are_unscored(metric: str) -> None:
    """Deepeval divides by the verdicts that came back; here each item must have one."""
    one = {"verdicts": [{"verdict": "yes", "reason": "r"}]}
    grade = graded(metric, FakeModel(judge_but(Verdicts=one)))
    assert isinstance(grade, Unscored)
    assert grade.kind == "judge_bad_reply" and "judge each exactly once" in grade.message


def test_unknown_verdict_is_unscored() -> None:
    """A verdict outside the vocabulary is not dropped from the denominator."""
    odd = {"verdicts": [{"verdict": "yes", "reason": "r"}, {"verdict": "maybe", "reason": "r"}]}
    assert graded("faithfulness", FakeModel(judge_but(Verdicts=odd))).kind == "judge_bad_reply"


@pytest.mark.parametrize(("verdicts", "value"), [(("yes", "yes"), 1.0), (("yes", "no"), 0.5), (("no", "no"), 0.0)])
def test_hallucination_is_better_when_higher(verdicts: tuple[str, str], value: float) -> None:
    """From deepeval 4 on, 1 agrees with every context: the metric says higher is better, and `min` is its mark."""
    reply = {"verdicts": [{"verdict": verdict, "reason": "r"} for verdict in verdicts]}
    score = graded({"hallucination": {"min": 0.9}}, FakeModel(judge_but(Verdicts=reply)))
    assert (score.value, score.passed) == (value, value == 1.0)
    assert Deepeval(use=("hallucination",)).metrics[0].higher_is_better


def tools(expected: list[Any], called: list[tuple[str, dict[str, Any]]], **options: Any) -> Any:
    """Grade tool calls without any judge."""
    case = Case(id="1", input="q", fields={"expected_tool_calls": expected})
    (scorer,) = Deepeval(use=({"tool_correctness": options},)).bind(Services(Path()))
    output = Output(text="", tool_calls=tuple(ToolCall(*call) for call in called))
    grade = asyncio.run(scorer.score(case, output))
    assert isinstance(grade, Score), grade
    return grade.value


F1A = {"name": "f", "arguments": {"a": 1}}


@pytest.mark.parametrize(
    ("expected", "called", "value"),
    [
        pytest.param([F1A], [("f", {"a": 1})], 1.0, id="right"),
        pytest.param([F1A], [("f", {"a": 2})], 0.0, id="wrong argument"),
        pytest.param([F1A], [("f", {"a": 1, "b": 2})], 0.5, id="argument that nobody expected"),
        pytest.param([F1A], [("f", {"a": 1}), ("pay", {})], 0.5, id="call that nobody expected"),
        pytest.param([F1A, F1A], [("f", {"a": 1}), ("f", {"a": 1})], 1.0, id="expected and made twice"),
        pytest.param([F1A, F1A], [("f", {"a": 1})], 0.5, id="expected twice, made once"),
        pytest.param([], [], 1.0, id="none expected, none made"),
        pytest.param([], [("f", {})], 0.0, id="none expected, one made"),
        pytest.param([F1A], [], 0.0, id="one expected, none made"),
        pytest.param(["f"], [("f", {})], 1.0, id="expected by name alone"),
    ],
)
def test_tool_correctness_compares_arguments(expected: list[Any], called: list[Any], value: float) -> None:
    """Without a model or a key: arguments count, and so do surplus and repeated calls."""
    assert tools(expected, called) == value


def test_order_and_exactness_of_tool_calls() -> None:
    """Order counts where the suite says so."""
    expected, called = [F1A, "g"], [("g", {}), ("f", {"a": 1})]
    assert tools(expected, called) == 1.0
    assert tools(expected, called, ordered=True) == 0.5
    assert tools(expected, called, exact=True) == 0.0


@pytest.mark.parametrize(
    ("metric", "case", "output", "kind"),
    [
        ("faithfulness", Case(id="1", input="q"), OUTPUT, "missing_contexts"),
        ("hallucination", Case(id="1", input="q"), OUTPUT, "missing_contexts"),
        (
            {"g_eval": {"criteria": "c", "parts": ["answer", "reference"]}},
            Case(id="1", input="q"),
            OUTPUT,
            "missing_reference",
        ),
        ("tool_correctness", Case(id="1", input="q"), OUTPUT, "missing_expected_tool_calls"),
        ("tool_correctness", Case(id="1", input="q", fields={"expected_tool_calls": []}), OUTPUT, "missing_tool_calls"),
    ],
)
def test_missing_fields_are_unscored(metric: Any, case: Case, output: Output, kind: str) -> None:
    """What case or output lack is named, and no judge is asked."""
    server = FakeModel(judge_but())
    assert graded(metric, server, case=case, output=output).kind == kind
    assert server.requests == []


def test_g_eval_reads_the_parts_it_names() -> None:
    """Only the named parts of the case are sent; with several references the best value counts."""
    levels = iter([2, 9])

    def by_turn(request: dict[str, Any]) -> Any:
        return GOOD["Steps"] if wanted(request) == "Steps" else {"reason": "r", "score": next(levels)}

    server = FakeModel(by_turn)
    case = Case(id="1", input="a question", reference=("first reference", "second reference"), contexts=("a passage",))
    score = graded({"g_eval": {"criteria": "c", "parts": ["answer", "reference"]}}, server, case=case)
    assert score.value == 0.9
    sent = server.requests[1]["messages"][1]["content"]
    assert "first reference" in sent and "a question" not in sent and "a passage" not in sent


def test_answer_that_names_a_picture_stays_text() -> None:
    """A text in deepeval's notation for pictures cannot make a case unscored."""
    assert graded(G_EVAL, output=Output(text="see [DEEPEVAL:IMAGE:abc]")).value == 0.8


@pytest.mark.parametrize("text", ["{{ 7*7 }} {% for x in y %}", "{score} %s", "\x00\u2028\ud800"])
def test_data_is_not_a_template(text: str) -> None:
    """Braces in an answer reach the judge as they are."""
    server = FakeModel(judge_but())
    assert graded("answer_relevancy", server, output=Output(text=text)).value == 1.0
    assert text in server.requests[0]["messages"][1]["content"]


def test_metrics_say_scale_and_judge() -> None:
    """Each metric is declared before the first call; only a judged one names a judge."""
    config = ChatConfig(model="m-1", base_url="http://127.0.0.1:1/v1")
    services = Services(Path(), llm=ChatClient(config, env={}))
    scorers = Deepeval(use=(G_EVAL, "tool_correctness")).bind(services)
    assert [scorer.metrics[0] for scorer in scorers] == [
        Metric("deepeval.helpful", judge="chat:m-1"),
        Metric("deepeval.tool_correctness"),
    ]
    assert [set(scorer.key_parts) for scorer in scorers] == [{"deepeval", "judge", "settings"}, {"deepeval"}]
    assert scorers[1].needs == {"expected_tool_calls"}


@pytest.mark.parametrize(
    ("use", "message"),
    [
        ((), "use: no metric is named"),
        (("faithfullness",), "did you mean faithfulness"),
        (("g_eval",), "neither criteria nor evaluation_steps"),
        (({"g_eval": {"evaluation_steps": []}},), "neither criteria nor evaluation_steps"),
        (({"g_eval": {"evaluation_steps": [1]}},), "not a list of texts"),
        (({"g_eval": {"criteria": "c", "parts": ["anwser"]}},), "choose from question, answer, reference, contexts"),
        (({"g_eval": {"criteria": "c", "parts": []}},), "names nothing"),
        ((G_EVAL, G_EVAL), "helpful is named twice"),
        (({"faithfulness": {"threshold": 0.5}},), "no option 'threshold'"),
        (({"faithfulness": {"include_reason": "no"}},), "write a value of type bool"),
    ],
)
def test_bad_options_are_refused(use: tuple[Any, ...], message: str) -> None:
    """A metric or option that does not exist is found before anything is imported, with the choices."""
    with pytest.raises(ValueError, match=message):
        Deepeval(use=use)


def test_import_leaves_no_trace(tmp_path: Path) -> None:
    """Loading deepeval prints nothing, writes nothing, contacts nobody, reads no .env, and patches no loop."""
    (tmp_path / ".env").write_text("FROM_DOTENV=1\n", encoding="utf-8")
    code = """
import asyncio, os, socket
run = asyncio.run
def refuse(*_, **__):
    raise AssertionError("a connection")
socket.socket.connect = socket.getaddrinfo = refuse
from pathlib import Path
from evalkit.scorers.base import Services
from evalkit.scorers.libraries.deepeval import Deepeval
from evalkit.types import Case, Output, ToolCall
(scorer,) = Deepeval(use=("tool_correctness",)).bind(Services(Path()))
case = Case(id="1", input="q", fields={"expected_tool_calls": ["f"]})
assert asyncio.run(scorer.score(case, Output(text="", tool_calls=(ToolCall("f"),)))).value == 1.0
assert "FROM_DOTENV" not in os.environ
assert asyncio.run is run
from deepeval.config.settings import get_settings
assert get_settings().DEEPEVAL_FILE_SYSTEM == "READ_ONLY" and get_settings().DEEPEVAL_EVAL_MODE == "llm"
"""
    quiet = {key: value for key, value in os.environ.items() if not key.startswith("DEEPEVAL_")}
    home = {"HOME": str(tmp_path), "XDG_DATA_HOME": str(tmp_path / "data"), "XDG_CACHE_HOME": str(tmp_path / "cache")}
    ran = subprocess.run(
        [sys.executable, "-c", code],
        cwd=tmp_path,
        env={**quiet, **home, "DEEPEVAL_EVAL_MODE": "hybrid"},
        capture_output=True,
        text=True,
    )
    assert (ran.returncode, ran.stdout, ran.stderr) == (0, "", "")
    assert [path.name for path in tmp_path.iterdir()] == [".env"]


def test_only_the_importing_thread_is_muted(capsys: pytest.CaptureFixture[str]) -> None:
    """While deepeval loads, what other threads print still comes through."""

    def speak() -> None:
        sys.stdout.write("from the other thread")

    with muted_thread():
        sys.stdout.write("from the import")
        other = threading.Thread(target=speak)
        other.start()
        other.join()
    assert capsys.readouterr().out == "from the other thread"


def test_notice_about_directions_is_not_shown() -> None:
    """Deepeval's notice about its changed directions does not reach our users."""
    load_deepeval()
    from deepeval.metrics.utils import metrics as notices

    notices._score_direction_warned.clear()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert graded("hallucination").value == 1.0


@pytest.mark.parametrize("score", [0, 7])
def test_a_reply_that_repeats_the_example_of_the_prompt_is_unscored(score: int) -> None:
    """A small model fills in the number and leaves the placeholder of deepeval's example: that is no verdict."""
    reply = {"reason": "your concise and informative reason here", "score": score}
    grade = graded(G_EVAL, FakeModel(judge_but(ReasonScore=reply)))
    assert isinstance(grade, Unscored)
    assert grade.kind == "judge_echoed_example"


def test_claims_that_quote_a_json_answer_are_the_case_s_own() -> None:
    """A form whose texts come from the case may repeat it, also where the answer looks like an example."""
    answer = '{"note": "The fee is ten euro a month."}'
    claims = {"claims": ["The fee is ten euro a month.", "The fee is ten euro a month."]}
    grade = graded("faithfulness", FakeModel(judge_but(Claims=claims)), output=Output(text=answer))
    assert isinstance(grade, Score)


def test_no_usage_is_reported_once_a_run_has_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    """A run gives the process its environment back; a second run in it, or a thread of the library, stays silent."""
    from evalkit.scorers.libraries.deepeval_library import QUIET

    load_deepeval()
    for name in QUIET:
        monkeypatch.delenv(name, raising=False)
    from deepeval.telemetry import client

    assert type(client.get_backend()).__name__ == "NoopBackend"
    load_deepeval()
    assert client.telemetry_opt_out()
