"""JUnit XML."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree

import pytest
import report_samples

from evalkit.report.junit import write_junit
from evalkit.results import Summary
from evalkit.types import Case, Output, Row, Score


def written(path: Path, rows: list[Row], summary: Summary) -> ElementTree.Element:
    """Write and parse."""
    write_junit(path, lambda: rows, summary)
    return ElementTree.parse(path).getroot()  # noqa: S314 - our own output


def test_the_file_is_as_stored(tmp_path: Path, summary: Summary, same_as_golden: Callable[[str, str], None]) -> None:
    """The same run gives the same file, byte for byte."""
    write_junit(tmp_path / "junit.xml", report_samples.candidate_rows, summary)
    same_as_golden("junit.xml", (tmp_path / "junit.xml").read_text(encoding="utf-8"))


def test_counts_are_exact(tmp_path: Path, summary: Summary) -> None:
    """Every attribute equals the number of elements below it, in each suite and in all."""
    root = written(tmp_path / "junit.xml", report_samples.candidate_rows(), summary)
    assert [suite.get("name") for suite in root] == [f"domain={name}" for name in report_samples.DOMAINS]
    for element in (root, *root):
        counted = [len(element.findall(f".//{tag}")) for tag in ("testcase", "failure", "error", "skipped")]
        assert [int(element.attrib[name]) for name in ("tests", "failures", "errors", "skipped")] == counted
    assert [root.get(name) for name in ("tests", "failures", "errors", "skipped")] == ["40", "7", "2", "3"]


def test_each_end_of_a_case_has_its_element(tmp_path: Path, summary: Summary) -> None:
    """Below the mark is a failure, no answer an error, no score or no run skipped; each says why."""
    root = written(tmp_path / "junit.xml", report_samples.candidate_rows(), summary)
    found = {case.get("name"): [(child.tag, child.get("message")) for child in case] for case in root.iter("testcase")}
    assert found["aml-0000"] == [("failure", "keywords 0.25: found 1 of 4: unit")]
    assert found["consumer-0022"] == [("error", "the server answered 500")]
    assert found["privacy-0033"] == [("skipped", "disabled in the golden set")]
    assert str(found["privacy-0017"][0][1]).startswith("correctness judge_error: the reply had no score")
    assert found["aml-0004"] == []


@pytest.mark.parametrize("character", ["\x00", "\x0b", "\x1b", "\ufffe", "\ud800", "\x7f"])
def test_what_xml_cannot_hold_is_escaped(tmp_path: Path, summary: Summary, character: str) -> None:
    """Characters that XML forbids are written as their number, in ids, messages and bodies."""
    case = Case(id=f"a{character}b", input="?", cohorts={"domain": f"c{character}d"})
    row = Row(case=case, output=Output(text=character), scores={"m": Score("m", 0, False, f"e{character}f")})
    root = written(tmp_path / "junit.xml", [row], summary)
    number = f"\\u{ord(character):04x}"
    assert root[0].get("name") == f"domain=c{number}d"
    assert root[0][0].get("name") == f"a{number}b"
    assert f"e{number}f" in str(root[0][0][0].get("message"))
    assert str(root[0][0][0].text).endswith(number)


def test_repeats_have_names_of_their_own(tmp_path: Path, summary: Summary) -> None:
    """Each repeat of a case is a test case."""
    first = report_samples.row(4)
    root = written(tmp_path / "junit.xml", [first, replace(first, repeat=1)], summary)
    assert [case.get("name") for case in root.iter("testcase")] == ["aml-0004", "aml-0004 #1"]


def test_without_cohorts_the_kind_is_the_suite(tmp_path: Path, summary: Summary) -> None:
    """Where no cohort is declared, cases are grouped by kind."""
    root = written(tmp_path / "junit.xml", [report_samples.row(0), report_samples.row(3)], replace(summary, cells=()))
    assert [suite.get("name") for suite in root] == ["kind=golden", "kind=adversarial"]
