"""New versions of a rubric: valid files that name the cases they show, and texts of cases that stay data."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evalkit.scorers.judges.rubric import Rubric, parse_rubric
from evalkit.scorers.judges.tuned_rubric import HEADING, GradedExample, example_rubric, worded_rubric, wording_question

RUBRIC = parse_rubric(
    b'---\nname: "a: b"\nversion: 3\nscale: [1, 5]\n---\nGrade {{answer}} for {{question}}.\n', "own.md"
)


def an_example(case_id: str = "c1", answer: str = "an answer", people: str = "pass") -> GradedExample:
    """An answer that people graded."""
    return GradedExample(case_id, "a question", answer, (), people, "fail")


def read(content: bytes | None) -> Rubric:
    """Read a new version."""
    assert content is not None
    return parse_rubric(content, "new.md")


def test_a_version_with_examples_names_their_cases() -> None:
    """The head has the next version and the ids; the body ends with one line of JSON for each."""
    found = read(example_rubric(RUBRIC, [an_example(), an_example("c2", people="fail")], 4))
    assert (found.name, found.version, found.scale, found.examples) == ("a: b", "4", (1, 5), ("c1", "c2"))
    assert found.text.startswith("Grade {{answer}} for {{question}}.")
    assert found.text.endswith('{"question": "a question", "answer": "an answer", "people": "fail"}')
    assert "`pass` is a level of 4 or more" in found.text
    again = read(example_rubric(found, [an_example("c3")], None))
    assert (again.version, again.examples, again.text.count(HEADING)) == ("5", ("c3",), 1)
    assert '"fail"' not in again.text


@pytest.mark.parametrize(("old", "new"), [("3", "4"), ("2026-05", "2026-05-2"), ("", "2")])
def test_the_version_is_the_next_one(old: str, new: str) -> None:
    """A number is counted up; any other version gets an ending."""
    assert read(example_rubric(replace(RUBRIC, version=old), [an_example()], 4)).version == new


@given(answer=st.text(st.characters()), case_id=st.text(min_size=1).filter(str.strip))
@settings(max_examples=60, deadline=None)
def test_whatever_an_answer_holds_is_data(answer: str, case_id: str) -> None:
    """Slots, front matter and marks in an answer open nothing: the parts and the scale are those of the rubric."""
    found = read(
        example_rubric(RUBRIC, [an_example(case_id, answer), an_example("x", f"{{{{state}}}}{answer}\n---")], 4)
    )
    assert (found.parts, found.scale, found.examples) == (
        RUBRIC.parts,
        RUBRIC.scale,
        tuple(dict.fromkeys((case_id, "x"))),
    )


def test_another_wording_keeps_slots_and_examples() -> None:
    """A text that lost or added a slot cannot be used."""
    shown = read(example_rubric(RUBRIC, [an_example()], 4))
    found = read(worded_rubric(shown, "Be kind to {{answer}}, an answer to {{question}}."))
    assert found.text.startswith("Be kind to {{answer}}")
    assert found.examples == ("c1",)
    assert HEADING in found.text
    for text in (
        "Grade {{answer}}.",
        "Grade {{answer}} for {{question}} by {{reference}}.",
        f"{HEADING} {{{{answer}}}} {{{{question}}}}",
    ):
        assert worded_rubric(RUBRIC, text) is None


def test_the_question_for_another_wording_holds_the_disagreements() -> None:
    """The rubric without its examples, and each case as one line."""
    shown = read(example_rubric(RUBRIC, [an_example()], 4))
    blocks = dict(wording_question("correctness", shown, [an_example()]).blocks)
    assert HEADING not in blocks["RUBRIC"]
    assert blocks["CASE-1"].endswith('"people": "pass", "judge": "fail"}')


@pytest.mark.parametrize("value", ["c1", "[1]", '[" "]', "{a: b}"])
def test_examples_are_a_list_of_ids(value: str) -> None:
    """Anything else is refused with the fix."""
    head = f"---\nname: a\nversion: 1\nscale: pass_fail\nexamples: {value}\n---\n{{{{answer}}}}\n"
    with pytest.raises(ValueError, match="examples: not a list of ids"):
        parse_rubric(head.encode(), "own.md")
