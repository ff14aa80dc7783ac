"""A suite over a table, checked as `evalkit check` does: what the suite says about the columns reaches the reader."""

import asyncio
from pathlib import Path

import pytest

from evalkit.errors import InputError
from evalkit.operations.check import SoundSuite, check_suite

SUITE = """name: faq
golden: GOLDEN
system: {python: "bot:answer"}
scorers:
  - exact
cohorts: [topic, query_length]
gate:
  - pass_rate: {min: 0.5, by: topic}
"""


def checked(tmp_path: Path, golden: str, files: dict[str, str], change: tuple[str, str] = ("", "")) -> SoundSuite:
    """A suite whose golden set is one of these files."""
    (tmp_path / "bot.py").write_text("def answer(input):\n    return 'r'\n", encoding="utf-8")
    (tmp_path / "pyproject.toml").write_text("", encoding="utf-8")
    for name, text in files.items():
        (tmp_path / name).write_text(text, encoding="utf-8")
    suite = tmp_path / "suite.yaml"
    suite.write_text(SUITE.replace("GOLDEN", golden).replace(*change), encoding="utf-8")
    return asyncio.run(check_suite(suite, {}))


def refused(tmp_path: Path, golden: str, files: dict[str, str], change: tuple[str, str] = ("", "")) -> list[str]:
    """What is wrong with such a suite."""
    with pytest.raises(InputError) as raised:
        checked(tmp_path, golden, files, change)
    return [str(problem) for problem in raised.value.problems]


def test_a_column_under_cohorts_is_enough(tmp_path: Path) -> None:
    """The gate by topic has its cases, in a table and in JSON rows; a cell without a value is a case without one."""
    found = checked(tmp_path, "faq.csv", {"faq.csv": "id;Question;Reference;Topic\n1;q;r;fees\n2;p;r;hours\n"})
    assert found.prepared.golden.cohort_counts == {"topic": {"fees": 1, "hours": 1}}
    found = checked(tmp_path, "g.yaml", {"g.yaml": "- {id: a, input: q, reference: r, topic: fees}\n"})
    assert found.prepared.golden.cohort_counts == {"topic": {"fees": 1}}
    said = refused(tmp_path, "faq.csv", {"faq.csv": "id,input,reference,topic\n1,q,r,fees\n2,p,r,\n"})
    assert said[0].startswith("faq.csv:3: 1 of 2 cases has no cohort 'topic' (2);")


def test_the_settings_of_a_table_are_read_from_the_suite(tmp_path: Path) -> None:
    """All of them on one line, as messages propose them."""
    text = "Nr|Frage|Soll|Thema\n1|Wie hoch?|r;s|Gebühr\n"
    golden = (
        '{path: faq.csv, separator: "|", encoding: utf-8, lists: {reference: ";"}, '
        "columns: {id: Nr, input: Frage, reference: Soll, cohorts.topic: Thema}}"
    )
    (case,) = checked(tmp_path, golden, {"faq.csv": text}).prepared.golden.open()
    assert (case.id, case.input, case.reference, case.cohorts) == ("1", "Wie hoch?", ("r", "s"), {"topic": "Gebühr"})
    said = refused(tmp_path, golden.replace("input:", "inputt:"), {})
    assert said[0].endswith("golden.columns: 'inputt' is not a field; did you mean `input`?")


def test_an_answer_is_a_stored_one_for_a_system_that_replays(tmp_path: Path) -> None:
    """The same table is asked about for every other system, once and with the whole header wrong too."""
    golden, files = "{path: qa.csv, make_ids: true}", {"qa.csv": "question,answer,topic\nq,a,x\np,b,x\n"}
    (said,) = (each for each in refused(tmp_path, golden, files) if each.startswith("qa.csv"))
    assert "columns: {reference: answer}" in said
    replay = ('{python: "bot:answer"}', "{replay: golden}")
    found = checked(tmp_path, golden, files, (f"{replay[0]}\nscorers:\n  - exact", f"{replay[1]}\nscorers:\n  - leak"))
    assert [case.fields["output"] for case in found.prepared.golden.open()] == ["a", "b"]
    assert refused(tmp_path, golden, files, ('system: {python: "bot:answer"}\n', "")) == [
        f"{tmp_path}/suite.yaml:1:1 system: missing; add `system:`"
    ]


def test_a_cell_that_looks_like_a_list_is_among_the_warnings_of_check(tmp_path: Path) -> None:
    """With the setting to copy; with it there is none."""
    files = {"g.csv": "id,input,reference,topic,required\na,q,r,x,9.80 EUR;72 EUR\n"}
    warned = [str(each) for each in checked(tmp_path, "g.csv", files).prepared.warnings]
    assert (
        "g.csv:2 required: '9.80 EUR;72 EUR' is read as one text; "
        'if it is a list, write `golden: {path: g.csv, lists: {required: ";"}}`'
    ) in warned
    found = checked(tmp_path, '{path: g.csv, lists: ";"}', files)
    assert not [each for each in found.prepared.warnings if "read as one text" in str(each)]


def test_a_field_that_a_scorer_names_holds_a_list(tmp_path: Path) -> None:
    """The suite says which columns of its own are lists of texts."""
    files = {"g.csv": "id,input,reference,taboo,topic\n1,q,r,Paris;Rome,t\n"}
    found = checked(tmp_path, "g.csv", files, ("  - exact\n", "  - exact\n  - contains: {none_field: taboo}\n"))
    assert any('lists: {taboo: ";"}' in warning.fix for warning in found.prepared.warnings)
