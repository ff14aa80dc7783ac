"""`evalkit golden variants` writes what `variants:` of a suite makes, says what it left out, and refuses mistakes."""

from __future__ import annotations

import json

import pytest
from cli_project import SUITE, Project

from evalkit.suite.parse import load_suite

VARIANTS = """\
variants:
  - spaces
  - {courtesy: {language: en}, of: {group: left}, per_case: 2}
  - lower
"""


def test_variants_are_written_and_gaps_counted(project: Project) -> None:
    """Sums have no capitals; a template without draws gives one variant, not two; a second time gives the same."""
    project.suite(text=SUITE + VARIANTS)
    ran = project.run("golden", "variants", "suite.yaml")
    assert ran.returncode == 0, ran.stderr
    assert "spaces: 120 variants" in ran.stdout
    assert "courtesy: 60 variants" in ran.stdout
    assert "courtesy: 60 variants not made: nothing changes, or the same as an earlier variant" in ran.stdout
    assert "lower: 120 variants not made: nothing changes" in ran.stdout
    assert "180 variants written to variants.jsonl" in ran.stderr
    written = (project.root / "variants.jsonl").read_bytes()
    first = json.loads(written.splitlines()[0])
    assert (first["id"], first["cluster"], first["cohorts"]["variant"]) == ("right-000~spaces~1", "right-000", "spaces")
    assert project.run("golden", "variants", "suite.yaml", "--out", "again.jsonl").returncode == 0
    assert (project.root / "again.jsonl").read_bytes() == written
    assert project.calls() == []


def test_mistakes_are_named_with_their_place(project: Project) -> None:
    """All at once, and nothing is written."""
    given = """\
variants:
  - typo
  - {typos: {rate: 0}}
  - {spaces: {}, lower: {}}
  - {upper: null, per_case: 0}
  - {prefix: {chars: 5}, off: {kind: golden}}
  - {forward: {language: it}}
  - lower
  - {lower: {}, of: {kind: goldn}}
  - lower
"""
    project.suite(text=SUITE + given)
    ran = project.run("golden", "variants", "suite.yaml")
    assert ran.returncode == 2
    for part in (
        "variants[0]: no transform called 'typo'; did you mean `typos`?",
        "variants[1].typos.rate: 0 is not a share of letters; write one such as 0.05",
        "variants[2]: expected the name of one transform",
        "variants[3].per_case: expected 1 to 100, got 0",
        "variants[4]: expected the name of one transform",
        "variants[5].forward.language",
        "did you mean `golden`?",
        "variants[8]: lower is listed twice",
    ):
        assert part in ran.stderr, ran.stderr
    assert not (project.root / "variants.jsonl").exists()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([], "the suite lists no transform; add transforms, such as `variants: [typos, lower, spaces]`"),
        (["--out", "cases.jsonl"], "cases.jsonl is an input of the suite"),
        (["--out", "gone/variants.jsonl"], "there is no folder gone"),
        (["--out", "variants.csv"], "variants.csv is not a JSON Lines file; name one such as variants.jsonl"),
    ],
)
def test_what_cannot_be_written_is_refused(project: Project, words: list[str], message: str) -> None:
    """Exit 2, and the set stays as it is."""
    before = (project.root / "cases.jsonl").read_bytes()
    ran = project.run("golden", "variants", "suite.yaml", *words)
    assert ran.returncode == 2
    assert message in ran.stderr
    assert (project.root / "cases.jsonl").read_bytes() == before


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ("variants: [lower, distractor]", "distractor makes no variant: no contexts; list another transform"),
        ("variants: [{lower: {}, of: {kind: canary}}]", "no case of the set is one that `of` names"),
    ],
)
def test_a_suite_without_a_single_variant_is_refused(project: Project, given: str, message: str) -> None:
    """An empty set could not be run; a file of before stays."""
    (project.root / "variants.jsonl").write_text("before", encoding="utf-8")
    project.suite(text=SUITE + given + "\n")
    ran = project.run("golden", "variants", "suite.yaml")
    assert ran.returncode == 2
    assert message in ran.stderr
    assert (project.root / "variants.jsonl").read_text(encoding="utf-8") == "before"


def test_options_of_a_transform_are_read(project: Project) -> None:
    """`of` names cohorts too; without it, variants are made of golden cases."""
    suite = load_suite(project.suite(text=SUITE + VARIANTS))
    assert [entry.name for entry in suite.variants] == ["spaces", "courtesy", "lower"]
    assert suite.variants[1].per_case == 2
    assert suite.variants[1].of.cohorts == {"group": ("left",)}
    assert suite.variants[0].of.kind == ("golden",)


def test_a_written_variant_that_a_scorer_cannot_grade_is_refused(project: Project) -> None:
    """Before the first call, at its line, as a case of the set is."""
    lines = [{"of": "right-000", "input": "a"}, {"of": "right-000", "input": "b", "required": 5}]
    text = "".join(json.dumps(line) + "\n" for line in lines)
    (project.root / "ours.jsonl").write_text(text, encoding="utf-8")
    project.suite(
        text=SUITE.replace("- exact", "- keywords: {advisory: true}\n  - exact") + "variants: [{file: ours.jsonl}]\n"
    )
    with (project.root / "cases.jsonl").open(encoding="utf-8") as file:
        rows = [{**json.loads(line), "required": ["1"]} for line in file]
    (project.root / "cases.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    ran = project.run("check", "suite.yaml")
    assert ran.returncode == 2
    assert "ours.jsonl:2: scorer keywords: `required` must be a list of non-blank strings" in ran.stderr
