"""What is said of a judge: one line, its trust, and the agreement of raters once."""

from __future__ import annotations

import hashlib
import io
from dataclasses import replace
from pathlib import Path

import report_samples
from rich.console import Console

from evalkit.report.console import print_view
from evalkit.report.html import write_html
from evalkit.report.judges import judge_panels
from evalkit.report.markdown import summary_markdown
from evalkit.report.opinions import Opinions
from evalkit.report.records import release_decision_markdown
from evalkit.report.view import View, build_view
from evalkit.results import Agreement, Decision, Estimate, Summary
from evalkit.trust.labels import Label
from evalkit.types import Metric, Output, Row, Score

PERSON = report_samples.agreement()[0]
AUTHOR = replace(PERSON, rater_kind="author", trust="untrusted", kappa=Estimate(value=0.86, low=0.69, high=0.94, n=116))
NOBODY = Agreement(
    metric="correctness",
    judge="local-correctness",
    rater_kind="person",
    cohort="overall",
    kappa=Estimate(value=None, reason="no labels"),
)
PAIR = replace(AUTHOR, judge="rater ana / ben", kappa=Estimate(value=0.95, low=0.66, high=0.99, n=38))
ALL = replace(AUTHOR, judge="3 raters", kappa=Estimate(value=0.91, low=0.8, high=0.97, n=44))


def standing(*agreement: Agreement) -> str:
    """The one line of the judge."""
    (panel,) = judge_panels(replace(report_samples.summary(), agreement=agreement), {})
    return panel.standing


def view_with(agreement: tuple[Agreement, ...], summary: Summary, decision: Decision) -> View:
    """The hand-made run with other labels."""
    rows = report_samples.candidate_rows
    return build_view(replace(summary, agreement=agreement), decision, rows, None, report_samples.manifest())


def test_people_come_first_and_others_behind_them() -> None:
    """Trust is said with the labels that it rests on; other labels follow under their own name."""
    assert standing(AUTHOR, NOBODY) == (
        "untrusted: no labels by people; kappa 0.86 [0.69, 0.94] with 116 labels by authors, on pass/fail"
    )
    assert standing(PERSON) == "trusted on pass/fail: kappa 0.78 [0.66, 0.88] with 120 labels by people"


def test_the_agreement_of_raters_is_said_once() -> None:
    """Two raters give one figure; of more than two that of all of them stands for the pairs."""
    assert standing(PERSON, PAIR).endswith("; ana / ben agree at 0.95 [0.66, 0.99] (n=38), for comparison")
    said = standing(PERSON, PAIR, ALL)
    assert said.count("for comparison") == 1
    assert "3 raters agree at 0.91" in said


def test_every_place_has_one_line_a_judge(summary: Summary, decision: Decision) -> None:
    """Terminal and summary name a judge once; the raters are no judges there."""
    view = view_with((AUTHOR, PAIR, NOBODY), summary, decision)
    file = io.StringIO()
    print_view(view, Console(file=file, width=200, color_system=None))
    lines = [line for line in file.getvalue().splitlines() if "local-correctness" in line]
    assert len(lines) == 1, lines
    section = summary_markdown(view).partition("<summary>Judge trust")[2].partition("</details>")[0]
    assert [line for line in section.splitlines() if line.startswith("- ")] == [
        "- `correctness` by `local-correctness` untrusted: no labels by people; "
        "kappa 0.86 [0.69, 0.94] with 116 labels by authors, on pass/fail; "
        "ana / ben agree at 0.95 [0.66, 0.99] (n=38), for comparison"
    ]


def test_the_record_doubts_judges_and_no_raters(summary: Summary, decision: Decision) -> None:
    """Residual risk names a judge that people have not confirmed, and never what people reach among themselves."""
    risk = release_decision_markdown(view_with((AUTHOR, PAIR, NOBODY), summary, decision), report_samples.manifest())
    doubts = [line for line in risk.splitlines() if "is not shown to agree with people" in line]
    assert doubts == ["- `local-correctness on correctness` is not shown to agree with people."]
    sure = release_decision_markdown(view_with((PERSON, AUTHOR), summary, decision), report_samples.manifest())
    assert "is not shown to agree" not in sure


def test_a_cohort_that_borrows_its_trust_says_so(tmp_path: Path, summary: Summary, decision: Decision) -> None:
    """Only labels of a cohort give it a mark of its own; labels by others have no mark of trust anywhere."""
    note = "not verified here: 3 labels, 40 are needed; the overall trust applies"
    here = replace(PERSON, cohort="domain=aml", note=note)
    view = view_with((PERSON, here, AUTHOR), summary, decision)
    path = tmp_path / "r.html"
    write_html(path, view, report_samples.stored_rows, None)
    page = path.read_text(encoding="utf-8")
    assert page.count("</span> trusted</span>") == 1
    assert '<span class="mark scored">trusted overall</span>' in page
    assert '<span class="mark scored">shown only</span>' in page
    assert "</span> untrusted</span>" not in page


LEVELS = replace(
    PERSON,
    figure="correctness",
    weights="quadratic",
    questions=40,
    kappa=Estimate(value=0.81, low=0.7, high=0.88, n=160),
)
KIND = replace(
    LEVELS,
    figure="correctness.passed",
    weights=None,
    trust="untrusted",
    labels_needed=None,
    kappa=Estimate(value=0.13, low=0.01, high=0.24, n=160),
)
ALMOST = replace(
    KIND, trust="provisional", kappa=replace(KIND.kappa, value=0.7), labels_needed=400, questions_needed=100
)


def test_every_place_says_which_figure_a_kappa_is_about(tmp_path: Path, summary: Summary, decision: Decision) -> None:
    """Passes and levels of one judge stand side by side, with labels and questions counted."""
    view = view_with((KIND, LEVELS), summary, decision)
    said = (
        "untrusted on pass/fail: kappa 0.13 [0.01, 0.24] with 160 labels of 40 questions by people; "
        "trusted on levels: kappa 0.81 [0.70, 0.88] with 160 labels of 40 questions by people"
    )
    file = io.StringIO()
    print_view(view, Console(file=file, width=400, color_system=None))
    assert said in file.getvalue()
    assert said in summary_markdown(view)
    record = release_decision_markdown(view, report_samples.manifest())
    assert "`local-correctness on correctness.passed` is not shown to agree with people." in record
    assert "`local-correctness on correctness` is not shown" not in record
    path = tmp_path / "r.html"
    write_html(path, view, report_samples.stored_rows, None)
    page = path.read_text(encoding="utf-8")
    for figure in ("correctness.passed", "correctness"):
        assert f'kappa of <span dir="auto">{figure}</span>' in page
    assert "on pass/fail against labels by people" in page
    assert "<dt>questions</dt><dd>40</dd>" in page


def test_more_questions_are_asked_for_and_not_more_answers_to_the_same() -> None:
    """240 labels more, on 60 questions that nobody has labelled yet."""
    (panel,) = judge_panels(replace(report_samples.summary(), agreement=(ALMOST,)), {})
    assert panel.overall[0].needed == (
        "about 240 more labels on 60 more questions would make it trusted (4 times in 5)"
    )


def test_an_answer_is_in_every_cell_that_a_rater_puts_it_in() -> None:
    """Raters say 5 and 2 of an answer that the judge gives a 5: both levels, and the pass and fail they stand for."""
    case = report_samples.case(0)
    metric = Metric("tone", 1, 5, judge="j", pass_at=4)
    row = Row(case=case, repeat=0, output=Output(text="hello"), scores={"tone": Score("tone", 5.0, passed=True)})
    digest = hashlib.sha256(b"hello").hexdigest()
    labels = [Label(case.id, digest, "tone", said, rater) for rater, said in (("ana", 5.0), ("ben", 2.0))]
    assert set(Opinions(labels).of(row, {"tone": metric})) == {
        ("tone", "person", "5", "5"),
        ("tone", "person", "pass", "pass"),
        ("tone", "person", "2", "5"),
        ("tone", "person", "fail", "pass"),
    }


def test_one_judge_of_several_metrics_takes_one_line_of_the_console() -> None:
    """Its metrics are named in one line, as far as the same is said of them."""
    (panel,) = judge_panels(replace(report_samples.summary(), agreement=(NOBODY,)), {})
    view = view_with((NOBODY,), report_samples.summary(), report_samples.decision())
    names = ("tone", "claims", "claims.score", "claims.numerical")
    panels = (panel, *(replace(panel, metric=name) for name in names), replace(panel, metric="fee", judge="other"))
    out = io.StringIO()
    print_view(replace(view, panels=panels), Console(file=out, width=200))
    said = [line.split("judge", 1)[1].strip() for line in out.getvalue().splitlines() if "untrusted" in line]
    assert said == [
        "correctness, tone, claims, claims.score and 1 more (local-correctness) untrusted: no labels by people",
        "fee (other) untrusted: no labels by people",
    ]
