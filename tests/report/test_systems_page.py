"""The page of a comparison of several systems, as it is without JavaScript."""

from __future__ import annotations

import base64
import gzip
import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import system_samples as samples

from evalkit.aggregate.system_comparison import RankInterval, SystemComparison
from evalkit.errors import InputError
from evalkit.report.next_steps import NextStep
from evalkit.report.system_sentence import sentence
from evalkit.report.systems.answers import room_for
from evalkit.report.systems.charts import frontier
from evalkit.report.systems.markdown import systems_markdown
from evalkit.report.systems.next_steps import systems_next
from evalkit.report.systems.runs import read_system_runs
from evalkit.report.systems.view import build_systems_view, written
from evalkit.report.systems.write import write_comparison
from evalkit.results import Estimate
from evalkit.store.folder import RunFolder
from evalkit.text.numbers import Style
from evalkit.types import Case, Output, Row, Score, Unscored

N = 30


def page_of(tmp_path: Path, compared: SystemComparison, sentence: str = samples.SENTENCE) -> str:
    """The page of a comparison whose systems answered some cases."""
    samples.write_runs(tmp_path, compared, n=min(N, compared.systems[0].n_cases))
    write_comparison(tmp_path, compared, sentence, suite="suite.yaml")
    return (tmp_path / "report.html").read_text(encoding="utf-8")


def words_of(page: str) -> str:
    """What is read of a page without scripts and styles."""
    bare = re.sub(r"(?s)<(script|style)[^>]*>.*?</\1>", " ", page)
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", bare))


def block_of(page: str, name: str) -> Any:
    """A data block of the page."""
    found = re.search(f'<script type="text/plain" id="{name}">([^<]*)</script>', page)
    assert found is not None, name
    return json.loads(gzip.decompress(base64.b64decode(found[1])))


def row_of(page: str, name: str) -> str:
    """The row of a system in the table of systems, in words."""
    table = page.partition('id="table"')[2].partition("</table>")[0]
    rows = [words_of(row) for row in table.split("<tr")[2:] if f'data-value="{name}"' in row]
    assert len(rows) == 1, name
    return rows[0].partition(">")[2]


def test_sentence_gates_table_and_next_are_read_without_scripts(tmp_path: Path) -> None:
    """What was found, which system may be released, what to do, and every figure of the table."""
    words = words_of(page_of(tmp_path, samples.comparison(12)))
    for said in (
        samples.SENTENCE,
        "approved gpt-5-mini/short",
        "No clear best by pass rate: gpt-5-mini/short or gpt-5-mini/steps; the cheapest of them is gpt-5-mini/short",
        "About 1,900 cases would tell the first two systems apart",
        "in at most 5% of runs",
        "biased upwards, because it was picked as the best; corrected: 86.1% (shrunk towards the mean of all systems)",
        "Value Drawing Adds",
        "Scored Decision",
        f"evalkit diff {tmp_path}/systems/today {tmp_path}/systems/gpt-5-mini-short --case c-00000",
        "gpt-5-mini/long has no rank: 8% errors",
    ):
        assert said in words, said
    row = row_of((tmp_path / "report.html").read_text(encoding="utf-8"), "gpt-5-mini/short")
    for said in (
        "88.0%",
        "[85.0, 91.0]",
        "+4.0 pts",
        "better",
        "[0.5, 7.5]",
        "1 to 3",
        "topic= legal",
        "$0.00060",
        "500 ms",
        "1.40 s",
        "550",
        "499 of 500",
        "approved",
    ):
        assert said in row, (said, row)


def test_unknown_is_a_word_and_no_rank_is_none(tmp_path: Path) -> None:
    """A system without prices has an unknown cost and unknown tokens, never 0; one with errors has no rank."""
    page = page_of(tmp_path, samples.comparison(12))
    without_price = row_of(page, "gpt-5/steps")
    assert without_price.count("unknown") == 2
    assert "$0" not in without_price
    assert " none " in row_of(page, "gpt-5-mini/long")
    described = page.partition("Cost and pass rate</title>")[2].partition("</desc>")[0]
    assert "6 gpt-5/steps" not in described, "a system without a cost is not drawn"
    assert "7 gpt-5/long: $0.0046 per case" in described


def test_two_systems_are_a_dumbbell(tmp_path: Path) -> None:
    """Both figures on one line, and the difference below; no factors, no matrix."""
    page = page_of(tmp_path, samples.comparison(2))
    assert "Both systems" in page
    assert "today 84.0%, gpt-5-mini/short 88.0% [85.0, 91.0]" in page
    assert 'id="factors"' not in page
    assert page.count('<tr><th scope="row" dir="auto"><span class="quiet">') == 1 + 2 + 1


def test_three_systems_are_not(tmp_path: Path) -> None:
    """A dumbbell is for two."""
    assert "Both systems" not in page_of(tmp_path, samples.comparison(3))


def test_without_cohorts_factors_costs_and_release(tmp_path: Path) -> None:
    """A comparison with the least that there may be: no section is empty, and nothing is approved."""
    least = samples.comparison(3)
    systems = tuple(
        replace(each, cost_usd_per_case=None, outcome=None, worst_cohort="", worst_cohort_value=None)
        for each in least.systems
    )
    page = page_of(tmp_path, replace(least, systems=systems, cohorts=(), release=(), disagreements=(), candidates=()))
    words = words_of(page)
    assert 'id="cohorts"' not in page
    assert 'id="factors"' not in page
    assert "COMPARED" in words
    assert "APPROVED" not in words
    assert "Not drawn: two systems with different known costs are needed" in words


def test_effects_are_greyed_if_the_factors_depend_on_each_other(tmp_path: Path) -> None:
    """The page says so, shows the figure of each pair, and marks no level as better."""
    compared = samples.comparison(12)
    page = page_of(tmp_path, replace(compared, interaction_p=0.003))
    part = page.partition('aria-labelledby="factors"')[2].partition("</section>")[0]
    assert part.startswith(' class="greyed"')
    assert "The factors depend on each other" in part
    assert "better</span>" not in part
    assert re.search(r'<th scope="row" dir="auto">gpt-5-mini</th><td class="num">88\.0%</td>', part)


def test_a_cell_is_blank_where_the_interval_holds_0(tmp_path: Path) -> None:
    """The map shows a figure where the interval leaves 0 out, and says that nothing is tested."""
    page = page_of(tmp_path, samples.comparison(3))
    part = page.partition('aria-labelledby="cohorts"')[2].partition("</section>")[0]
    assert "not tested" in part
    assert words_of(part).count("interval holds 0") == 1 + 4
    assert words_of(part).count("pts") == 4


def test_a_difference_is_marked_by_the_test_and_not_by_its_interval() -> None:
    """With few cases the interval may leave out 0 where the test finds nothing; then the line carries no mark."""
    compared = samples.comparison(3)
    few = replace(compared.systems[1], p_value=0.125)
    view = build_systems_view(replace(compared, systems=(compared.systems[0], few, compared.systems[2])), "", ())
    assert [line.moved for line in view.lines] == ["", "", "worse"]


def test_lower_is_better(tmp_path: Path) -> None:
    """A drop is an improvement where lower is better, in the table, the charts and the map."""
    page = page_of(tmp_path, replace(samples.comparison(3), higher_is_better=False, primary="error_rate"))
    assert "worse" in row_of(page, "gpt-5-mini/short")
    assert "better" in row_of(page, "gpt-5-mini/steps")
    first = page.partition('class="forest"')[2].partition("</tr><tr>")[0]
    assert "gpt-5-mini/<wbr>steps" in first


def test_a_system_without_a_figure_says_why(tmp_path: Path) -> None:
    """An undefined primary metric and an undefined difference show their reasons, and the system comes last."""
    compared = samples.comparison(3)
    nothing = replace(samples.estimate(0, 0), value=None, low=None, high=None, reason="no case was scored")
    broken = replace(compared.systems[1], primary=nothing, difference=nothing, p_value=None, rank=None, n_scored=0)
    compared = replace(compared, systems=(compared.systems[0], broken, compared.systems[2]))
    page = page_of(tmp_path, compared)
    assert row_of(page, broken.name).count("none (no case was scored)") == 2
    assert build_systems_view(compared, "", ()).ranked[-1].name == broken.name


def test_the_frontier_holds_what_nothing_beats() -> None:
    """By hand: cheaper and better than all before it; a tie in cost goes to the better one."""
    compared = samples.comparison(4)
    figures = [(0.8, 1.0), (0.9, 1.0), (0.85, 2.0), (0.95, 3.0)]
    systems = tuple(
        replace(each, primary=samples.estimate(value, 0.01), cost_usd_per_case=cost)
        for each, (value, cost) in zip(compared.systems, figures, strict=True)
    )
    view = build_systems_view(replace(compared, systems=systems), "", ())
    assert [line.number for line in frontier(view.lines, True)] == [2, 4]
    assert [line.number for line in frontier(view.lines, False)] == [1]


def test_the_answers_are_those_of_the_rows(tmp_path: Path) -> None:
    """The index has a mark for each system, and the bodies hold answer, reason, latency and cost as they were."""
    page = page_of(tmp_path, samples.comparison(3))
    index, bodies = block_of(page, "index"), block_of(page, "rows-0")
    assert [entry[0] for entry in index["rows"]] == [samples.case_id(number) for number in range(N)]
    assert index["rows"][0][2] == "fpp"
    assert index["rows"][3][2] == "epp"
    assert [each["report"] for each in index["legend"]["systems"]] == [
        "./systems/today/report.html",
        "./systems/gpt-5-mini-short/report.html",
        "./systems/gpt-5-mini-steps/report.html",
    ]
    failed = bodies[0]["cells"][0]
    assert failed["why"] == "exact: says 30 days, the reference does not"
    assert (failed["latency"], failed["cost"]) == (0.4, 0.0004)
    assert failed["text"].startswith("You may return it within 30 days")
    assert bodies[3]["cells"][0] == {"why": "http_500: the server answered 500"}
    assert bodies[0]["reference"] == ["Within 14 days, with the slip that is in the parcel."]


def test_repeats_are_one_cell(tmp_path: Path) -> None:
    """The shown run has the verdict of the case, and the cell says how many runs passed."""
    compared = samples.comparison(2, n=1)
    samples.write_runs(tmp_path, compared, n=0)
    case = Case(id="a", input="q", digest="0" * 64)

    def row(repeat: int, passed: bool) -> Row:
        scores: dict[str, Score | Unscored] = {"exact": Score("exact", float(passed), passed)}
        return Row(case=case, repeat=repeat, output=Output(text=f"run {repeat}"), scores=scores)

    rows = [row(0, True), row(1, False), row(2, False)]
    samples.write_rows(tmp_path / compared.systems[0].folder, rows)
    write_comparison(tmp_path, compared, "")
    page = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert block_of(page, "index")["rows"] == [["a", "q", "f-"]]
    cell = block_of(page, "rows-0")[0]["cells"][0]
    assert cell == {"text": "run 1", "why": "exact", "repeat": 1, "runs": "1 of 3 runs passed"}


def test_a_system_without_rows_or_report_is_a_column_without_them(tmp_path: Path) -> None:
    """A system that never started has no answers, and no link that leads nowhere."""
    compared = samples.comparison(2)
    samples.write_runs(tmp_path, compared, n=2)
    for name in ("rows.jsonl", "report.html"):
        (tmp_path / compared.systems[1].folder / name).unlink()
    write_comparison(tmp_path, compared, "")
    index = block_of((tmp_path / "report.html").read_text(encoding="utf-8"), "index")
    assert [entry[2] for entry in index["rows"]] == ["f-", "p-"]
    assert index["legend"]["systems"][1]["report"] == ""


@pytest.mark.parametrize("folder", ["/etc", "../elsewhere", "systems/../../x"])
def test_a_folder_outside_is_refused(tmp_path: Path, folder: str) -> None:
    """A comparison file that names a run elsewhere is refused before anything is read."""
    compared = samples.comparison(2)
    samples.write_runs(tmp_path, compared, n=1)
    systems = (compared.systems[0], replace(compared.systems[1], folder=folder))
    with pytest.raises(InputError, match="is elsewhere"):
        write_comparison(tmp_path, replace(compared, systems=systems), "")


@pytest.mark.parametrize(
    ("folder", "address"),
    [
        ("systems/a:b", "./systems/a%3Ab/report.html"),
        ("javascript:x", "./javascript%3Ax/report.html"),
        ("systems/a b#?", "./systems/a%20b%23%3F/report.html"),
    ],
)
def test_a_folder_is_never_another_address(tmp_path: Path, folder: str, address: str) -> None:
    """A link leads into the folder of the comparison, whatever the folder of the run is called."""
    compared = samples.comparison(2)
    compared = replace(compared, systems=(compared.systems[0], replace(compared.systems[1], folder=folder)))
    page = page_of(tmp_path, compared)
    assert f'href="{address}"' in page


def test_what_does_not_fit_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A page holds the divided cases first, and says how many it holds and where the others are."""
    compared = replace(samples.comparison(3, n=N), disagreements=(samples.case_id(20), samples.case_id(9)))
    monkeypatch.setattr("evalkit.report.systems.answers.MOST_CASES", 3)
    page = page_of(tmp_path, compared)
    assert [entry[0] for entry in block_of(page, "index")["rows"]] == [samples.case_id(number) for number in (0, 9, 20)]
    assert "This page holds 3 of 30 cases, those on which the systems disagree first" in words_of(page)
    assert "systems/today/rows.jsonl" in page


@pytest.mark.parametrize(("k", "n"), [(2, 500), (12, 500), (64, 10_000), (64, 100_000), (2, 10**6)])
def test_the_page_is_bounded(k: int, n: int) -> None:
    """However many systems and cases: at most a million cells, 50,000 cases and about 64 MB of answers."""
    room = room_for(samples.comparison(k, n=n))
    assert room.cases <= min(n, 50_000)
    assert room.cases * k <= 1_000_000
    assert room.chars * room.cases * k <= 64_000_000
    assert room.chars >= 40
    assert room.chunk * k <= 1_600


def test_a_long_answer_is_cut_and_counted(tmp_path: Path) -> None:
    """The cell holds the start and the number of characters that are left out."""
    compared = samples.comparison(2, n=1)

    def long(place: int, number: int) -> Row:
        return replace(samples.answer(place, number), output=Output(text="x" * 2_500))

    samples.write_runs(tmp_path, compared, long)
    write_comparison(tmp_path, compared, "")
    cell = block_of((tmp_path / "report.html").read_text(encoding="utf-8"), "rows-0")[0]["cells"][0]
    assert (len(cell["text"]), cell["more"]) == (2_000, 500)


def test_64_systems_have_64_rows(tmp_path: Path) -> None:
    """Nothing is left out of the tables and the charts."""
    page = page_of(tmp_path, samples.comparison(64, n=20))
    assert page.partition('id="table"')[2].partition("</table>")[0].count("<tr") == 65
    forest = page.partition('class="forest"')[2].partition("</table>")[0]
    assert forest.count("<svg") == 63


@pytest.mark.parametrize(
    ("value", "low", "high", "n", "said"),
    [
        (-0.036, -0.07, -0.002, 40, ("−3.6 pts", "[−7.0, −0.2]")),
        (-0.036, -0.07, 0.002, 40, ("−4 pts", "[−7, 0]")),
        (0.0, -0.01, 0.01, 500, ("0.0 pts", "[−1.0, 1.0]")),
        (0.0004, -0.01, 0.01, 40, ("0 pts", "[−1, 1]")),
        (0.02, 0.004, 0.036, 40, ("+2.0 pts", "[0.4, 3.6]")),
    ],
)
def test_an_interval_that_leaves_out_0_shows_it(
    value: float, low: float, high: float, n: int, said: tuple[str, str]
) -> None:
    """Rounding never makes a found difference look as if its interval held 0."""
    assert written(Estimate(value=value, low=low, high=high, n=n), Style("rate"), True) == said


def next_of(tmp_path: Path, compared: SystemComparison) -> tuple[NextStep, ...]:
    """The next steps of a comparison with run folders in `out dir`."""
    runs = read_system_runs(tmp_path, compared)
    return build_systems_view(compared, "", runs, folder="out dir", suite="suite.yaml").next


def test_the_next_step_shows_a_case_that_only_one_of_two_passes(tmp_path: Path) -> None:
    """Not the case that divides all systems most, if these two agree on it; one that broke comes first."""
    compared = replace(samples.comparison(3), disagreements=tuple(map(samples.case_id, (5, 0, 6))))
    samples.write_runs(tmp_path, compared, n=N)
    assert samples.marks_of(5, 3) == [True, True, False]
    assert samples.marks_of(0, 3) == [False, True, True]
    assert samples.marks_of(6, 3) == [True, False, True]
    step = next_of(tmp_path, compared)[0]
    assert step.command == ("evalkit diff 'out dir/systems/today' 'out dir/systems/gpt-5-mini-short' --case c-00006")
    fixed = replace(compared, disagreements=tuple(map(samples.case_id, (5, 0))))
    assert next_of(tmp_path, fixed)[0].command.endswith("--case c-00000")
    agreed = replace(compared, disagreements=(samples.case_id(5),))
    assert not any("evalkit diff" in step.command for step in next_of(tmp_path, agreed))


@pytest.mark.parametrize("case_id", ["a\x00b", "a\nb", "\u202eb"])
def test_a_command_names_no_case_that_cannot_be_typed(tmp_path: Path, case_id: str) -> None:
    """The step stays, for the whole runs."""
    compared = replace(samples.comparison(2), disagreements=(case_id,))

    def renamed(place: int, number: int) -> Row:
        row = samples.answer(place, number)
        return replace(row, case=replace(row.case, id=case_id))

    samples.write_runs(tmp_path, compared, renamed, n=1)
    assert next_of(tmp_path, compared)[0].command == (
        "evalkit diff 'out dir/systems/today' 'out dir/systems/gpt-5-mini-short'"
    )


@pytest.mark.parametrize(
    ("rank", "said"), [((1, 1), "merge; then write `reference: gpt-5-mini/short` in the suite"), ((1, 2), "merge")]
)
def test_a_new_reference_is_suggested_only_for_the_best_alone(rank: tuple[int, int], said: str) -> None:
    """Rank 1 and no other: one that may be as good as the reference does not replace it."""
    made = samples.comparison(2)
    approved = replace(made.systems[1], rank=RankInterval(best=rank[0], worst=rank[1]))
    compared = replace(made, systems=(made.systems[0], approved), cases_to_part=None)
    assert said == systems_next(compared, (), folder="run", suite="suite.yaml")[-1].text


def test_a_blocked_release_system_is_looked_at_first(tmp_path: Path) -> None:
    """Its answers are compared with those of the reference, and no baseline is saved."""
    compared = samples.comparison(3)
    systems = (*compared.systems[:2], replace(compared.systems[2], outcome="blocked"))
    ids = tuple(map(samples.case_id, range(N)))
    compared = replace(compared, systems=systems, release=(systems[2].name,), disagreements=ids)
    samples.write_runs(tmp_path, compared, n=N)
    steps = next_of(tmp_path, compared)
    assert steps[0].command == (
        "evalkit diff 'out dir/systems/today' 'out dir/systems/gpt-5-mini-steps' --case c-00005"
    )
    assert not any("baseline" in step.command for step in steps)


def test_the_release_system_is_compared_and_not_the_first_one(tmp_path: Path) -> None:
    """The reader decides about it, whatever was decided; the command in the summary follows a colon."""
    compared = samples.comparison(3)
    ids = tuple(map(samples.case_id, range(N)))
    compared = replace(compared, release=(compared.systems[2].name,), disagreements=ids)
    samples.write_runs(tmp_path, compared, n=N)
    command = "evalkit diff 'out dir/systems/today' 'out dir/systems/gpt-5-mini-steps' --case c-00005"
    assert next_of(tmp_path, compared)[0].command == command
    view = build_systems_view(compared, "", read_system_runs(tmp_path, compared), folder="out dir")
    assert f"passes: `{command}`" in systems_markdown(view)


def test_a_run_of_chosen_cases_is_not_resumed(tmp_path: Path) -> None:
    """A resumed run has the same cases, so the whole suite is run."""
    compared = samples.comparison(2)
    samples.write_runs(tmp_path, compared, n=1)
    last = RunFolder(tmp_path / compared.systems[1].folder)
    last.write_manifest(replace(last.manifest(), finished_at="", partial="--limit 10"))
    assert next_of(tmp_path, compared)[0].command == "evalkit run suite.yaml"


def test_an_unfinished_run_is_resumed_first(tmp_path: Path) -> None:
    """One system that did not finish is enough."""
    compared = samples.comparison(2)
    samples.write_runs(tmp_path, compared, n=1)
    last = RunFolder(tmp_path / compared.systems[1].folder)
    last.write_manifest(replace(last.manifest(), finished_at=""))
    assert next_of(tmp_path, compared)[0].command == "evalkit run suite.yaml --out 'out dir' --resume"


def test_a_release_system_without_a_decision_has_none(tmp_path: Path) -> None:
    """It is not shown as only compared."""
    compared = samples.comparison(3)
    systems = (compared.systems[0], replace(compared.systems[1], outcome=None), compared.systems[2])
    page = page_of(tmp_path, replace(compared, systems=systems))
    assert "no decision" in row_of(page, systems[1].name)
    assert "its run was not decided" in words_of(page)
    assert "compared only" in row_of(page, systems[2].name)


@pytest.mark.parametrize(
    ("candidates", "said"),
    [
        ((1, 2), "No clear best by pass rate: gpt-5-mini/short or gpt-5-mini/steps; the cheapest"),
        ((1,), "Best by pass rate: gpt-5-mini/short; each other system is surely beaten."),
        ((), ""),
    ],
)
def test_the_best_are_named_once(candidates: tuple[int, ...], said: str) -> None:
    """By the sentence if it names them all, else below it."""
    compared = samples.comparison(3)
    compared = replace(compared, candidates=tuple(compared.systems[place].name for place in candidates))
    below = build_systems_view(compared, "today is fine", ()).claims
    assert below[0].startswith(said) if said else not any("best by" in claim.lower() for claim in below)
    named = build_systems_view(compared, sentence(compared), ()).claims
    assert not any("best by" in claim.lower() for claim in named)


@pytest.mark.parametrize("cost", [None, 0.0006])
def test_a_cheapest_system_needs_a_cost_of_its_own(cost: float | None) -> None:
    """With one unknown cost among the tied, or two that are equal, none is called the cheapest."""
    compared = samples.comparison(3)
    systems = tuple(replace(each, cost_usd_per_case=0.0006) for each in compared.systems[:2])
    systems = (*systems, replace(compared.systems[2], cost_usd_per_case=cost))
    claims = build_systems_view(replace(compared, systems=systems), "", ()).claims
    assert claims[0] == "No clear best by pass rate: gpt-5-mini/short or gpt-5-mini/steps."


def test_a_comparison_of_nothing_is_a_page(tmp_path: Path) -> None:
    """No case was asked: every figure is none or unknown, nothing is drawn, and the answers are an empty list."""
    nothing = Estimate(value=None, reason="no case was scored")
    compared = samples.comparison(2, n=0)
    systems = tuple(
        replace(each, primary=nothing, difference=None, rank=None, cost_usd_per_case=None, outcome=None)
        for each in compared.systems
    )
    page = page_of(tmp_path, replace(compared, systems=systems, cohorts=(), candidates=(), winner_shrunken=None))
    assert block_of(page, "index")["rows"] == []
    assert "No difference is known." in page
    assert "<svg" not in page
    assert row_of(page, "today").count("none (no case was scored)") == 1


def test_one_system_alone_is_a_page(tmp_path: Path) -> None:
    """A matrix of one is the reference of nothing."""
    compared = samples.comparison(2)
    alone = replace(compared, systems=compared.systems[:1], release=(), candidates=(), cohorts=())
    assert "No difference is known." in page_of(tmp_path, alone)
