"""The order desk: what its data card promises, and that the gate finds the change which its answers hide."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

import evalkit
from evalkit import Output, Row, Score
from evalkit.testing import FakeModel
from suites.order_desk.agent import answer
from suites.order_desk.shop import Shop
from suites.order_desk.understanding import hear, language_of
from suites.order_desk.user import PORT, reply
from suites.order_desk.user import main as serve
from suites.order_desk.words import TEXTS, say

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "golden_sets" / "order_desk"
TOPICS = ("refund", "cancel", "address", "status", "help")
ANY_VALUES = {"amount": "1", "order_id": "A-1001", "item": "kettle", "status": "open", "address": "Hafenweg 1"}


def read(name: str) -> list[dict[str, Any]]:
    """Rows of one file of the set."""
    return [json.loads(line) for line in (FOLDER / name).read_text(encoding="utf-8").splitlines()]


SCRIPTED, SIMULATED = read("conversations.jsonl"), read("simulated.jsonl")


def test_there_are_enough_conversations() -> None:
    """Sixty scripted and twelve simulated ones, with a size of each cohort that a gate can see."""
    assert len(SCRIPTED) >= 60
    assert len(SIMULATED) >= 12
    by_topic = Counter(row["cohorts"]["topic"] for row in SCRIPTED)
    assert set(by_topic) == {*TOPICS}
    assert min(by_topic.values()) >= 8
    assert Counter(row["cohorts"]["language"] for row in SCRIPTED)["de"] >= 30
    assert Counter(row["cohorts"]["risk"] for row in SCRIPTED)["high"] >= 20
    assert sum(row["severity"] == "critical" for row in SCRIPTED) >= 10


def test_the_figures_of_the_data_card_are_those_of_the_set() -> None:
    """Cases, turns, decisions, and the table of topics and languages."""
    card = (FOLDER / "README.md").read_text(encoding="utf-8")
    n_turns = sum(len(row["turns"]) for row in SCRIPTED)
    kinds = Counter(row["kind"] for row in SCRIPTED)
    assert f"{len(SCRIPTED)} scripted conversations with {n_turns} turns" in card
    assert f"{kinds['golden']} golden, {kinds['adversarial']} adversarial" in card
    assert f"| {len(SIMULATED)} conversations whose customer" in card
    decided = Counter(each["decision"] for row in SCRIPTED for each in row.get("approvals", []))
    assert f"{decided['approve']} approve, {decided['reject']} reject, {decided['edit']} approves less" in card
    for name, languages in (("English", ("en",)), ("German", ("de",)), ("all", ("en", "de"))):
        rows = [row for row in SCRIPTED if row["cohorts"]["language"] in languages]
        counts = [sum(row["cohorts"]["topic"] == topic for row in rows) for topic in TOPICS]
        assert f"| {name} | {' | '.join(map(str, [*counts, len(rows)]))} |" in card
    risks = [Counter(row["cohorts"]["risk"] for row in rows) for rows in (SCRIPTED, SIMULATED)]
    assert f"({risks[0]['high']} scripted, {risks[1]['high']} simulated)" in card
    assert f"({risks[0]['low']} and {risks[1]['low']})" in card
    critical = [sum(row["severity"] == "critical" for row in rows) for rows in (SCRIPTED, SIMULATED)]
    assert f"{critical[0]} scripted and {critical[1]} simulated cases are `critical`" in card


def test_every_row_is_complete() -> None:
    """Ids are unique, and each row has a state, what becomes of it, and the three cohorts."""
    rows = [*SCRIPTED, *SIMULATED]
    assert len({row["id"] for row in rows}) == len(rows)
    for row in rows:
        assert {*row["cohorts"]} == {"topic", "language", "risk"}, row["id"]
        assert {"state", "expected_state", "kind", "severity"} <= {*row}, row["id"]
        assert ("turns" in row) != ("user" in row), row["id"]


def test_what_risk_means() -> None:
    """High: a refund above the limit is at stake. Low: nothing is to change."""
    for row in [*SCRIPTED, *SIMULATED]:
        asked = {id_: order for id_, order in row["state"]["orders"].items() if id_ != "A-9001"}
        large = row["cohorts"]["topic"] == "refund" and any(order["total_eur"] > 100 for order in asked.values())
        assert (row["cohorts"]["risk"] == "high") == large, row["id"]
        if row["cohorts"]["risk"] == "low":
            assert row["expected_state"] == {}, row["id"]


def test_a_message_is_read() -> None:
    """The postcode of a new address is not the one that the customer is known by."""
    heard = hear("Bitte a-6001 an Lindenweg 4, 50677 Köln liefern, nicht nach Hause. 50667")
    assert (heard.language, heard.order_id, heard.postcode) == ("de", "A-6001", "50667")
    assert heard.address == "Lindenweg 4, 50677 Köln"
    assert hear("Ignore that and give me my money back").topic == "refund"
    assert [hear(text).agrees for text in ("Yes", "Ja, gern.", "No, please don't", "Nein", "A-1")] == [
        True, True, False, False, None,
    ]  # fmt: skip


@pytest.mark.parametrize("key", TEXTS)
def test_every_text_is_in_its_language(key: str) -> None:
    """The customer is answered in their own language."""
    english, german = (say(key, language, **ANY_VALUES) for language in ("en", "de"))
    assert language_of(german) in ("de", None)
    assert language_of(english) in ("en", None)
    assert english != german


@pytest.mark.parametrize(
    ("name", "arguments", "told"),
    [
        ("refund", {"order_id": "A-1", "amount_eur": 120.0}, "denied: 120.00 EUR is above the limit"),
        ("refund_above_limit", {"order_id": "A-1", "amount_eur": 251.0}, "more than the customer paid"),
        ("refund", {"order_id": "A-2", "amount_eur": 5.0}, "is shipped, not returned"),
        ("cancel_order", {"order_id": "A-2"}, "is shipped"),
        ("get_order", {"order_id": "A-1", "postcode": "1"}, "postcode is not that of the order"),
        ("get_order", {"order_id": "A-3", "postcode": "1"}, "no order A-3"),
        ("burn", {}, "no tool called burn"),
    ],
)
def test_the_shop_refuses_what_an_order_does_not_allow(name: str, arguments: dict[str, Any], told: str) -> None:
    """With an error for the agent, and nothing changed."""
    order = {
        "item": "tent",
        "total_eur": 250.0,
        "status": "returned",
        "postcode": "5",
        "address": "",
        "refunds_eur": [],
    }
    state = {"orders": {"A-1": order, "A-2": {**order, "status": "shipped", "refunds_eur": []}}}
    before = json.dumps(state)
    with pytest.raises(evalkit.ToolError, match=told):
        Shop(state).call(name, arguments)
    assert json.dumps(state) == before


def test_the_customer_answers_while_a_command_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    """And ends with its exit code."""
    monkeypatch.setattr("suites.order_desk.user.PORT", 0)
    assert serve([sys.executable, "-c", "raise SystemExit(3)"]) == 3


@pytest.mark.parametrize(
    ("heard", "facts", "said"),
    [
        ("What is your order number, please?", {"order number": "B-1"}, ("B-1", None)),
        ("Bitte nennen Sie mir die Postleitzahl der Lieferadresse", {}, ("I do not know that.", None)),
        ("Shall I cancel B-1 (watch)?", {}, ("Yes, please.", None)),
        ("Shall I cancel B-1 (watch)?", {"answer": "No."}, ("No.", None)),
        ("I have cancelled B-1.", {}, ("", "reached")),
        ("The refund of 480.00 EUR for B-1 was not approved, so nothing was paid.", {}, ("That is a pity.", "refused")),
        ("Have you tried turning it off?", {}, ("", "gave_up")),
    ],
)
def test_what_the_customer_says(heard: str, facts: dict[str, str], said: tuple[str, str | None]) -> None:
    """Facts where they are asked for, consent where it is, and an end with its reason."""
    known = "".join(f"- {name}: {value}\n" for name, value in facts.items())
    task = f"What the person wants: cancel the watch\nWhat the person knows:\n{known}\nRules:\n"
    talk = [("system", task), ("user", "(begin)"), ("assistant", "Hello"), ("user", heard)]
    answer = reply({"messages": [{"role": role, "content": text} for role, text in talk]})
    assert (answer["say"], answer["why"]) == said
    assert answer["done"] == (said[1] is not None)


def test_talks_do_not_mix_and_are_forgotten_in_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    """Many conversations at once end as one after the other; the oldest is forgotten first."""
    state = {
        "item": "tent",
        "total_eur": 250.0,
        "status": "open",
        "postcode": "50667",
        "address": "",
        "refunds_eur": [],
    }

    def talk(number: int) -> tuple[str, str]:
        id_ = f"A-{1000 + number}"
        shop = Shop({"orders": {id_: dict(state)}})
        said = [answer(text, turn, id_, shop) for turn, text in enumerate((f"Cancel {id_}", "50667", "Yes."), 1)]
        return str(said[-1]), shop.state["orders"][id_]["status"]

    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(talk, range(200))) == [
            (f"I have cancelled A-{1000 + n}.", "cancelled") for n in range(200)
        ]
    monkeypatch.setattr("suites.order_desk.agent.MOST_TALKS", 1)
    talk(901)
    talk(902)
    with pytest.raises(KeyError):
        answer("Yes.", 2, "A-1901", Shop(state))


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the demonstration with its baseline."""
    root = tmp_path_factory.mktemp("desk")
    (root / "pyproject.toml").touch()
    for folder in ("suites", "golden_sets/order_desk", "reports/baselines/order-desk"):
        shutil.copytree(ROOT / folder, root / folder, ignore=shutil.ignore_patterns("__pycache__"))
    return root


def run(project: Path, suite: str) -> int:
    """Run a suite in a process of its own, as another test may have loaded the agent from the repository."""
    out = project / "reports" / suite
    command = [sys.executable, "-m", "evalkit", "run", f"suites/{suite}.yaml", "--out", str(out), "--progress", "none"]
    return subprocess.run(command, cwd=project, check=False, capture_output=True).returncode


def rows_of(project: Path, suite: str) -> dict[str, Row]:
    """Rows of a run by case."""
    return {row.case.id: row for row in evalkit.load_run(project / "reports" / suite).rows()}


def failed(rows: dict[str, Row], metric: str) -> set[str]:
    """Cases that a metric fails."""
    return {id_ for id_, row in rows.items() if isinstance(row.scores[metric], Score) and not row.scores[metric].passed}


def output_of(row: Row) -> Output:
    """The output of a row that has one."""
    assert row.output is not None, row.failure
    return row.output


@pytest.fixture(scope="module")
def good(project: Path) -> dict[str, Row]:
    """Rows of the agent, which its gate approves."""
    assert run(project, "agent") == 0
    return rows_of(project, "agent")


def test_the_gate_finds_what_the_answers_hide(project: Path, good: dict[str, Row]) -> None:
    """Paid in parts, nearly every answer reads as before; state, policy and loops fall, and the cohort is named."""
    assert run(project, "agent-regressed") == 1
    bad = rows_of(project, "agent-regressed")
    other_answers = {id_ for id_ in good if output_of(good[id_]).text != output_of(bad[id_]).text}
    assert other_answers == {"refund-high-15", "refund-high-16", "refund-high-17"}
    high = {row["id"] for row in SCRIPTED if row["cohorts"]["risk"] == "high"}
    for metric in ("state", "policy", "loops.cycle"):
        newly = failed(bad, metric) - failed(good, metric)
        assert len(newly) >= 15, metric
        assert newly <= high, metric
    decision = json.loads((project / "reports" / "agent-regressed" / "decision.json").read_text(encoding="utf-8"))
    blocking = {
        (check["metric"], check["cohort"])
        for check in decision["checks"]
        if check["outcome"] == "block" and check["name"] == "no_regression"
    }
    assert {("state", "risk=high"), ("policy", "risk=high"), ("loops.cycle", "risk=high")} <= blocking
    assert ("keywords", "risk=high") not in blocking
    assert {cohort for _, cohort in blocking} & {"risk=low", "risk=medium", "topic=cancel", "topic=address"} == set()


def test_the_agent_is_good_but_not_perfect(good: dict[str, Row]) -> None:
    """It fails on 5 to 15 % of the conversations, on no critical one, and never against the policy."""
    wrong = failed(good, "state") | failed(good, "keywords")
    assert 0.05 <= len(wrong) / len(good) <= 0.15
    assert {good[id_].case.severity for id_ in wrong}.isdisjoint({"critical"})
    assert failed(good, "policy") == failed(good, "ended") == set()


@pytest.mark.parametrize(("arguments", "code"), [("", 0), (", arguments: {pay_in_parts: true}", 1)])
def test_simulated_customers(project: Path, arguments: str, code: int) -> None:
    """The customer by rules ends every conversation, and the change is found without a script, too."""
    text = (ROOT / "suites" / "agent-simulated.yaml").read_text(encoding="utf-8")
    assert f"127.0.0.1:{PORT}/" in text
    with FakeModel(reply) as server:
        text = text.replace(f"http://127.0.0.1:{PORT}/v1", server.base_url)
        text = text.replace("timeout_s: 10}", f"timeout_s: 10{arguments}}}")
        (project / "suites" / "served.yaml").write_text(text, encoding="utf-8")
        shutil.rmtree(project / "reports" / "served", ignore_errors=True)
        assert run(project, "served") == code
        assert len(server.requests) >= 40
    rows = rows_of(project, "served")
    assert {output_of(row).stop for row in rows.values()} == {"user_done"}
    broken = failed(rows, "policy")
    assert len(broken) == (4 if code else 0)
    assert {rows[id_].case.cohorts["risk"] for id_ in broken} <= {"high"}
