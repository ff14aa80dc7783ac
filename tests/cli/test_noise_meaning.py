"""`evalkit noise --meaning` from suite to figures, with a judge that decides by words."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from cli_project import Project

from evalkit.testing import FakeModel, entailment_judge

BOT = """\
import pathlib

SAID = {
    "same": ["noon", "Noon", "NOON", "noon  "],
    "halves": ["noon", "midnight", "noon", "midnight"],
    "three": ["noon", "noon", "noon", "midnight"],
    "all": ["noon", "midnight", "dawn", "dusk"],
    "gap": ["noon", "noon", "midnight", None],
    "one": ["noon", None, None, None],
    "none": [None, None, None, None],
    "broken": ["noon", "BREAK", "noon", "noon"],
}


def answer(input, id):
    log = pathlib.Path(__file__).with_name("calls.log")
    turn = log.read_text().split().count(id) if log.exists() else 0
    with log.open("a") as file:
        file.write(id + "\\n")
    said = SAID[id][turn % 4]
    if said is None:
        raise RuntimeError("down")
    return said
"""
SUITE = """\
name: hours
golden: cases.jsonl
system: {python: "bot:answer"}
JUDGE
scorers:
  - length: {max: 100}
concurrency: 1
gate:
  - pass_rate: {min: 0.0}
"""
IDS = ("same", "halves", "three", "all", "gap", "one", "none", "broken")


def alike(request: dict[str, Any]) -> str:
    """A judge that decides by words, and talks nonsense about one answer."""
    sent = request["messages"][1]["content"]
    return "I would rather not." if "BREAK" in sent else entailment_judge()(request)


@pytest.fixture
def server() -> Iterator[FakeModel]:
    """The judge."""
    with FakeModel(alike) as running:
        yield running


def write(project: Project, server: FakeModel, ids: tuple[str, ...] = IDS, extra: str = "", prices: str = "") -> None:
    """Write bot, cases and suite."""
    (project.root / "bot.py").write_text(BOT, encoding="utf-8")
    rows = [json.dumps({"id": name, "input": "When do you open?"}) + "\n" for name in ids]
    (project.root / "cases.jsonl").write_text("".join(rows), encoding="utf-8")
    judge = f'judge: {{chat: {{model: m, base_url: "{server.base_url}", max_tokens: 100{prices}}}}}{extra}'
    project.suite(text=SUITE.replace("JUDGE", judge))


def test_the_figures_are_those_worked_by_hand(project: Project, server: FakeModel) -> None:
    """Mean of 0, 1/2, 0.405639, 1 and 0.579380; what is not known is named and is no number."""
    write(project, server, prices=", prices: {input_usd_per_million: 1, output_usd_per_million: 1}")
    ran = project.run("noise", "suite.yaml", "--repeat", "4", "--trials", "20", "--meaning", "--out", "n", "--json")
    assert ran.returncode == 0, ran.stdout + ran.stderr
    found = json.loads(ran.stdout)["meaning"]
    by_hand = {"same": 0, "halves": 0.5, "three": 0.405639, "all": 1, "gap": 0.579380}
    assert {each["case_id"]: each["entropy"] for each in found["cases"]} == pytest.approx(by_hand, abs=2e-6)
    assert [each["case_id"] for each in found["cases"]] == ["all", "gap", "halves", "three", "same"]
    assert found["entropy"]["value"] == pytest.approx(sum(by_hand.values()) / 5, abs=2e-6)
    assert found["entropy"]["low"] < found["entropy"]["value"] < found["entropy"]["high"]
    assert (found["entropy"]["n"], found["n_several"]) == (5, 4)
    assert found["trust"].startswith("untrusted: no labels")
    kinds = {each["case_id"]: each["kind"] for each in found["unmeasured"]}
    assert kinds == {"one": "one_answer", "none": "no_answer", "broken": "judge_bad_reply"}
    gap = next(each for each in found["cases"] if each["case_id"] == "gap")
    assert (gap["n_answers"], gap["n_missing"]) == (3, 1)
    assert [(each["n"], each["wordings"]) for each in gap["meanings"]] == [(2, ["noon"]), (1, ["midnight"])]
    same = next(each for each in found["cases"] if each["case_id"] == "same")
    assert [sorted(each["wordings"]) for each in same["meanings"]] == [["NOON", "Noon", "noon"]]
    # Different texts: same 3 pairs, halves 1, three 1, all 6, gap 1, broken 1.
    assert "asks the judge m about 13 pairs of answers: at most 26 questions, at most about $0.0" in ran.stderr


def test_equal_texts_are_never_asked_and_cached_replies_are_taken(project: Project, server: FakeModel) -> None:
    """`same` needs 3 x 2 questions, `halves` one; the second time the stored run is read and nothing is sent."""
    write(project, server, ("same", "halves"))
    assert project.run("noise", "suite.yaml", "--trials", "20", "--meaning", "--out", "n").returncode == 0
    assert len(server.requests) == 7
    again = project.run("noise", "n", "--trials", "20", "--meaning")
    assert again.returncode == 0, again.stderr
    assert (len(server.requests), len(project.calls())) == (7, 8)


def test_the_console_names_the_cases(project: Project, server: FakeModel) -> None:
    """Within 80 columns: the figure, the judge's trust, what was not measured, and the answers that differ."""
    write(project, server)
    ran = project.run("noise", "suite.yaml", "--trials", "20", "--meaning")
    assert ran.returncode == 0, ran.stderr
    out = ran.stdout
    assert "semantic entropy 0.50 [" in out
    assert "measured for 5 of 8 cases" in out
    assert "4 of 5 cases answered with more than one meaning" in out
    assert "judge chat:m: untrusted: no labels" in out
    for line in ("judge_bad_reply: 1 case (broken)", "one_answer: 1 case (one)", "no_answer: 1 case (none)"):
        assert f"not measured, {line}" in out
    assert "    after 2 repairs: the reply holds no JSON object" in out
    assert "measured on fewer answers: 1 case (gap: 3 of 4)" in out
    assert "  1.00  all\n    1 x  dawn\n    1 x  dusk\n" in out
    assert "3 x  noon\n    1 x  midnight" in out
    assert "price unknown" in ran.stderr
    assert max(map(len, out.partition("semantic entropy")[2].splitlines())) <= 80


def test_nothing_measured_is_not_zero(project: Project, server: FakeModel) -> None:
    """Exit 3, and no figure, where no reply could be used."""
    write(project, server, ("broken",))
    ran = project.run("noise", "suite.yaml", "--trials", "20", "--meaning", "--out", "n")
    assert ran.returncode == 3, ran.stdout + ran.stderr
    assert "semantic entropy undefined: no case could be measured" in ran.stdout
    assert "not measured, judge_bad_reply: 1 case (broken)" in ran.stdout


def test_a_reached_budget_is_a_reason(project: Project, server: FakeModel) -> None:
    """The cases that were not asked about are named, with how to go on."""
    prices = ", prices: {input_usd_per_million: 1000, output_usd_per_million: 1000}"
    write(project, server, ("halves", "three", "all"), "\nbudget_usd: 0.15", prices)
    ran = project.run("noise", "suite.yaml", "--trials", "20", "--meaning", "--json")
    found = json.loads(ran.stdout)["meaning"]
    assert "budget" in {each["kind"] for each in found["unmeasured"]}, ran.stderr
    assert "raise it" in next(each["message"] for each in found["unmeasured"] if each["kind"] == "budget")
    assert len(found["cases"]) + len(found["unmeasured"]) == 3


def test_a_suite_without_a_judge_is_refused_before_the_system_is_called(project: Project, server: FakeModel) -> None:
    """Exit 2 with a line to copy; a missing key alike."""
    write(project, server)
    text = (project.root / "suite.yaml").read_text(encoding="utf-8")
    bare = "".join(line for line in text.splitlines(keepends=True) if not line.startswith("judge"))
    (project.root / "suite.yaml").write_text(bare, encoding="utf-8")
    ran = project.run("noise", "suite.yaml", "--meaning")
    assert ran.returncode == 2
    assert "no chat judge" in ran.stderr
    assert "add the line `judge: {chat: gpt-4o-mini}`" in ran.stderr
    (project.root / "suite.yaml").write_text(text.replace("model: m", "model: m, api_key_env: NO_SUCH_KEY"), "utf-8")
    ran = project.run("noise", "suite.yaml", "--meaning")
    assert ran.returncode == 2
    assert "NO_SUCH_KEY" in ran.stderr
    assert project.calls() == []


def test_conversations_are_refused_one_by_one(project: Project, server: FakeModel) -> None:
    """What is said last depends on what was said before; plain rows beside them are measured."""
    write(project, server, ("halves",), "\nconversation: {}")
    talk = {"id": "talk", "turns": [{"user": "Hello"}, {"user": "When do you open?"}]}
    with (project.root / "cases.jsonl").open("a", encoding="utf-8") as file:
        file.write(json.dumps(talk) + "\n")
    bot = BOT.replace("def answer(input, id)", "def answer(message, id)").replace(
        '    "halves"', '    "talk": ["a", "b", "c", "d"],\n    "halves"'
    )
    (project.root / "bot.py").write_text(bot, encoding="utf-8")
    ran = project.run("noise", "suite.yaml", "--trials", "20", "--meaning", "--json")
    assert ran.returncode == 0, ran.stdout + ran.stderr
    found = json.loads(ran.stdout)["meaning"]
    assert [(each["case_id"], each["kind"]) for each in found["unmeasured"]] == [("talk", "conversation")]
    assert [each["case_id"] for each in found["cases"]] == ["halves"]


def test_without_the_option_nothing_is_asked_and_the_document_is_as_before(project: Project, server: FakeModel) -> None:
    """The JSON of `noise` has no further key."""
    write(project, server, ("halves",))
    ran = project.run("noise", "suite.yaml", "--trials", "20", "--json")
    assert set(json.loads(ran.stdout)) == {"repeats", "gates", "false_blocks"}
    assert server.requests == []
