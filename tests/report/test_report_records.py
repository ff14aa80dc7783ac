"""The release decision and the analysis of failures."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace

import pytest
import report_samples

from evalkit.formats.manifest import Rules, SystemFacts
from evalkit.report.failure_analysis import failure_analysis_markdown
from evalkit.report.records import BLANK, NO_REASON, release_decision_markdown
from evalkit.report.stamp import is_edited, stamped
from evalkit.report.view import View
from evalkit.text.numbers import style_of
from evalkit.types import Concern, Metric

FIELDS = (
    "| System | `python` |",
    "| Version | `2.4.0` |",
    "| Baseline | `main@9f2c1ab` |",
    "| Data version | `abab",
    "## Quality",
    "## Safety",
    "## Privacy",
    "## Cost",
    "## Latency",
    "## Known failures",
    "| Remediation |",
    "## Residual risk",
    "## Human oversight",
    "## Thresholds as they stood before the run",
    "| Why this value |",
    "| Suite version |",
    "| Commit |",
    "## Rules, labels and cases that changed",
    "## Required follow-up",
    "| Decision |",
    "| Approvers |",
    "| Date |",
)


def test_the_release_decision_is_as_stored(view: View, same_as_golden: Callable[[str, str], None]) -> None:
    """The same run gives the same record, byte for byte."""
    same_as_golden("release_decision.md", release_decision_markdown(view, report_samples.manifest()))


def test_the_failure_analysis_is_as_stored(view: View, same_as_golden: Callable[[str, str], None]) -> None:
    """The same run gives the same analysis, byte for byte."""
    same_as_golden("failure_analysis.md", failure_analysis_markdown(view))


@pytest.mark.parametrize("field", FIELDS)
def test_every_field_of_a_release_gate_is_there(view: View, field: str) -> None:
    """The record has each field, filled from the run or left for a person."""
    assert field in release_decision_markdown(view, report_samples.manifest())


def test_blanks_are_explicit(view: View) -> None:
    """What only people know says that it is to be filled in, and what the run does not know is not invented."""
    text = release_decision_markdown(view, replace(report_samples.manifest(), system=SystemFacts(kind="python")))
    assert f"| Version | {BLANK} |" in text
    for name in ("Decision", "Conditions", "Approvers", "Date"):
        assert f"| {name} | {BLANK} |" in text
    assert f"## Required follow-up\n\n{BLANK}" in text


def test_known_failures_have_severity_and_room_for_a_remedy(view: View) -> None:
    """Each known failure shows its severity and an empty remediation."""
    text = release_decision_markdown(view, report_samples.manifest())
    assert f"| `aml-0024` | high | `keywords`, `citation`, `correctness` | new failure | {BLANK} |" in text


def test_each_threshold_is_listed_once(view: View) -> None:
    """A threshold that holds in several cohorts is one line with their number."""
    text = release_decision_markdown(view, report_samples.manifest())
    assert f"| `pass_rate` | `pass_rate` | ≥ 85% | 3 | {NO_REASON} |" in text


def sections_of(view: View) -> dict[str, str]:
    """The record by its one-word headings."""
    text = release_decision_markdown(view, report_samples.manifest())
    return dict(re.findall(r"## (\w+)\n\n(.*?)(?=\n\n## )", text, re.DOTALL))


def test_checks_are_sorted_by_what_their_scorers_declare(view: View) -> None:
    """A cohort called privacy is no matter of privacy; a canary is one of safety."""
    sections = sections_of(view)
    assert "canary" in sections["Safety"]
    assert "bears on it" in sections["Privacy"]
    assert "domain=aml" in sections["Quality"]
    assert "cost per case" in sections["Cost"]


NAMES = ("privacy", "secretary", "personal loans", "leakage", "bias", "safe deposit", "refusals", "kpi_s", "price_usd")


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("concern", ["quality", "safety", "privacy"])
def test_the_name_of_a_metric_or_cohort_moves_no_check(view: View, name: str, concern: Concern) -> None:
    """The section is the declared one, for the metric and its `.passed`, overall and in a cohort of any name."""
    metric = Metric(name, concern=concern)
    declared = {**view.declared, name: metric}
    line = next(line for line in view.gates if line.outcome == "pass")
    lines = []
    for asked in (name, f"{name}.passed"):
        for cohort in ("overall", f"product={name}"):
            check = replace(line.check, name=asked, metric=asked, cohort=cohort, outcome="block")
            lines.append(replace(line, subject=f"{asked} in {cohort}", check=check, outcome="block"))
    styles = {**view.styles, name: style_of(name, metric), f"{name}.passed": style_of(f"{name}.passed", metric)}
    sections = sections_of(replace(view, declared=declared, gates=tuple(lines), styles=styles))
    for title in ("Quality", "Safety", "Privacy"):
        expected = 4 if title.lower() == concern else 0
        assert sum(said.startswith("- ✗") for said in sections[title].splitlines()) == expected, title
    assert name not in sections["Latency"] + sections["Cost"]


@pytest.mark.parametrize("name", NAMES)
def test_the_pass_rate_of_a_cohort_is_quality(view: View, name: str) -> None:
    """Whatever the cohort or its value is called."""
    line = next(line for line in view.gates if line.check.metric == "pass_rate")
    check = replace(line.check, cohort=f"topic={name}", outcome="block")
    moved = replace(line, subject=f"pass rate in topic={name}", check=check, outcome="block")
    sections = sections_of(replace(view, gates=(moved,)))
    assert name in sections["Quality"]
    assert name not in sections["Safety"] + sections["Privacy"]


def test_the_analysis_counts_what_failed(view: View) -> None:
    """Failures are counted by severity, metric, cohort and change, and the worst have room for cause and remedy."""
    text = failure_analysis_markdown(view)
    assert "7 of 40 cases failed. Of 40 runs, 2 had no answer and 2 could not be scored in full." in text
    for line in ("| `low` | 3 |", "| `correctness` | 7 |", "| `domain=aml` | 5 |", "| `new failure` | 4 |"):
        assert line in text
    assert text.count(f"- Cause: {BLANK}") == text.count(f"- Remediation: {BLANK}") == 4


def test_the_reason_of_a_threshold_comes_from_the_suite(view: View) -> None:
    """`why:` of the gate's entry, as the manifest kept it; of two entries that of the same limit."""
    gate = [
        {"pass_rate": {"min": 0.5, "why": "another one"}},
        {"pass_rate": {"min": 0.85, "why": "what people accept | today"}},
        {"latency_p95_s": 3},
    ]
    text = release_decision_markdown(view, replace(report_samples.manifest(), rules=Rules(gate=gate)))
    assert "| `pass_rate` | `pass_rate` | ≥ 85% | 3 | what people accept \\| today |" in text
    assert f"| `latency_p95_s` | `latency_p95_s` | ≤ 3 s | 1 | {NO_REASON} |" in text
    for odd in (None, Rules(gate=("canary", {}, {"x": 1}))):
        assert "## Thresholds" in release_decision_markdown(view, replace(report_samples.manifest(), rules=odd))


def test_residual_risk_begins_with_what_the_run_could_not_show(view: View) -> None:
    """Checks without evidence and judges without proof are risks that nobody has to look for."""
    text = release_decision_markdown(view, report_samples.manifest())
    risk = text.partition("## Residual risk")[2].partition("\n## ")[0]
    assert "1 check had too little evidence to say anything." in risk
    assert BLANK in risk


def test_conditions_are_those_of_the_gate(view: View) -> None:
    """An approval with conditions names them; people may write others."""
    conditional = replace(view, outcome="approved with conditions", reasons=("no baseline yet",))
    text = release_decision_markdown(conditional, report_samples.manifest())
    assert "| Conditions | no baseline yet |" in text
    assert f"| Approvers | {BLANK} |" in text


def test_a_touched_record_is_told_from_one_that_nobody_touched() -> None:
    """The mark at the end holds for the text that was written, and for no other."""
    text = stamped("# Record\n\n(to be filled in)\n")
    assert not is_edited(text)
    assert is_edited(text.replace("(to be filled in)", "ana, 2026-07-04"))
    assert is_edited("# Record without a mark\n")
    assert is_edited(text.partition("<!--")[0])


def test_a_check_without_a_figure_leaves_no_gap(view: View) -> None:
    """As of the coverage, which stands in its reason."""
    text = release_decision_markdown(
        replace(view, gates=tuple(replace(line, now="") for line in view.gates)), report_samples.manifest()
    )
    assert ", need" in text
    assert " , need" not in text


def test_nothing_failed(view: View) -> None:
    """A run without failures says so instead of showing an empty table."""
    clean = replace(view, failing=(), n_failing=0, errors=())
    assert "None in this run." in release_decision_markdown(clean, report_samples.manifest())
    assert failure_analysis_markdown(clean).count("### ") == 0


def test_many_passed_checks_are_counted_and_what_asks_for_action_is_listed(view: View) -> None:
    """A reader of the record sees each cause and each overall figure, and how many cohorts passed."""
    blocked = [line for line in view.gates if line.outcome == "block"]
    checks = [replace(blocked[0].check, cohort=f"language=l{number}", outcome="pass") for number in range(20)]
    cohorts = [replace(blocked[0], check=check, outcome="pass") for check in checks]
    text = release_decision_markdown(replace(view, gates=(*blocked, *cohorts)), report_samples.manifest())
    quality = text.partition("## Quality")[2].partition("## Safety")[0]
    assert "✓ pass: 20 checks by cohort, in the report" in quality
    assert quality.count("✗ block") == len(blocked)
    assert len(quality.strip().splitlines()) == len(blocked) + 1
