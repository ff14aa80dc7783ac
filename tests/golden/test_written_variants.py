"""Variants that people wrote: lines with `of` and `input`, and every fault of them with its place."""

from __future__ import annotations

import json
import time
from dataclasses import replace
from pathlib import Path

import pytest

from evalkit.errors import Problem
from evalkit.golden.lock import id_hash
from evalkit.golden.variants.make import VariantCounts, VariantPlan, make_variants
from evalkit.golden.variants.written import File, WrittenVariants, read_written
from evalkit.types import Case, Message

CASE = Case(
    id="c1", input="Who pays?", reference=("The bank.",), cohorts={"topic": "fees"}, fields={"required": ["bank"]}
)


def read(tmp_path: Path, *rows: object) -> tuple[WrittenVariants, list[str]]:
    """The variants of a file, and what is wrong with it."""
    file = tmp_path / "ours.jsonl"
    file.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    problems: list[Problem] = []
    found = read_written(file, "ours.jsonl", problems.append)
    return found, [str(problem) for problem in problems]


def test_a_line_replaces_the_question_and_what_it_names(tmp_path: Path) -> None:
    """Id, cluster and cohort are those of other variants; a line like the original is counted."""
    found, told = read(
        tmp_path,
        {"of": "c1", "input": "By whom is it paid?"},
        {"of": "other", "input": "What?"},
        {"of": "c1", "input": "Who pays?"},
        {"of": "c1", "input": "Wer zahlt?", "reference": "Die Bank.", "required": ["Bank"], "contexts": ["x"]},
    )
    assert not told
    counts = VariantCounts()
    plan = VariantPlan(name="ours", transform=found, applies=lambda case: True, per_case=found.most)
    first, german = make_variants(lambda: [CASE], [plan], 7, counts)
    assert (first.id, german.id) == ("c1~ours~1", "c1~ours~3")
    assert (first.question, first.reference, first.fields["required"]) == (
        "By whom is it paid?",
        ("The bank.",),
        ["bank"],
    )
    assert (first.cluster, first.cohorts) == ("c1", {"topic": "fees", "variant": "ours"})
    assert (german.reference, german.fields["required"], german.contexts) == (("Die Bank.",), ["Bank"], ("x",))
    assert first.fields["variant"]["changed"] == [{"in": "input", "span": [0, len(first.question)]}]
    assert counts.left_out == {("ours", "nothing changes, or the same as an earlier variant"): 1}


def test_every_fault_has_its_line(tmp_path: Path) -> None:
    """A missing field, one of another kind, an unknown one."""
    found, told = read(tmp_path, {"of": "c1"}, {"input": "Hi", "of": 7}, {"of": "c1", "input": "a", "refrence": "b"})
    assert [line.partition(";")[0] for line in told] == [
        "ours.jsonl:1: input: missing",
        "ours.jsonl:2: of: expected a text, got int 7",
        "ours.jsonl:3: refrence: unknown",
    ]
    assert not found.rows


def test_an_original_must_be_an_open_case(tmp_path: Path) -> None:
    """An unknown id and a held-out one are refused at each of their lines."""
    found, _ = read(tmp_path, *({"of": id_, "input": "a"} for id_ in ("c1", "gone", "secret", "gone")))
    told = [str(problem).partition(";")[0] for problem in found.problems({"c1"}, {id_hash("secret")})]
    assert told == [
        "ours.jsonl:2: of: no case has the id 'gone'",
        "ours.jsonl:4: of: no case has the id 'gone'",
        "ours.jsonl:3: of: the case 'secret' is held out",
    ]


@pytest.mark.parametrize("path", ["ours.csv", "a~b.jsonl", "7.jsonl"])
def test_a_file_names_its_variants(path: str) -> None:
    """A name that no id can hold, or another kind of file, is refused."""
    with pytest.raises(ValueError, match="does not fit"):
        File(path=path)
    assert File(path="sets/our-own.jsonl").name == "our-own"


def test_a_line_that_no_set_would_take_is_refused(tmp_path: Path) -> None:
    """Contexts of another form, half of a character, and a null, which could be none or that of the original."""
    rows = ({"contexts": [{"a": 1}]}, {"input": "\ud800"}, {"required": None}, {"required": []})
    found, told = read(tmp_path, *({"of": "c1", "input": "a", **row} for row in rows))
    assert [line.partition(";")[0].partition(" or {")[0] for line in told] == [
        "ours.jsonl:1: `contexts[0]`: expected a text",
        "ours.jsonl:2: a lone surrogate, half of a character",
        "ours.jsonl:3: required: null",
    ]
    assert [line for line, _ in found.rows["c1"]] == [4]


def test_slots_of_a_line_are_filled_and_earlier_turns_stay(tmp_path: Path) -> None:
    """As in the cases of the set, by the words of the first values; an unknown slot is refused at its line."""
    found, _ = read(
        tmp_path,
        {"of": "c1", "input": "May {{ person }}?", "required": ["{{person}}"]},
        {"of": "c1", "input": "{{else}}", "reference": ["{{person}}"]},
    )
    found = replace(found, slots={"person": "Anna"})
    plan = VariantPlan(name="ours", transform=found, applies=lambda case: True, per_case=1)
    turns = (Message("system", "Be brief."), Message("user", "Who?"))
    (made,) = make_variants(lambda: [replace(CASE, input=turns)], [plan], 7, VariantCounts())
    assert made.input == (turns[0], Message("user", "May Anna?"))
    assert made.fields["required"] == ["Anna"]
    assert [str(each) for each in found.problems({"c1"}, ())] == [
        "ours.jsonl:2: no file of a swap fills {{else}}; it fills person"
    ]
    assert not list(replace(found, slots={}).problems({"c1"}, ()))


def test_many_lines_of_one_case_are_read_in_time_that_grows_with_their_number(tmp_path: Path) -> None:
    """Each line is kept once, whatever came before it."""
    began = time.process_time()
    found, _ = read(tmp_path, *({"of": "c1", "input": f"a{at}"} for at in range(30_000)))
    assert found.most == 30_000
    assert time.process_time() - began < 5
