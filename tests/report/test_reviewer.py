"""What a reviewer reads in ten seconds: what happened, why, what next."""

from __future__ import annotations

import io
import re
from collections.abc import Callable
from dataclasses import replace

import pytest
import report_samples
from rich.console import Console

from evalkit.report.console import print_view
from evalkit.report.markdown import MOST_WORDS, few_words, page_of, sentence, summary_markdown
from evalkit.report.next_steps import Places
from evalkit.report.page import COMMENT_BYTES, markdown, read_page, to_json
from evalkit.report.records import release_decision_markdown
from evalkit.report.view import View, build_view
from evalkit.results import PARTIAL_RUN, Amendment, Check, Comparison, Decision, Estimate

PLACES = Places(run="reports/now", baseline="reports/baselines/main", suite="suites/compliance.yaml")
LONG = "many words that say the same thing over and over again until nobody reads them " * 9
COMPARED = Comparison(baseline_id="main@9f2c1ab", n_paired=40, overlap=1.0, still_failing=("aml-0008",))
NO_BASELINE = Check(
    name="no_regression",
    metric="",
    cohort="overall",
    outcome="insufficient evidence",
    need="a comparison with the baseline",
    reason="no baseline `main` yet: save it with `evalkit baseline save RUN --name main`",
)
PASSED = tuple(check for check in report_samples.checks() if check.outcome == "pass")


def seen(decision: Decision, *, partial: str | None = None, before: bool = True) -> View:
    """The view of the hand-made rows with another decision."""
    old = report_samples.stored_baseline_rows if before else None
    manifest = replace(report_samples.manifest(), partial=partial)
    return build_view(report_samples.summary(), decision, report_samples.stored_rows, old, manifest, places=PLACES)


def red() -> View:
    """A blocked run."""
    return seen(report_samples.decision())


def green() -> View:
    """An approved run."""
    return seen(Decision(outcome="approved", checks=PASSED, comparison=COMPARED))


def first() -> View:
    """The first run of a suite."""
    checks = (*PASSED, NO_BASELINE)
    return seen(
        Decision(outcome="approved with conditions", checks=checks, reasons=(NO_BASELINE.reason,)), before=False
    )


def undecided() -> View:
    """A part of the suite."""
    return seen(
        Decision(outcome="no decision", checks=PASSED, reasons=("partial run (--limit 5), not a gate",)),
        partial="--limit 5",
    )


def huge() -> View:
    """Forty cohorts that block and warn with long names, long reasons and long texts, and fifty looser rules."""
    check = report_samples.checks()[1]
    names = [f"{'very long cohort name ' * 4}{number}={LONG}" for number in range(40)]
    checks = tuple(
        replace(check, cohort=name, metric=f"metric {LONG}", reason=f"{name} {LONG}", outcome=outcome)
        for name in names
        for outcome in ("block", "warn")
    )
    decision = report_samples.decision()
    looser = tuple(Amendment(what=f"rule {LONG}", before=LONG, after=LONG, loosens=True) for _ in range(50))
    view = seen(replace(decision, checks=checks, reasons=tuple(c.reason for c in checks), amendments=looser))
    failed = view.failing[0]
    row = replace(failed.row, case=replace(failed.row.case, id=f"id {LONG}", input=LONG))
    score = replace(failed.failed[0], reason=LONG)
    kind = replace(view.kinds[0], name=LONG, words=LONG)
    long = replace(failed, row=row, failed=(score,), n_runs=9)
    steps = tuple(replace(step, text=LONG) for step in view.next)
    return replace(view, failing=(long,) * 50, n_failing=40_000, kinds=(kind,) * 30, next=steps)


RUNS: dict[str, Callable[[], View]] = {
    "red": red,
    "green": green,
    "first": first,
    "undecided": undecided,
    "huge": huge,
}


def visible(view: View) -> str:
    """The part of the posted comment that is not folded, and the titles of the folds."""
    text = markdown(read_page(to_json(page_of(view)).encode()), COMMENT_BYTES, foot="Full report: an artifact")
    text = re.sub(r"<!--.*?-->", "", text)
    return re.sub(r"<details><summary>(.*?)</summary>.*?</details>", r"\1", text, flags=re.DOTALL)


def words(text: str) -> int:
    """Words that hold a letter or a digit."""
    return sum(bool(re.search(r"\w", word)) for word in text.split())


@pytest.mark.parametrize("name", RUNS)
def test_the_visible_part_of_a_comment_is_short(name: str) -> None:
    """At most 250 words, whatever the run."""
    text = visible(RUNS[name]())
    assert 10 < words(text) <= MOST_WORDS, words(text)


@pytest.mark.parametrize("name", RUNS)
def test_the_comment_hides_what_no_reviewer_needs(name: str) -> None:
    """No hash, provenance, head or quantile is visible, and no line has a second interval."""
    view = replace(RUNS[name](), head="5f" * 16)
    text = visible(view)
    assert view.head in markdown(page_of(view))
    for hidden in (view.head, "sha256", "p99", "kappa"):
        assert hidden not in text
    for line in text.splitlines():
        assert len(re.findall(r"\[[−\d][^\]]*, [^\]]*\]", line)) <= 1, line


def test_a_headline_that_holds_a_command_reads_as_text() -> None:
    """Its quotes of code were escaped, and showed as signs."""
    head = next(line for line in markdown(page_of(first())).splitlines() if line.startswith("###"))
    assert head.endswith("no baseline main yet: save it with evalkit baseline save RUN --name main")


@pytest.mark.parametrize("name", RUNS)
def test_every_fold_holds_something(name: str) -> None:
    """A reader who opens one finds more than its title."""
    text = markdown(page_of(RUNS[name]()))
    folds = re.findall(r"<details><summary>(.*?)</summary>(.*?)</details>", text, flags=re.DOTALL)
    assert folds
    assert [title for title, body in folds if not body.strip()] == []


def test_no_decision_says_why_results_are_missing() -> None:
    """The count of missing rows is no cause: the errors are, on every page and once on the terminal."""
    reason = "18 of 20 rows are scored, need 99% of them"
    coverage = replace(NO_BASELINE, name="coverage", metric="coverage", outcome="no decision", reason=reason)
    cohort = replace(coverage, cohort="domain=aml", reason="domain=aml: 8 of 10 rows are scored")
    view = seen(Decision(outcome="no decision", checks=(coverage, cohort), reasons=(reason, cohort.reason)))
    assert view.headline.startswith(reason) or reason in view.headline
    assert view.why[0].startswith("without a result: 2 unscored (judge_error), 1 system error (http_500)")
    assert view.why[0] in visible(view).replace("\\", "")
    file = io.StringIO()
    print_view(view, Console(file=file, width=200, color_system=None))
    assert file.getvalue().count("judge_error") == 1
    assert "without a result" not in " ".join(red().why)
    assert replace(view.errors[0], state="system error", count=1_200).counted == "1,200 system errors"


@pytest.mark.parametrize("name", RUNS)
def test_every_place_says_what_why_next_in_this_order(name: str) -> None:
    """The comment and the terminal begin with the outcome and end with a command to copy."""
    view = RUNS[name]()
    text = visible(view)
    assert text.index(view.outcome.upper()) < text.index("**Next**")
    if "**Why**" in text:
        assert text.index(view.outcome.upper()) < text.index("**Why**") < text.index("**Next**")
    file = io.StringIO()
    print_view(view, Console(file=file, width=80, color_system=None, markup=False, highlight=False, emoji=False))
    said = file.getvalue()
    assert said.startswith(view.word)
    assert said.rindex("\nnext    ") > said.index(view.facts[0])
    assert "evalkit " in said[said.rindex("\nnext    ") :]


def test_a_failure_has_question_fault_and_answer() -> None:
    """In the comment and on the terminal, for each of the worst cases."""
    view = red()
    failed = view.failing[0]
    row = next(
        line for line in visible(view).splitlines() if f"`{failed.row.case.id}`" in line and line.startswith("|")
    )
    assert "When must a suspicious transaction be reported?" in row
    assert "found 1 of 4: unit" in row
    assert "It should be reported within thirty days" in row
    file = io.StringIO()
    print_view(view, Console(file=file, width=100, color_system=None))
    for said in ("asked   When must", "wrong   found 1 of 4: unit", "answer  It should be"):
        assert said in file.getvalue()


def test_an_approval_with_conditions_leads_with_the_approval() -> None:
    """What passed comes before what is open."""
    headline = first().headline
    assert headline.startswith("3 of 4 checks passed; condition: ")
    assert "no baseline `main` yet" in headline


def test_green_lists_no_failure_that_is_not_news() -> None:
    """Cases that failed before as well are counted, and folded with everything else."""
    text = visible(green())
    assert "1 still failing" in text
    assert "aml-0008" not in text
    assert "no case newly fails" in text


def steps(view: View) -> list[str]:
    """The commands of the next steps."""
    return [step.command for step in view.next]


def test_next_fits_the_outcome() -> None:
    """A red run leads to its worst case, a first one to a baseline, a part to the whole, a green one to the merge."""
    assert steps(red())[0] == f"evalkit diff reports/baselines/main reports/now --case {red().failing[0].row.case.id}"
    assert steps(red())[1] == "evalkit run suites/compliance.yaml --failed-from reports/now"
    assert steps(first())[0] == "evalkit baseline save reports/now --name main"
    assert steps(undecided()) == ["evalkit run suites/compliance.yaml"]
    assert green().next[0].text.startswith("merge")


def test_a_reason_is_read_with_signs() -> None:
    """A decision stores `<=`; every page shows ≤, in checks, reasons and headline alike."""
    reason = "2 cases fail, need <= 0 failing critical cases: a, b"
    failing = replace(
        NO_BASELINE, name="failures", metric="pass_rate", cohort="severity=critical", outcome="block",
        need="<= 0 failing critical cases", reason=reason,
    )  # fmt: skip
    other = replace(failing, cohort="overall", reason="3 cases fail, need <= 1 failing cases: c")
    view = seen(Decision(outcome="blocked", checks=(failing, other), reasons=(reason, other.reason)))
    file = io.StringIO()
    print_view(view, Console(file=file, width=200, color_system=None), verbose=True)
    for text in (
        summary_markdown(view),
        file.getvalue(),
        release_decision_markdown(view, report_samples.manifest()),
        view.headline,
    ):
        assert "≤ 0 failing critical cases" in text
        assert "<=" not in text and "&lt;=" not in text


def test_what_a_reason_names_is_the_next_step() -> None:
    """The command of a reason gets the folder of the run."""
    reason = "rests on a judge: draw answers to label with `evalkit labels sample RUN`, or make the scorer advisory"
    view = seen(Decision(outcome="no decision", checks=PASSED, reasons=(reason,), comparison=COMPARED))
    assert "evalkit labels sample reports/now" in steps(view)


def test_failing_cases_that_were_added_or_edited_are_shown() -> None:
    """They are no new failures, since the baseline has no row beside them; they are no less to look at."""
    failing = next(row.case.id for row in report_samples.stored_rows() if row.case.id in red().failing_ids)
    view = seen(Decision(outcome="approved", checks=PASSED, comparison=replace(COMPARED, added=(failing,))))
    assert (view.news, view.n_unpaired) == (True, 1)
    assert "1 added or edited case fails" in view.moves
    assert view.why == ("1 added or edited case fails",)
    file = io.StringIO()
    print_view(view, Console(file=file, width=100, color_system=None))
    assert view.failing[0].row.case.id in file.getvalue()
    assert not green().news


def test_a_stopped_run_is_resumed() -> None:
    """A run that ended at its deadline goes on where it stopped."""
    reasons = (PARTIAL_RUN.format("the deadline was reached"), "only 4 of 5 cases of the baseline are in this run")
    view = seen(Decision(outcome="no decision", checks=PASSED, reasons=reasons))
    assert view.headline == "partial run, not a gate: the deadline was reached"
    assert steps(view) == ["evalkit run suites/compliance.yaml --out reports/now --resume"]


def test_an_id_that_cannot_be_shown_is_in_no_command() -> None:
    """A command would not name the case that it shows."""
    decision = report_samples.decision()
    assert decision.comparison is not None
    odd = replace(decision, comparison=replace(decision.comparison, new_failures=(report_samples.case(39).id,)))
    assert steps(seen(odd))[0] == "evalkit diff reports/baselines/main reports/now"


def test_few_words_are_counted() -> None:
    """Cut after the last word that fits."""
    assert few_words("a  b\nc", 3) == "a b c"
    assert few_words("a b c d", 3) == "a b c …"


@pytest.mark.parametrize(
    ("parts", "most", "words", "said"),
    [
        (["a b", "c d", "e f"], 3, 9, "Moved: a b · c d · e f"),
        (["a b", "c d", "e f"], 2, 9, "Moved: a b · c d · 1 more"),
        (["a b", "c d", "latency 75 ms → 86 ms"], 3, 6, "Moved: a b · c d · 1 more"),
        (["a b c d e", "f"], 2, 3, "Moved: a b c … · 1 more"),
    ],
)
def test_a_list_of_the_comment_ends_with_a_whole_part(parts: list[str], most: int, words: int, said: str) -> None:
    """What does not fit is counted, so that no number is cut from its unit; only the first part may be cut."""
    assert sentence("Moved", parts, most, words) == (said,)


def test_reasons_come_first_and_values_that_are_hidden_show_no_hash() -> None:
    """The comment says why before what else moved; the hash that stands for a value is in the folded part."""
    changed = Amendment(what="system arguments.corpus", before="not set", after="#41b62fb4", loosens=True)
    moved = Amendment(what="system version", before="#00b62fb4", after="#41b62fb4", loosens=True)
    view = replace(seen(report_samples.decision()), amendments=(changed, moved))
    text = summary_markdown(view).partition("<details>")[0]
    assert "system arguments.corpus not set → a hidden value · system version a hidden value → another" in text
    assert text.index("- pass") < text.index("Changed rules") < text.index("Failing alike")


def test_a_limit_of_the_gate_has_one_interval() -> None:
    """A check that compares shows the interval of its drop only."""
    check = replace(report_samples.checks()[1], observed=Estimate(value=0.5, low=0.2, high=0.8, n=10))
    view = seen(replace(report_samples.decision(), checks=(check,)))
    row = next(line for line in visible(view).splitlines() if line.startswith("| pass rate"))
    assert row == "| pass rate in domain=aml | 90% | 50% | 40 pts [18, 61] |"
