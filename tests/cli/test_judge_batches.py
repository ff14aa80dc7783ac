"""Judges that are asked in batches: as direct calls grade, at half the price; in processes of its own."""

from __future__ import annotations

import json
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from cli_project import Project
from test_spending import PRICES, reply

from evalkit.testing import FakeModel

SUITE = """\
name: batched
golden: cases.jsonl
system: {python: "bot:answer", arguments: {broken: "left"}}
judge: {chat: {model: grader, base_url: "BASE_URL", dialect: DIALECT, batch: true, PRICES}}
scorers:
  - exact
  - judge: {name: correctness, rubric: correctness, pass: 4, advisory: true}
EXTRA
cohorts: [group]
concurrency: 4
BUDGET
gate:
  - pass_rate: {min: 0.3}
"""
KILL_AT = Path(__file__).parents[1] / "faults" / "kill_at.py"
USAGE = {"prompt_tokens": 100, "completion_tokens": 10}
DIALECTS = ["openai", "anthropic"]


def write(project: Project, server: FakeModel, dialect: str = "openai", *, extra: str = "", budget: str = "") -> None:
    """A suite whose judge is the server."""
    text = SUITE.replace("BASE_URL", server.base_url).replace("DIALECT", dialect).replace("PRICES", PRICES)
    project.suite(text=text.replace("EXTRA", extra).replace("BUDGET", budget))
    direct = text.replace("batch: true, ", "").replace("EXTRA", extra).replace("BUDGET", budget)
    project.suite(text=direct, name="direct.yaml")


def rows(project: Project, run: str) -> dict[str, dict[str, Any]]:
    """The last row of each case."""
    lines = (project.root / run / "rows.jsonl").read_text(encoding="utf-8").splitlines()
    found = [json.loads(line)["row"] for line in lines]
    return {row["case"]["id"]: row for row in found}


def grades(project: Project, run: str) -> dict[str, Any]:
    """Value or kind of each grade."""
    return {
        case: {name: grade.get("value", grade.get("unscored")) for name, grade in row["scores"].items()}
        for case, row in rows(project, run).items()
    }


def kinds(project: Project, run: str) -> list[str]:
    """Kinds of the judge's missing grades."""
    found = [row["scores"]["correctness"] for row in rows(project, run).values()]
    return sorted(grade["unscored"] for grade in found if "unscored" in grade)


@pytest.mark.parametrize("dialect", DIALECTS)
def test_a_batch_grades_as_direct_calls_at_half_the_price(dialect: str, project: Project) -> None:
    """The first question is asked at once, the rest in one batch, whose results come in another order."""
    project.cases(20)
    with FakeModel(reply, usage=USAGE) as server:
        write(project, server, dialect)
        direct = project.run("run", "direct.yaml", "--out", "direct", "--no-cache")
        assert direct.returncode == 0, direct.stdout + direct.stderr
        asked = len(server.requests)
        ran = project.run("run", "suite.yaml", "--out", "batched", "--no-cache")
        assert ran.returncode == 0, ran.stdout + ran.stderr
        assert len(server.requests) - asked == 1
        assert len(server.batches.answered) == 19
        assert [len(batch.requests) for batch in server.batches.batches] == [19]
        sent = server.batches.answered[0]
        assert {**sent, "messages": None} == {**server.requests[-1], "messages": None}, "the request of a direct call"
    assert grades(project, "batched") == grades(project, "direct")
    assert len(project.calls()) == 40, "the system is asked once in each run"
    costs = [row["scores"]["correctness"]["usage"]["cost_usd"] for row in rows(project, "batched").values()]
    assert sorted(costs) == pytest.approx([0.005] * 19 + [0.01])
    notices = project.json("batched/manifest.json")["notices"]
    assert notices == ["questions to grader are asked in batches, at half the price of direct calls"]
    first, second = ((project.root / run / "summary.json").read_text(encoding="utf-8") for run in ("direct", "batched"))
    assert json.loads(first)["cells"] == json.loads(second)["cells"]


def test_a_score_of_a_stored_run_asks_in_batches(project: Project) -> None:
    """`evalkit score` takes the answers of a run without a judge, and calls no system."""
    project.cases(12)
    with FakeModel(reply, usage=USAGE) as server:
        write(project, server)
        assert project.run("run", "direct.yaml", "--out", "direct").returncode == 0
        calls = project.calls()
        ran = project.run(
            "score", "direct", "--suite", "suite.yaml", "--out", "scored", env={"EVALKIT_CACHE_KEY": "k" * 32}
        )
        assert ran.returncode == 0, ran.stdout + ran.stderr
        assert len(server.batches.answered) == 11
    assert project.calls() == calls
    assert grades(project, "scored") == grades(project, "direct")


CHAINED = """\
  - judge: {name: opinions, rubric: correctness, pass: 4, samples: 3, combine: mean, advisory: true}
  - claims: {advisory: true}
  - verify: {advisory: true}
  - pairwise: {advisory: true}
  - geval: {name: expected, rubric: correctness, samples: 3, advisory: true}
"""


def chained(request: dict[str, Any]) -> Any:
    """A judge whose replies about wrong answers cannot be read before they are repaired; other questions get claims."""
    text = request["messages"][-1]["content"]
    repaired = text.startswith("Your reply cannot be used")
    if repaired:
        text = request["messages"][-3]["content"]
    schema = json.dumps(request)
    if "winner" in schema:
        return {"reason": "r", "winner": "tie"}
    if "<<<REFERENCE" in text and "score" in schema:
        return (
            {"reason": "r", "score": 2}
            if repaired
            else "It is wrong."
            if "no idea" in text
            else {"reason": "r", "score": 5}
        )
    return instance(request)


def instance(request: dict[str, Any]) -> Any:
    """The smallest reply that fits."""
    from evalkit.testing.instances import instance_of, requested_schema

    schema = requested_schema(request)
    return "ok" if schema is None else instance_of(schema)


def test_scorers_with_several_questions_take_several_rounds(project: Project) -> None:
    """Opinions, both orders, repairs, and questions that depend on a reply: the grades are those of direct calls.

    A question that two scorers ask in the same words is paid for once, as with the cache of direct calls.
    """
    project.cases(6)
    with FakeModel(chained, usage=USAGE) as server:
        write(project, server, extra=CHAINED)
        direct = project.run("run", "direct.yaml", "--out", "direct", "--concurrency", "1")
        assert direct.returncode == 0, direct.stdout + direct.stderr
        asked = len(server.requests)
        ran = project.run("run", "suite.yaml", "--out", "batched", "--no-cache")
        assert ran.returncode == 0, ran.stdout + ran.stderr
        at_once = len(server.requests) - asked
        assert at_once + len(server.batches.answered) == asked, "as many questions"
        assert at_once <= 2, "the first question, and its repair"
        assert 2 <= len(server.batches.batches) <= 5
    assert grades(project, "batched") == grades(project, "direct")
    assert paid(project, "direct") == pytest.approx(0.01 * asked)
    assert paid(project, "batched") == pytest.approx(0.01 * at_once + 0.005 * (asked - at_once))


def paid(project: Project, run: str) -> float:
    """Cost of the judge in the rows of a run."""
    usages = [grade.get("usage") for row in rows(project, run).values() for grade in row["scores"].values()]
    return sum(usage["cost_usd"] for usage in usages if usage and not usage.get("cached"))


@pytest.mark.parametrize("dialect", DIALECTS)
def test_lines_without_a_reply_are_asked_once_more(dialect: str, project: Project) -> None:
    """Missing, expired and failed lines go into a second batch; what fails there is unscored, with its kind.

    A refused form of JSON is asked for in another form, as in direct calls, and what is too large is not asked again.
    """
    project.cases(12)
    faults: list[Any] = ["missing", "expired", "canceled", "error_500", "error_413", "error_400"]
    lasting = ["judge_batch_canceled", "judge_batch_expired", "judge_batch_missing", "judge_http_413", "judge_http_500"]
    for out, again, expected in ("once", 0, ["judge_http_413"]), ("twice", 4, lasting):
        with FakeModel(reply, usage=USAGE) as server:
            server.batches.line_fault = lambda batch, at, again=again: (  # type: ignore[misc]
                faults[at] if at < {1: 6, 2: again}.get(batch, 0) else None
            )
            write(project, server, dialect)
            ran = project.run("run", "suite.yaml", "--out", out, "--no-cache")
            assert ran.returncode in (0, 3), ran.stdout + ran.stderr
            assert [len(batch.requests) for batch in server.batches.batches] == [11, 5]
            assert kinds(project, out) == expected
            again_ran = project.run("run", "suite.yaml", "--out", out, "--resume", "--retry-errors", "--no-cache")
            assert again_ran.returncode == 0, again_ran.stdout + again_ran.stderr
            assert kinds(project, out) == []
            assert len(server.batches.answered) + len(server.requests) == 12


def test_replies_that_gave_no_grade_are_asked_for_again(project: Project) -> None:
    """`--retry-errors` does not read them a second time; grades that are there cost nothing more."""
    project.cases(6)
    sound = False

    def unsteady(request: dict[str, Any]) -> Any:
        of_left = json.dumps(request["messages"]).count("left") or "no idea" in json.dumps(request["messages"])
        return reply(request) if sound or not of_left else "cannot be read"

    with FakeModel(unsteady, usage=USAGE) as server:
        write(project, server)
        words = ["run", "suite.yaml", "--out", "out", "--no-cache", "--no-report"]
        ran = project.run(*words)
        assert ran.returncode == 0, ran.stdout + ran.stderr
        assert kinds(project, "out") == ["judge_bad_reply"] * 3
        sound, asked = True, len(server.requests) + len(server.batches.answered)
        ran = project.run(*words, "--resume", "--retry-errors")
        assert ran.returncode == 0, ran.stdout + ran.stderr
        assert kinds(project, "out") == []
        assert len(server.requests) + len(server.batches.answered) == asked + 3
        again = [row["scores"]["correctness"]["usage"] for row in rows(project, "out").values()]
        assert not any(usage.get("cached") for usage in again), "the new replies are paid for"


@pytest.mark.parametrize("ending", ["failed", "expired", "cancelled"])
def test_a_batch_that_ends_badly_is_sent_once_more(ending: Any, project: Project) -> None:
    """Replies that came before its end are kept; after a second one, what is left is unscored."""
    project.cases(9)
    for endings, expected in ([ending], 0), ([ending, ending], {"failed": 8, "expired": 2, "cancelled": 2}[ending]):
        with FakeModel(reply, usage=USAGE) as server:
            server.batches.endings = list(endings)
            write(project, server)
            out = f"{len(endings)}"
            ran = project.run("run", "suite.yaml", "--out", out, "--no-cache")
            assert ran.returncode in (0, 3), ran.stdout + ran.stderr
            assert [len(batch.requests) for batch in server.batches.batches] == [8, 8 if ending == "failed" else 4]
            assert len(kinds(project, out)) == expected


@pytest.mark.parametrize("dialect", DIALECTS)
def test_an_endpoint_that_stumbles_costs_nothing_twice(dialect: str, project: Project) -> None:
    """429 and 500 to every kind of request, and a created batch whose reply is lost: still one batch."""
    project.cases(8)
    paths = ["POST /v1/files", "POST /v1/batches", "GET /v1/batches", "GET /v1/files"]
    if dialect == "anthropic":
        paths = ["POST /v1/messages/batches", "GET /v1/messages/batches"]
    with FakeModel(reply, usage=USAGE) as server:
        server.batches.refusals = [(path, status) for path in paths for status in (429, 500)]
        server.batches.lost = 1
        write(project, server, dialect)
        ran = project.run("run", "suite.yaml", "--out", "out", "--no-cache")
        assert ran.returncode == 0, ran.stdout + ran.stderr
        assert server.batches.refusals == []
        assert len(server.batches.batches) == 1
        assert len(server.batches.answered) == 7
    assert kinds(project, "out") == []


POINTS = {
    "a request": ("evalkit.llm.batches:Batches.add", "before", 4),
    "requests": ("evalkit.llm.batch_sending:BatchSender.ask", "before", 1),
    "uploaded": ("evalkit.llm.batches:Batches.write", "before", 1),
    "noted": ("evalkit.llm.batches:Batches.write", "after", 1),
    "created": ("evalkit.llm.batches:Batches.write", "before", 2),
    "sent": ("evalkit.llm.batches:Batches.write", "after", 2),
    "ended": ("evalkit.llm.batches:Batches.take", "before", 1),
    "half stored": ("evalkit.llm.batches:Batches._put", "after", 5),
    "stored": ("evalkit.llm.batches:Batches.write", "before", 3),
    "taken": ("evalkit.llm.batches:Batches.take", "after", 1),
}


@pytest.mark.parametrize(
    ("point", "dialect"),
    [*((point, "openai") for point in POINTS), ("noted", "anthropic"), ("created", "anthropic"), ("sent", "anthropic")],
)
def test_a_kill_pays_for_no_batch_twice(point: str, dialect: str, project: Project) -> None:
    """Between any two steps: the resumed run asks each question once in a batch, and gives the same grades."""
    project.cases(8)
    with FakeModel(reply, usage=USAGE) as server:
        write(project, server, dialect)
        words = ["run", "suite.yaml", "--out", "out", "--no-cache", "--no-report"]
        target, when, nth = POINTS[point]
        killed = subprocess.run(
            [*project.command()[:1], str(KILL_AT), target, when, str(nth), *words],
            cwd=project.root,
            capture_output=True,
            check=False,
        )
        assert killed.returncode == -signal.SIGKILL, killed.stderr
        ran = project.run(*words, "--resume")
        assert ran.returncode == 0, ran.stdout + ran.stderr
        texts = [json.dumps(each, sort_keys=True) for each in server.batches.answered]
        assert len(texts) == len(set(texts)), "no question is paid for twice"
        assert len(server.batches.batches) == 1
        assert len(texts) + len(server.requests) == 8
        assert len(server.requests) <= 2, "the first question of each process is asked at once"
    assert kinds(project, "out") == []
    assert len(rows(project, "out")) == 8
    assert len(project.calls()) == 8, "the system is asked once"


def waited(until: Callable[[], object]) -> None:
    """Wait for something in another process."""
    deadline = time.monotonic() + 60
    while not until():
        assert time.monotonic() < deadline
        time.sleep(0.05)


@pytest.mark.parametrize("dialect", DIALECTS)
def test_ctrl_c_ends_the_wait_and_resume_goes_on(dialect: str, project: Project) -> None:
    """Exit 130, and the next process waits for the same batch."""
    project.cases(8)
    with FakeModel(reply, usage=USAGE) as server:
        server.batches.looks = 10_000
        write(project, server, dialect)
        words = ["run", "suite.yaml", "--out", "out", "--no-cache"]
        running = subprocess.Popen(
            project.command(*words), cwd=project.root, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        waited(lambda: any(batch.n_looks for batch in server.batches.batches))
        running.send_signal(signal.SIGINT)
        said = "".join(running.communicate(timeout=60))
        assert running.returncode == 130, said
        assert "--resume" in said
        server.batches.looks = 0
        ran = project.run(*words, "--resume")
        assert ran.returncode == 0, ran.stdout + ran.stderr
        assert len(server.batches.batches) == 1
        assert len(server.batches.answered) == 7
        assert len(server.requests) == 1
    assert kinds(project, "out") == []
    costs = [row["scores"]["correctness"]["usage"]["cost_usd"] for row in rows(project, "out").values()]
    assert sorted(costs) == pytest.approx([0.005] * 7 + [0.01])


def test_another_signing_key_is_told_before_a_batch_is_paid_for_again(project: Project) -> None:
    """The replies of the first process cannot be read, and the second one does not ask for them a second time."""
    project.cases(8)
    with FakeModel(reply, usage=USAGE) as server:
        write(project, server)
        words = ["run", "suite.yaml", "--out", "out", "--no-cache", "--no-report"]
        target, when, nth = POINTS["taken"]
        subprocess.run(
            [*project.command()[:1], str(KILL_AT), target, when, str(nth), *words],
            cwd=project.root,
            capture_output=True,
            check=False,
        )
        asked = len(server.batches.answered) + len(server.requests)
        ran = project.run(*words, "--resume", env={"EVALKIT_CACHE_KEY": "other" * 8})
        assert ran.returncode == 2, ran.stdout + ran.stderr
        assert "EVALKIT_CACHE_KEY" in ran.stderr
        assert len(server.batches.answered) + len(server.requests) == asked
        assert project.run(*words, "--resume").returncode == 0
        assert len(server.batches.answered) == 7, "with the right key the replies are there"


def test_a_batch_beyond_the_budget_is_not_sent(project: Project) -> None:
    """The highest cost of its replies must fit; with a higher budget, `--resume` sends it."""
    project.cases(8)
    with FakeModel(reply, usage=USAGE) as server:
        write(project, server, budget="budget_usd: 0.02")
        words = ["run", "suite.yaml", "--out", "out", "--no-cache"]
        ran = project.run(*words)
        assert ran.returncode == 3, ran.stdout + ran.stderr
        assert server.batches.batches == []
        assert "raise --budget" in ran.stdout + ran.stderr
        ran = project.run(*words, "--resume", "--budget", "5")
        assert ran.returncode == 0, ran.stdout + ran.stderr
        assert len(server.batches.answered) == 6
        assert len(server.requests) == 2, "the first question of each process is asked at once"
    assert len(project.calls()) == 8


def test_a_budget_is_one_for_the_batches_of_a_panel(project: Project) -> None:
    """Of two batches each fits alone: neither is sent, nor the second beside one that an earlier process sent."""
    project.cases(11)
    prices = "max_tokens: 100, prices: {input_usd_per_million: 0, output_usd_per_million: 100}"
    judge = 'judge: {chat: {model: grader, base_url: "BASE_URL", dialect: DIALECT, batch: true, PRICES}}'
    with FakeModel(reply, usage={"prompt_tokens": 100, "completion_tokens": 100}) as server:
        one = f"{{model: MODEL, base_url: '{server.base_url}', batch: true, {prices}}}"
        panel = f"judge: {{chat: {one.replace('MODEL', 'a')}, panel: [{one.replace('MODEL', 'b')}]}}"
        text = SUITE.replace(judge, panel).replace("EXTRA", "").replace("BUDGET", "budget_usd: 0.09")
        project.suite(text=text.replace("pass: 4,", "pass: 4, panel: true,"))
        words = ["run", "suite.yaml", "--out", "out", "--no-cache", "--no-report"]
        ran = project.run(*words)
        assert ran.returncode == 3, ran.stdout + ran.stderr
        assert "a batch of 20 questions costs up to $0.1" in ran.stdout + ran.stderr
        assert server.batches.batches == []
        server.batches.looks = 10_000
        running = subprocess.Popen(project.command(*words, "--resume", "--budget", "1"), cwd=project.root)
        waited(lambda: len(server.batches.batches) == 2)
        running.kill()
        running.wait()
        note = project.root / "out" / "batches" / "judge-2" / "0001.json"
        note.unlink()  # as if the second had never been sent
        ran = project.run(*words, "--resume", "--budget", "0.12")
        assert ran.returncode == 3, ran.stdout + ran.stderr
        assert "questions costs up to" in ran.stdout + ran.stderr
        assert len(server.batches.batches) == 2


@pytest.mark.parametrize(("path", "status"), [("POST /v1/files", 403), ("POST /v1/batches", 404)])
def test_a_refused_batch_stops_the_run(path: str, status: int, project: Project) -> None:
    """An endpoint without batches, or a key that may not use them: no decision, and nothing is lost."""
    project.cases(8)
    with FakeModel(reply, usage=USAGE) as server:
        server.batches.refusals = [(path, status)]
        write(project, server)
        ran = project.run("run", "suite.yaml", "--out", "out", "--no-cache")
        assert ran.returncode == 3, ran.stdout + ran.stderr
        assert f"http_{status}" in ran.stdout + ran.stderr
        ran = project.run("run", "suite.yaml", "--out", "out", "--no-cache", "--resume")
        assert ran.returncode == 0, ran.stdout + ran.stderr
        assert len(server.batches.batches) == 1


def test_a_full_queue_is_told_and_tried_later(project: Project) -> None:
    """OpenAI rejects a batch if too many tokens wait: it is not asked again at once."""
    project.cases(8)
    with FakeModel(reply, usage=USAGE) as server:
        server.batches.endings, server.batches.problem = ["failed"], "token_limit_exceeded"
        write(project, server)
        ran = project.run("run", "suite.yaml", "--out", "out", "--no-cache")
        assert ran.returncode == 3, ran.stdout + ran.stderr
        assert "token_limit_exceeded" in ran.stdout + ran.stderr
        ran = project.run("run", "suite.yaml", "--out", "out", "--no-cache", "--resume")
        assert ran.returncode == 0, ran.stdout + ran.stderr
    assert kinds(project, "out") == []


REFUSED = {
    "system": (
        'system: {python: "bot:answer", arguments: {broken: "left"}}',
        "system: {chat: openai/gpt-4o, batch: true}",
        "called at once",
    ),
    "vendor": ('base_url: "BASE_URL", dialect: DIALECT', 'base_url: "https://api.groq.com/openai/v1"', "api.groq.com"),
    "azure": (
        'base_url: "BASE_URL", dialect: DIALECT',
        'base_url: "https://x.openai.azure.com/openai/deployments/y"',
        "x.openai.azure.com",
    ),
    "panel": ("PRICES}}", 'PRICES}, panel: [{model: second, base_url: "BASE_URL"}]}', "some judges of the panel"),
    "user": (
        "BUDGET",
        'conversation: {user: {chat: {model: guest, base_url: "BASE_URL", batch: true}}}',
        "answers turn by turn",
    ),
    "library": ("EXTRA", "  - ragas: {use: [faithfulness]}", "ragas decides what to ask next"),
    "resampling": ("EXTRA", "  - consistency: {advisory: true}", "asks the system for more answers"),
    "early stop": (
        "  - pass_rate: {min: 0.3}",
        "  - pass_rate: {min: 0.3}\n  - no_regression: {baseline: main}\nearly_stop: true",
        "batches give them at its end",
    ),
    "several": (
        'system: {python: "bot:answer", arguments: {broken: "left"}}',
        'systems: {a: {python: "bot:answer"}, b: {python: "bot:answer"}}\nreference: a',
        "several",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_cannot_wait_for_a_batch_is_refused_before_the_first_call(case: str, project: Project) -> None:
    """By name, with the fix, from `check` and from `run`."""
    project.cases(4)
    old, new, said = REFUSED[case]
    with FakeModel(reply) as server:
        text = SUITE.replace(old, new).replace("BASE_URL", server.base_url).replace("DIALECT", "openai")
        project.suite(text=text.replace("EXTRA", "").replace("BUDGET", "").replace("PRICES", PRICES))
        for words in (["check", "suite.yaml"], ["run", "suite.yaml", "--out", "out"]):
            ran = project.run(*words)
            assert ran.returncode == 2, ran.stdout + ran.stderr
            assert said in " ".join((ran.stdout + ran.stderr).split())
            assert "batch" in ran.stdout + ran.stderr
        assert server.requests == []
    assert not (project.root / "out").exists()


def test_an_engine_cannot_wait_for_batches(project: Project) -> None:
    """One process waits."""
    with FakeModel(reply) as server:
        write(project, server)
        ran = project.run("run", "suite.yaml", "--engine", "dask", "--workers", "2")
    assert ran.returncode == 2
    assert "batch" in ran.stdout + ran.stderr


def test_a_dry_run_estimates_half_the_price(project: Project) -> None:
    """From an earlier run with direct calls; the estimate says so."""
    project.cases(10)
    with FakeModel(reply, usage=USAGE) as server:
        write(project, server)
        assert project.run("run", "direct.yaml", "--out", "reports/first").returncode == 0
        found = {}
        for name in ("direct", "suite"):
            ran = project.run("run", f"{name}.yaml", "--dry-run", "--json", "--no-cache")
            assert ran.returncode == 0, ran.stdout + ran.stderr
            found[name] = json.loads(ran.stdout)
        shown = project.run("run", "suite.yaml", "--dry-run", "--no-cache")
        assert server.batches.batches == []
    costs = {name: each["cost_usd"]["judges"]["likely"] for name, each in found.items()}
    assert costs["direct"] == pytest.approx(0.1)
    assert costs["suite"] == pytest.approx(0.05)
    assert "half the price" in shown.stdout
    assert max(map(len, shown.stdout.splitlines())) <= 80
