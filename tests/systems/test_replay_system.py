"""Stored answers as systems."""

from __future__ import annotations

import asyncio
import json

import pytest

from evalkit.errors import InputError
from evalkit.formats.line import body_of, seal
from evalkit.formats.rows import encode_row
from evalkit.systems import ReplaySystem
from evalkit.types import Failure, Output, Row, Step, ToolCall, Usage


def write(path, *rows):
    """Write rows as JSON Lines."""
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")


def test_stored_answers_are_given_by_id_and_repeat(tmp_path, shared, ask, case):
    """Each case gets its own answer, marked as replayed, without a fresh latency."""
    rows = [
        {"id": "a", "output": "one"},
        {"id": "a", "repeat": 1, "output": {"text": "two", "latency_s": 0.5}},
        {"id": 7, "output": "seven"},
    ]
    write(tmp_path / "answers.jsonl", *rows)
    system = ReplaySystem(replay="answers.jsonl")
    assert [] == system.problems(shared)
    first = ask(system, shared, case(id="a"), case(id="7"), case(id="b"))
    second = ask(system, shared, case(id="a"), case(id="7"), repeat=1)
    assert [
        Output(text="one", replayed=True),
        Output(text="seven", replayed=True),
        Failure("not_recorded", "no stored answer for case 'b'"),
    ] == first
    assert [
        Output(text="two", latency_s=0.5, replayed=True),
        Failure("not_recorded", "no stored answer for case '7', repeat 1"),
    ] == second


def test_the_rows_of_a_run_are_replayed(tmp_path, shared, ask, case):
    """A run's folder gives its outputs and failures as they were; a later row of a case stands; a torn row does not."""
    answered = Output(
        text="a\ud800\u2028b\0",
        contexts=("p",),
        usage=Usage(input_tokens=1),
        tool_calls=(ToolCall("look", {"x": [1]}),),
        trajectory=(Step(details={"s": 1}),),
        latency_s=0.5,
        ttft_s=0.1,
        replayed=True,
    )
    rows = [
        Row(case=case(id="a"), failure=Failure("timeout", "no answer")),
        Row(case=case(id="b"), failure=Failure("http_500", "boom")),
        Row(case=case(id="a"), output=answered),
        Row(case=case(id="c"), skipped="quarantined"),
    ]
    lines = [encode_row(row) for row in rows]
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "rows.jsonl").write_bytes(b"".join(lines) + lines[0][:40])
    system = ReplaySystem(replay="run")
    assert [] == system.problems(shared)
    assert [
        answered,
        Failure("http_500", "boom"),
        Failure("not_recorded", "no stored answer for case 'c'"),
    ] == ask(system, shared, case(id="a"), case(id="b"), case(id="c"))


ALTERED = {
    "an answer": (b'"text":"one"', b'"text":"two"'),
    "the checksum": (b'{"sum":"', b'{"sum":"0'),
    "its end": (b"}\n", b" }\n"),
}


@pytest.mark.parametrize("altered", ALTERED)
def test_an_altered_row_of_a_run_is_no_answer(altered, tmp_path, shared, case):
    """It is named with its line before the first call; the others stand."""
    lines = [encode_row(Row(case=case(id=name), output=Output(text="one"))) for name in "ab"]
    (tmp_path / "rows.jsonl").write_bytes(lines[0] + lines[1].replace(*ALTERED[altered]))
    (found,) = ReplaySystem(replay="rows.jsonl").problems(shared)
    assert str(found).startswith("rows.jsonl:2: altered: checksum mismatch; run the case again")


def test_rows_of_a_later_evalkit_are_refused(tmp_path, shared, case):
    """What their fields mean is not known here."""
    body = body_of(encode_row(Row(case=case(id="a"), output=Output(text="one"))))
    (tmp_path / "rows.jsonl").write_bytes(seal(body.replace(b'"v":1', b'"v":2')))
    (found,) = ReplaySystem(replay="rows.jsonl").problems(shared)
    assert str(found) == "rows.jsonl:1: a row of format int 2, this evalkit reads 1; upgrade evalkit"


def test_of_a_file_with_faults_no_case_is_said_to_lack_its_answer(tmp_path, shared, case):
    """The fault is the answer's own, and told by its line."""
    (tmp_path / "stored.jsonl").write_text('{"id": "c1", "output": ["x"]}\n', encoding="utf-8")
    system = ReplaySystem(replay="stored.jsonl")
    assert system.problems(shared)
    assert system.answered(shared)(case(id="c1"))


def test_it_is_known_which_cases_have_an_answer(tmp_path, shared, case):
    """By id; of golden rows by the field, whose answer has to be one."""
    write(tmp_path / "answers.jsonl", {"id": "a", "output": "x"}, {"id": "b", "repeat": 1, "output": "x"})
    answered = ReplaySystem(replay="answers.jsonl").answered(shared)
    assert [answered(case(id=name)) for name in "abc"] == [True, False, False]
    own = ReplaySystem(replay="golden", field="said").answered(shared)
    assert [own(case(fields={"said": "x"})), own(case())] == [True, False]
    with pytest.raises(ValueError, match="`said`: expected a string or"):
        own(case(fields={"said": 5}))


@pytest.mark.parametrize("replay", [None, "golden"])
def test_golden_rows_may_hold_the_answers(replay, shared, ask, case):
    """Without a path the row's own field is the answer."""
    system = ReplaySystem(replay=replay, field="answer")
    assert [
        Output(text="yes", replayed=True),
        Failure("not_recorded", "no stored answer for case 'c2'"),
        Failure("bad_output", "text: expected a string, got int 3"),
    ] == ask(
        system,
        shared,
        case(fields={"answer": "yes"}),
        case(id="c2", fields={"output": "no"}),
        case(id="c3", fields={"answer": {"text": 3}}),
    )


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        ('{"id": "a"}\n', "answers.jsonl:1: no `output`; add the answer, or name its field with `field:`"),
        ('\n{"output": "x"}\n', "answers.jsonl:2: `id`: expected text, got None"),
        ('{"id": "a", "output": "x"}\n[]\n', "answers.jsonl:2: expected an object, got list"),
        ('{"id": "a", "output": NaN}\n', "answers.jsonl:1: not JSON (NaN is not a JSON number)"),
        ('{"id": "a", "output": "x", "repeat": true}\n', "answers.jsonl:1: `repeat`: expected 0, 1, 2 ..., got bool"),
        ('{"id": "a", "output": "x", "output": "y"}\n', "answers.jsonl:1: not JSON (a duplicate key)"),
        ('{"id": "a", "output": 5}\n', "answers.jsonl:1: `output`: expected a string or {text, contexts, usage"),
        (
            '{"id": "a", "output": {"txt": ""}}\n',
            "answers.jsonl:1: `output`: unknown key str 'txt'; did you mean `text`?",
        ),
        (
            '{"id": "a", "output": {"text": "", "usage": {"cost_usd": 1e999}}}\n',
            "answers.jsonl:1: `output`: usage.cost_usd",
        ),
        (
            '{"id": "a", "failure": "broken"}\n',
            "answers.jsonl:1: `failure`: expected {kind, message}, got str 'broken'; ",
        ),
        ('{"id": "a", "output": null}\n', "answers.jsonl:1: no `output`; add the answer"),
        ('{"id": "a", "output": "x"', "answers.jsonl:1: not JSON (Expecting ',' delimiter"),
        ("", "answers.jsonl:1: no answer in it; "),
        (" \n\n", "answers.jsonl:1: no answer in it; "),
        ('{"sum":"0123', "answers.jsonl:1: no answer in it; "),
        ('{"id": "a", "output": "x"}\n' * 2, "answers.jsonl:2: `id` 'a', repeat 0, repeats line 1; give each answer"),
    ],
)
def test_unreadable_rows_are_named_before_the_first_call(content, problem, tmp_path, shared):
    """Each wrong line is a problem with its number, and `open` refuses the file."""
    (tmp_path / "answers.jsonl").write_text(content, encoding="utf-8")
    system = ReplaySystem(replay="answers.jsonl")
    (found,) = system.problems(shared)
    assert str(found).startswith(problem)

    async def open_it():
        async with system.open(shared):
            raise AssertionError("opened")

    with pytest.raises(InputError):
        asyncio.run(open_it())


@pytest.mark.parametrize(
    ("path", "problem"),
    [
        ("../answers.jsonl", "leaves the project"),
        ("/etc/hostname", "leaves the project"),
        ("a\0b", "leaves the project"),
        ("nowhere.jsonl", "no file 'nowhere.jsonl'"),
        ("outside.jsonl", "leaves the project"),
    ],
)
def test_a_path_stays_inside_the_project(path, problem, tmp_path, shared):
    """Parents, absolute paths and links out of the project are refused."""
    (tmp_path / "outside.jsonl").symlink_to("/etc/hostname")
    (found,) = ReplaySystem(replay=path).problems(shared)
    assert problem in str(found)


def test_the_fingerprint_is_of_the_answers(tmp_path, shared):
    """Other answers are another system, wherever the file lies."""
    write(tmp_path / "one.jsonl", {"id": "a", "output": "x"})
    write(tmp_path / "same.jsonl", {"id": "a", "output": "x"})
    write(tmp_path / "other.jsonl", {"id": "a", "output": "y"})
    one, same, other, absent = (
        ReplaySystem(replay=f"{name}.jsonl").fingerprint(shared) for name in ("one", "same", "other", "absent")
    )
    assert one == same
    assert other not in (one, None)
    assert absent is None
