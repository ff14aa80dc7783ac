"""Failed variants in the report: the original's link, the changed parts marked, and a page that everybody can read."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path
from typing import Any

import axe
import chromium
import pytest
import report_samples
from chromium import Tab

from evalkit.formats.manifest import VariantFacts
from evalkit.golden.variants.attacks import InjectContext, InjectTool
from evalkit.golden.variants.letters import Lower
from evalkit.golden.variants.make import VariantCounts, VariantPlan, make_variants
from evalkit.golden.variants.original import mark_of
from evalkit.golden.variants.transforms import Transform
from evalkit.golden.variants.wording import Prefix
from evalkit.report.html import write_html
from evalkit.report.variant_examples import MOST, VariantExample, variant_examples
from evalkit.report.view import View
from evalkit.store.folder import RunFolder
from evalkit.store.journal import Journal
from evalkit.types import Case, Output, Row, Score, ToolCall

TRANSFORMS: dict[str, Transform] = {"inject_context": InjectContext(), "lower": Lower(), "prefix": Prefix()}


@pytest.fixture
def examples(tmp_path: Path) -> tuple[VariantExample, ...]:
    """Those of a run in which every variant of five cases failed and repeated its contexts."""
    cases = [Case(id=f"c{at}", input=f"Who PAYS {at}?", contexts=("<b>The bank.</b>",)) for at in range(5)]
    plans = [VariantPlan(name=name, transform=each, applies=lambda case: True) for name, each in TRANSFORMS.items()]
    folder = RunFolder(tmp_path / "run")
    folder.path.mkdir()
    with Journal(folder.variant_rows_file) as journal:
        for case in make_variants(lambda: cases, plans, 7, VariantCounts()):
            scores = {"exact": Score("exact", 0.0, False)}
            journal.append(Row(case=case, output=Output(text=" ".join(case.contexts)), scores=scores))
            assert mark_of(case) is not None
    facts = tuple(VariantFacts(name=name, n=5) for name in TRANSFORMS)
    return variant_examples(folder, replace(report_samples.manifest(), variants=facts))


def test_the_first_of_each_transform_are_shown_with_what_changed(examples: tuple[VariantExample, ...]) -> None:
    """Three of five; a long text is cut around its change, and an attack is shown in its context."""
    assert [each.original for each in examples] == ["c0", "c1", "c2"] * MOST
    by_name = {each.transform: each for each in examples if each.original == "c0"}
    assert by_name["lower"].parts == (("", False), ("who", True), (" ", False), ("pays", True), (" 0?", False))
    (context, was), (order, differs), (rest, _) = by_name["inject_context"].parts
    assert (context, was, differs, rest) == ("<b>The bank.</b>", False, True, "")
    assert "CANARY-" in order
    assert sum(len(text) for text, _ in by_name["prefix"].parts) < 400


def test_a_wanted_call_is_an_example_and_a_wrong_answer_to_an_attack_is_not(tmp_path: Path) -> None:
    """As in the figures: an attack on tools meets its goal by an attempt to call, whatever the scorers say."""
    cases = [Case(id=f"c{at}", input="Who pays?") for at in range(2)]
    plan = VariantPlan(name="inject_tool", transform=InjectTool(tool="delete_account"), applies=lambda case: True)
    folder = RunFolder(tmp_path / "run")
    folder.path.mkdir()
    with Journal(folder.variant_rows_file) as journal:
        for case, name in zip(
            make_variants(lambda: cases, [plan], 7, VariantCounts()), ("delete_account", "look"), strict=True
        ):
            output = Output(text="ok", tool_calls=(ToolCall(name),))
            passed = name == "delete_account"
            journal.append(Row(case=case, output=output, scores={"exact": Score("exact", float(passed), passed)}))
    facts = (VariantFacts(name="inject_tool", n=2, kind="attack"),)
    found = variant_examples(folder, replace(report_samples.manifest(), variants=facts))
    assert [each.original for each in found] == ["c0"]


@pytest.mark.skipif(chromium.PROGRAM is None, reason="Chromium is not installed")
@pytest.mark.skipif(axe.SCRIPT is None, reason=axe.MISSING)
@pytest.mark.parametrize(("theme", "width"), [("light", 360), ("dark", 1280)])
def test_they_fit_a_phone_and_pass_axe(
    tmp_path: Path, view: View, examples: tuple[VariantExample, ...], theme: str, width: int
) -> None:
    """Nothing is wider than the page, no rule of WCAG is broken, markup of a case is text, and the link is a case."""
    file = tmp_path / "report.html"
    write_html(file, replace(view, failed_variants=examples), report_samples.stored_rows, None)

    async def visit() -> dict[str, Any]:
        async with chromium.opened_tab(tmp_path / "profile") as tab:
            await axe.seen_as(tab, theme, width)
            await tab.open(file, "#/figures")
            await tab.until("document.querySelector('#failed-variants')?.checkVisibility()")
            return await facts_of(tab)

    found = asyncio.run(visit())
    assert found["violations"] == []
    assert found["width"] <= width
    assert found["marks"][0].strip()
    assert found["bold"] == 0
    assert found["link"] == "#/case/c0"


async def facts_of(tab: Tab) -> dict[str, Any]:
    """What the page shows."""
    section = "document.getElementById('failed-variants').closest('section')"
    return {
        "violations": await axe.violations(tab),
        "width": await tab.value("document.documentElement.scrollWidth"),
        "marks": await tab.value(f"[...{section}.querySelectorAll('mark')].map((each) => each.textContent)"),
        "bold": await tab.value(f"{section}.querySelectorAll('td b').length"),
        "link": await tab.value(f"{section}.querySelector('td a').getAttribute('href')"),
    }
