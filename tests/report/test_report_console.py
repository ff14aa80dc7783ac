"""What a terminal shows of a finished run, letter by letter."""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import replace

import pytest
import report_samples
from rich.console import Console

from evalkit.report.console import SHOWN_REASONS, print_view
from evalkit.report.view import View, build_view
from evalkit.results import Amendment, Check, Decision


def printed(view: View, width: int, *, colour: bool = False, verbose: bool = False) -> str:
    """Print a run at a width."""
    file = io.StringIO()
    system = "standard" if colour else None
    options = {"force_terminal": colour, "highlight": False, "markup": False, "emoji": False}
    print_view(view, Console(file=file, width=width, color_system=system, **options), verbose=verbose)  # type: ignore[arg-type]
    return "\n".join(line.rstrip() for line in file.getvalue().split("\n"))


@pytest.mark.parametrize("width", [80, 120])
def test_the_terminal_output_is_as_stored(view: View, same_as_golden: Callable[[str, str], None], width: int) -> None:
    """The same run prints the same lines at 80 and 120 columns, none of them longer."""
    text = printed(view, width)
    assert max(map(len, text.splitlines())) <= width
    assert "\x1b" not in text
    same_as_golden(f"console-{width}.txt", text)


def test_colours_change_no_letter(view: View, same_as_golden: Callable[[str, str], None]) -> None:
    """A terminal shows the same lines in colour; every sign has its word."""
    import re

    text = printed(view, 80, colour=True)
    assert "\x1b[1;31m" in text
    assert [line.rstrip() for line in re.sub(r"\x1b\[[\d;]*m", "", text).split("\n")] == printed(view, 80).split("\n")
    same_as_golden("console-80-colour.txt", text)


def test_a_long_output_ends_with_the_verdict(view: View) -> None:
    """Where every check is listed, the verdict stands first and last."""
    lines = printed(view, 100, verbose=True).strip().split("\n")
    assert lines[0].startswith("BLOCKED")
    assert "BLOCKED" in "\n".join(lines[-2:])


def test_reasons_left_out_are_counted(view: View) -> None:
    """One is one."""
    for extra, said in ((1, "… and 1 more reason\n"), (3, "… and 3 more reasons\n")):
        many = replace(view, why=tuple(f"reason {number}" for number in range(SHOWN_REASONS + extra)))
        assert said in printed(many, 80)


def test_the_headline_is_not_said_again() -> None:
    """A reason that is the headline, word for word, is not a further reason."""
    reasons = ("no baseline yet", "another")
    decision = Decision(outcome="no decision", checks=(), reasons=reasons)
    view = build_view(report_samples.summary(), decision, tuple, None, report_samples.manifest())
    text = printed(view, 100)
    assert text.count("no baseline yet") == 1
    assert "why     another" in text


def test_without_a_baseline_there_is_no_column_of_it(view: View) -> None:
    """What was not compared has a limit, and no empty column before it."""
    alone = replace(view, gates=tuple(replace(line, base="", drop="") for line in view.gates))
    assert "drop, or need" in printed(view, 100)
    text = printed(alone, 100)
    assert "drop" not in text.partition("cohort")[0]
    assert "need ≥ 85%" in text


def test_a_check_that_counts_cases_is_not_named_after_a_rate() -> None:
    """`failures pass rate · severity=critical` named a rate that the check does not limit."""
    limit = "<= 0 failing critical cases"
    check = Check(name="failures", metric="pass_rate", cohort="severity=critical", outcome="block", need=limit)
    broke = replace(check, name="critical cases", outcome="warn", need="none that passed fails")
    decision = Decision(outcome="blocked", checks=(check, broke), reasons=("2 cases fail",))
    view = build_view(report_samples.summary(), decision, tuple, None, report_samples.manifest())
    text = printed(view, 120)
    assert "✗ block  failures · severity=critical " in text
    assert "! warn   critical cases · severity=critical " in text
    assert [line.subject for line in view.gates] == [
        "failures in severity=critical",
        "critical cases in severity=critical",
    ]


def test_a_changed_rule_is_said_under_its_own_word() -> None:
    """A looser gate that is a reason as well stands once, with its mark."""
    looser = Amendment(what="gate pass_rate.min", before="0.8", after="0.5", loosens=True)
    reasons = (f"{looser} since main@9f2c1ab", "another")
    decision = Decision(
        outcome="approved with conditions",
        checks=(),
        reasons=("first", *reasons),
        amendments=(looser,),
        amended_since="main@9f2c1ab",
    )
    text = printed(build_view(report_samples.summary(), decision, tuple, None, report_samples.manifest()), 120)
    assert text.count("0.8 → 0.5") == 1
    assert "rules   ! looser gate pass_rate.min 0.8 → 0.5 since main@9f2c1ab" in text
