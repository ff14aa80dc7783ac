"""Columns of the user's own: mapped, proposed, asked about, split, left out; never guessed from a value."""

import json
from pathlib import Path
from typing import Any

import pytest

from evalkit.errors import InputError
from evalkit.golden.proposal import propose_columns
from evalkit.golden.read import GoldenSet, open_golden
from evalkit.golden.rows import header_of
from evalkit.golden.source import GoldenSource, Reading
from evalkit.types import Case, Message

PLAIN = Reading()


def opened(tmp_path: Path, name: str, text: str, reading: Reading = PLAIN, **options: Any) -> GoldenSet:
    """A checked set of this text."""
    file = tmp_path / name
    file.write_text(text, encoding="utf-8")
    return open_golden(GoldenSource(path=name, **options), file, name, reading=reading)


def cases_of(tmp_path: Path, name: str, text: str, reading: Reading = PLAIN, **options: Any) -> list[Case]:
    """Its cases."""
    return list(opened(tmp_path, name, text, reading, **options).open())


def problems_of(tmp_path: Path, name: str, text: str, reading: Reading = PLAIN, **options: Any) -> list[str]:
    """What is wrong with it, as people read it."""
    with pytest.raises(InputError) as raised:
        opened(tmp_path, name, text, reading, **options)
    return [str(problem) for problem in raised.value.problems]


def lines(*rows: dict[str, Any]) -> str:
    """JSON Lines."""
    return "".join(json.dumps(row) + "\n" for row in rows)


SHEET = "Nr.;Frage;Erwartete Antwort;Thema\n" + "".join(f"{n};Was {n}?;Das {n}.;fees\n" for n in range(60))
MAPPED = {"id": "Nr.", "input": "Frage", "reference": "Erwartete Antwort", "cohorts.topic": "Thema"}


def test_a_header_that_fits_nothing_is_one_problem_with_the_mapping_to_copy(tmp_path: Path) -> None:
    """Sixty rows, one problem; the line in it reads the table."""
    (said,) = problems_of(tmp_path, "faq.csv", SHEET)
    assert said == (
        "faq.csv:1: no column gives the question (`input`), the columns are Nr., Frage, Erwartete Antwort, Thema; "
        'write `golden: {path: faq.csv, columns: {id: Nr., input: Frage, reference: "Erwartete Antwort", '
        "cohorts.thema: Thema}}` if this is what they hold"
    )
    first, *others = cases_of(tmp_path, "faq.csv", SHEET, columns=MAPPED)
    assert (first.id, first.input, first.reference, first.cohorts) == ("0", "Was 0?", ("Das 0.",), {"topic": "fees"})
    assert len(others) == 59


def test_a_mapping_reads_json_lines_too(tmp_path: Path) -> None:
    """One problem for sixty rows; a row that lacks a mapped key lacks the field."""
    rows = [{"Frage": f"q{n}", "Soll": "r", "n": n} for n in range(60)]
    (said,) = problems_of(tmp_path, "faq.jsonl", lines(*rows))
    assert said.startswith(
        "faq.jsonl:1: no key gives the question (`input`), the keys are Frage, Soll, n; write `golden: {"
    )
    columns = {"input": "Frage", "reference": "Soll"}
    del rows[1]["Soll"]
    cases = cases_of(tmp_path, "faq.jsonl", lines(*rows), columns=columns, make_ids=True)
    assert [case.reference for case in cases[:2]] == [("r",), ()]
    assert cases[0].fields == {"n": 0}


@pytest.mark.parametrize(
    ("name", "text"), [("g.csv", "id,input,Note\na,q,n\n"), ("g.jsonl", lines({"id": "a", "input": "q"}))]
)
def test_a_mapped_column_that_does_not_exist_is_one_problem(tmp_path: Path, name: str, text: str) -> None:
    """It names the columns that exist, or the one that was meant."""
    said = problems_of(tmp_path, name, text, columns={"reference": "Answers"})
    assert len(said) == 1
    assert f"{name}:1: no column 'Answers', which `columns` names, the columns are id, input" in said[0]
    (said,) = problems_of(tmp_path, "h.csv", "id,input,Answer\na,q,r\n", columns={"reference": "Answers"})
    assert said.endswith("did you mean 'Answer'?")


def test_the_column_that_the_suite_names_wins_over_the_name_of_another(tmp_path: Path) -> None:
    """The other one is left out with a word; names are compared as in headers."""
    golden = opened(tmp_path, "g.csv", "id,question,Real Question\na,old,new\n", columns={"input": "real question"})
    (case,) = golden.open()
    assert (case.input, case.fields) == ("new", {})
    assert [str(each) for each in golden.warnings] == [
        "g.csv:1 question: left out: `columns` names another column for its field; "
        "map it to a name of your own if it is needed"
    ]


@pytest.mark.parametrize("names", ["question,answer", "Question;Answer", "QUERY,ANSWER"])
def test_an_answer_alone_is_asked_about(tmp_path: Path, names: str) -> None:
    """One problem with both mappings to copy; each of them reads the table."""
    text = names + "\n" + "".join("q1,a1\n".replace(",", names[-7:-6]) for _ in range(5))
    question, answer = names.replace(";", ",").split(",")
    (said,) = problems_of(tmp_path, "qa.csv", text)
    assert said == (
        f"qa.csv:1: `{answer}` may hold the expected answer, or an answer that a system gave; write "
        f"`golden: {{path: qa.csv, make_ids: true, columns: {{reference: {answer}}}}}` if it is expected, or "
        f"`golden: {{path: qa.csv, make_ids: true, columns: {{output: {answer}}}}}` if a system gave it"
    )
    text = names + "\nq1,a1\n".replace(",", names[-7:-6])
    (case,) = cases_of(tmp_path, "qa.csv", text, make_ids=True, columns={"reference": answer})
    assert (case.reference, case.fields) == (("a1",), {})
    (case,) = cases_of(tmp_path, "qa.csv", text, make_ids=True, columns={"output": answer})
    assert (case.reference, case.fields) == ((), {"output": "a1"})
    assert question


def test_an_answer_is_a_stored_one_where_nothing_else_can_be_meant(tmp_path: Path) -> None:
    """Beside a reference, as in data sets of ragas, and for a system that replays the golden rows."""
    ragas = lines({"id": "a", "question": "q", "answer": "a", "contexts": ["c"], "ground_truth": "g"})
    for text in (
        ragas,
        ragas.replace("ground_truth", "reference"),
        ragas + lines({"id": "b", "question": "p", "answer": "x"}),
    ):
        assert cases_of(tmp_path, "g.jsonl", text)[0].fields == {"output": "a"}
    alone = lines({"id": "a", "question": "q", "answer": "a"})
    assert cases_of(tmp_path, "g.jsonl", alone, Reading(replays=True))[0].fields == {"output": "a"}
    assert "if a system gave it" in problems_of(tmp_path, "g.jsonl", alone)[0]
    for sure in ("output", "response", "actual_output"):
        assert cases_of(tmp_path, "g.jsonl", alone.replace("answer", sure))[0].fields == {"output": "a"}
    empty = lines({"id": "a", "question": "q", "answer": None})
    assert cases_of(tmp_path, "g.jsonl", empty)[0].reference == ()


def test_a_column_under_cohorts_of_the_suite_is_a_cohort(tmp_path: Path) -> None:
    """In tables in any case, in JSON rows by its name; it stays a field, and the row's own cohort wins."""
    reading = Reading(cohorts=("topic", "language"))
    (case,) = cases_of(tmp_path, "g.csv", "id,input,Topic,language\na,q,fees,\n", reading)
    assert (case.cohorts, case.fields) == ({"topic": "fees"}, {"Topic": "fees"})
    rows = lines({"id": "a", "input": "q", "topic": 3, "cohorts": {"language": "en"}, "language": "de"})
    (case,) = cases_of(tmp_path, "g.jsonl", rows, reading)
    assert (case.cohorts, case.fields) == ({"topic": "3", "language": "en"}, {"topic": 3, "language": "de"})
    assert (
        "`cohorts.topic` is []"
        in problems_of(tmp_path, "g.jsonl", lines({"id": "a", "input": "q", "topic": []}), reading)[0]
    )


def test_json_keys_are_read_in_any_case_where_nothing_else_gives_the_input(tmp_path: Path) -> None:
    """As a sheet is exported; a row that has an input keeps its other keys as they are."""
    reading = Reading(cohorts=("topic",))
    row = {"ID": "a", "Question": "q", "Expected Output": "r", "Topic": "fees"}
    (case,) = cases_of(tmp_path, "g.jsonl", lines(row), reading)
    assert (case.id, case.input, case.reference, case.cohorts) == ("a", "q", ("r",), {"topic": "fees"})
    row = {"id": "a", "input": "q", "Reference": "r", "Topic": "fees"}
    (case,) = cases_of(tmp_path, "g.jsonl", lines(row), reading)
    assert (case.reference, case.cohorts, case.fields) == ((), {}, {"Reference": "r", "Topic": "fees"})


def test_sources_that_read_the_same_rows_alike_are_known(tmp_path: Path) -> None:
    """A change of the mapping is a change of the cases; another place of the file is none."""
    plain = GoldenSource(path="a/g.csv")
    assert plain.reads_like(GoldenSource(path="g.csv", trained_on=("t.jsonl",)))
    for options in ({"columns": {"input": "A"}}, {"lists": ";"}, {"make_ids": True}, {"encoding": "cp1252"}):
        assert not plain.reads_like(GoldenSource(path="a/g.csv", **options))


@pytest.mark.parametrize(
    ("name", "options", "other"),
    [
        ("g.xlsx", {"sheet": "A"}, {"sheet": "B"}),
        ("g.csv", {"separator": ";"}, {"separator": "|"}),
        ("g.csv", {"encoding": "cp1252"}, {"encoding": "utf-16"}),
        ("g.csv", {"columns": {"input": "Frage"}}, {"columns": {"input": "Text"}}),
        ("g.csv", {"lists": ";"}, {"lists": {"required": ";"}}),
        ("g.csv", {"make_ids": True}, {}),
    ],
)
def test_every_setting_takes_part_in_whether_sources_read_alike(
    name: str, options: dict[str, Any], other: dict[str, Any]
) -> None:
    """Also settings that only some kinds of files have; where the file lies does not matter."""
    source = GoldenSource(path=f"a/{name}", **options)
    assert source.reads_like(GoldenSource(path=f"b/{name}", **options))
    assert not source.reads_like(GoldenSource(path=f"a/{name}", **other))


def test_a_cohort_that_a_suite_begins_to_report_changes_no_digest(tmp_path: Path) -> None:
    """A baseline stays comparable when a column that was there becomes a cohort."""
    for name, text in (
        ("g.csv", "id,input,topic\na,q,fees\n"),
        ("g.jsonl", lines({"id": "a", "input": "q", "topic": "x"})),
    ):
        before, now = (cases_of(tmp_path, name, text, each)[0] for each in (PLAIN, Reading(cohorts=("topic",))))
        assert before.digest == now.digest
        assert (before.cohorts == {}, "topic" in now.cohorts) == (True, True)


def test_lists_are_split_where_the_suite_says_how(tmp_path: Path) -> None:
    """Every list field, or only those that are named; lists in JSON stay as they are."""
    text = 'id,input,reference,required,contexts,note\na,q,A; B,x;;y ;,c1|c2,n;m\nb,p,A,"[""x;y""]",,\n'
    first, second = cases_of(tmp_path, "g.csv", text, lists=";")
    assert (first.reference, first.contexts) == (("A", "B"), ("c1|c2",))
    assert first.fields == {"required": ["x", "y"], "note": "n;m"}
    assert (second.reference, second.fields) == (("A",), {"required": ["x;y"]})
    first, _ = cases_of(tmp_path, "g.csv", text, lists={"contexts": "|", "note": ";"})
    assert (first.reference, first.contexts) == (("A; B",), ("c1", "c2"))
    assert first.fields == {"required": "x;;y ;", "note": ["n", "m"]}
    (case,) = cases_of(tmp_path, "g.jsonl", lines({"id": "a", "input": "q", "contexts": "c;d"}), lists=";")
    assert case.contexts == ("c", "d")


@pytest.mark.parametrize(
    ("column", "cell", "setting"),
    [
        ("required", "9.80 EUR;72 EUR", '";"'),
        ("forbidden", "free|gratis", '"|"'),
        ("required", '"refund, 30 days"', '", "'),
        ("contexts", "Passage one|Passage two", '"|"'),
        ("retrieved_contexts", "9.80 EUR;72 EUR", '";"'),
    ],
)
def test_a_cell_that_looks_like_a_list_is_a_warning_with_the_setting(
    tmp_path: Path, column: str, cell: str, setting: str
) -> None:
    """It is read as one text, and is not split without the setting."""
    golden = opened(tmp_path, "g.csv", f"id,input,{column}\na,q,{cell}\nb,p,{cell}\n")
    (warned,) = map(str, golden.warnings)
    field = "contexts" if "contexts" in column else column
    assert warned.startswith(f"g.csv:2 {field}: '{cell.strip(chr(34))}' is read as one text, and so is 1 other cell")
    assert warned.endswith(f"if it is a list, write `golden: {{path: g.csv, lists: {{{field}: {setting}}}}}`")


def test_a_setting_that_would_split_references_is_proposed_for_its_field_alone(tmp_path: Path) -> None:
    """A semicolon in the prose of a reference is none of a list."""
    golden = opened(tmp_path, "g.csv", "id,input,required,reference\na,q,x;y,Yes; it is.\n")
    (warned,) = map(str, golden.warnings)
    assert warned.endswith('`golden: {path: g.csv, lists: {required: ";"}}`')
    assert opened(tmp_path, "g.csv", 'id,input,contexts\na,q,"Yes; it is, and\nso on"\n').warnings == ()


KEPT = '{""city"": ""Paris""}'


@pytest.mark.parametrize("column", ["reference", "output", "input", "note", "id", "kind of", "cluster", "required"])
@pytest.mark.parametrize("text", ['{"city": "Paris"}', "[1, 2]", "{x}", "[draft]", '{"a": 1}'])
def test_a_cell_is_not_opened_because_of_its_shape(tmp_path: Path, column: str, text: str) -> None:
    """JSON in a cell is that text, and half JSON is not a problem."""
    cells = {"id": "a", "input": "q", column: text}
    row = ",".join('"' + cell.replace('"', '""') + '"' for cell in cells.values())
    (case,) = cases_of(tmp_path, "g.csv", f"{','.join(cells)}\n{row}\n")
    found = {
        "id": case.id,
        "input": case.input,
        "reference": case.reference[0] if case.reference else "",
        "cluster": case.cluster,
    }
    want: Any = [1, 2] if text == "[1, 2]" and column in ("note", "kind of") else text  # a list, as documented
    assert {**case.fields, **found}[column] == want


def test_two_columns_for_one_field_are_one_problem(tmp_path: Path) -> None:
    """Where the names differ in case only, and where each row fills both."""
    text = "id,Question,QUESTION\n" + "1,q,p\n" * 50
    assert problems_of(tmp_path, "g.csv", text) == [
        "g.csv:1: the columns 'Question' and 'QUESTION' both give `input`; "
        "choose one, as in `golden: {path: g.csv, columns: {input: Question}}`"
    ]
    assert cases_of(tmp_path, "g.csv", "id,Question,QUESTION\n1,q,p\n", columns={"input": "Question"})[0].input == "q"
    said = problems_of(tmp_path, "g.csv", "id,question,query\n" + "".join(f"{n},q,p\n" for n in range(50)))
    assert said == ["g.csv:2 id 0: `question` and `query` both give the input; keep one of the two"]
    assert [case.input for case in cases_of(tmp_path, "g.csv", "id,question,query\n1,q,\n2,,p\n")] == ["q", "p"]


def test_kind_and_severity_are_read_in_any_case(tmp_path: Path) -> None:
    """In cells, where people write them."""
    (case,) = cases_of(tmp_path, "g.csv", "id,input,Kind,Severity\n1,q, Canary,HIGH \n")
    assert (case.kind, case.severity) == ("canary", "high")


def test_rows_above_the_header_are_named(tmp_path: Path) -> None:
    """The title of a sheet is no column."""
    (said,) = problems_of(tmp_path, "g.csv", "My questions,,\nid,input,reference\n1,q,r\n")
    assert "the columns are My questions; remove the rows above the header, or write `golden: {" in said


@pytest.mark.parametrize("name", ["contexts", "required"])
@pytest.mark.parametrize("cell", ["['a', 'b']", "[draft]", "[1, 2]"])
def test_a_list_that_is_not_json_is_a_warning(tmp_path: Path, name: str, cell: str) -> None:
    """As data frames write lists of Python into CSV."""
    golden = opened(tmp_path, "g.csv", f'id,input,{name}\n1,q,"{cell}"\n')
    assert [str(each) for each in golden.warnings] == [
        f"g.csv:2 {name}: {cell!r} is read as one text, as it is not a list of texts in JSON; "
        'if it is a list, write ["...", "..."]'
    ]


def test_a_field_that_holds_lists_or_mappings_is_read_from_json(tmp_path: Path) -> None:
    """Because of the field, not of the cell."""
    cells = {
        "id": "a",
        "messages": '[{"role": "user", "content": "q"}]',
        "reference": '["A", "B"]',
        "contexts": '["c"]',
        "cohorts": '{"topic": "x"}',
        "expected_tool_calls": '[{"name": "f"}]',
        "checks": '[{"contains": "A"}]',
        "expected_trajectory": '["plan", {"name": "f"}]',
        "expected_state": '{"orders.A": null}',
        "state": '{"orders": {"A": 1}}',
        "output": '{"text": "A", "contexts": ["c"]}',
    }
    row = ",".join('"' + cell.replace('"', '""') + '"' for cell in cells.values())
    (case,) = cases_of(tmp_path, "g.csv", f"{','.join(cells)}\n{row}\n")
    assert case.input == (Message("user", "q"),)
    assert (case.reference, case.contexts, case.cohorts) == (("A", "B"), ("c",), {"topic": "x"})
    assert case.fields["expected_tool_calls"] == [{"name": "f"}]
    assert case.fields["expected_trajectory"] == ["plan", {"name": "f"}]
    assert (case.fields["expected_state"], case.fields["state"]) == ({"orders.A": None}, {"orders": {"A": 1}})
    assert case.fields["output"] == {"text": "A", "contexts": ["c"]}
    (plain,) = cases_of(tmp_path, "g.csv", "id,input,state\na,q,[TX]\n")
    assert plain.fields["state"] == "[TX]"
    said = problems_of(tmp_path, "g.csv", "id,input,checks\na,q,[x]\n")
    assert said[0].startswith("g.csv:2 checks:")


@pytest.mark.parametrize(
    ("given", "reference"),
    [
        ({"city": "Paris"}, '{"city": "Paris"}'),
        ({"city": "Paris", "as_of": 2024}, '{"city": "Paris", "as_of": 2024}'),
        ({"answer": "Paris"}, '{"answer": "Paris"}'),
        ({}, "{}"),
        ({"é": [None, {"a": True}]}, '{"é": [null, {"a": true}]}'),
    ],
)
def test_an_object_as_reference_is_its_json_text(tmp_path: Path, given: dict[str, Any], reference: str) -> None:
    """Letter for letter as it is written with a blank after each sign, whatever its keys; in a list too."""
    for name in ("reference", "expected_output", "ground_truth"):
        (case,) = cases_of(tmp_path, "g.jsonl", lines({"id": "a", "input": "q", name: given}))
        assert case.reference == (reference,)
    (case,) = cases_of(tmp_path, "g.jsonl", lines({"id": "a", "input": "q", "reference": ["x", given]}))
    assert case.reference == ("x", reference)


def test_columns_that_wrap_a_value_are_opened(tmp_path: Path) -> None:
    """`inputs` and `outputs` of langsmith and `vars` of promptfoo hold a mapping by definition."""
    rows = (
        {"id": "a", "inputs": {"question": "q"}, "outputs": {"answer": "r"}},
        {"id": "b", "vars": {"topic": "q"}, "reference": "r"},
        {"id": "c", "input": {"question": "q"}, "reference_outputs": {"answer": "r"}},
        {"id": "d", "input": {"messages": [{"role": "user", "content": "q"}]}, "reference": "r"},
    )
    for case in cases_of(tmp_path, "g.jsonl", lines(*rows)):
        assert (case.question, case.reference) == ("q", ("r",))


def test_an_object_that_names_no_question_is_asked_as_json(tmp_path: Path) -> None:
    """It was opened where it had one key, and refused where it had two."""
    for given in ({"order": 17}, {"order": 17, "city": "Paris"}):
        (case,) = cases_of(tmp_path, "g.jsonl", lines({"id": "a", "input": given}))
        assert case.input == json.dumps(given)


DIGESTS = {
    "g.jsonl": [
        (
            '{"id": "a", "input": "q", "reference": ["r", "s"], "x": null, "Input": "y", "Topic": "t"}',
            "56f1bb5dcdeb812c",
        ),
        ('{"id": 1, "question": "q", "answer": "a", "ground_truth": "r", "contexts": ["c"]}', "adde00dcad66d054"),
        (
            '{"id": "a", "vars": {"question": "q"}, "__expected": "contains: x", "metadata": {"a": 1}}',
            "5d8b2be30dd2855d",
        ),
        ('{"id": "a", "inputs": {"x": "q"}, "outputs": {"y": "r"}, "cohorts.topic": "x"}', "1ffcba58850ce4b0"),
        ('{"id": "a", "input": {"question": "q", "lang": "de"}, "required": "a;b"}', "883dd1d3d7c40050"),
    ],
    "g.csv": [
        ('id,input,cohorts.topic,required,list,object\na,"q, r",x,a;b,"[""x""]","{""a"": [1]}"\n', "3a07e500960dea6d"),
        ("case_id,user_input,reference,Nr.,inputs.x\n 7 , q ,r ,5,\n", "1f7e9bdb727dc3ca"),
    ],
}
"""File -> rows that an earlier version read, with the head of the digest that it gave them."""


@pytest.mark.parametrize(("name", "text", "digest"), [(name, *row) for name, rows in DIGESTS.items() for row in rows])
def test_rows_that_were_right_keep_their_digest(tmp_path: Path, name: str, text: str, digest: str) -> None:
    """Resume and baselines find their cases again; an object in a column of the user's own is now its text."""
    assert cases_of(tmp_path, name, text)[0].digest.startswith(digest)


@pytest.mark.parametrize(
    ("header", "fields"),
    [
        ("Nr.;Frage;Erwartete Antwort;Thema", {"id": 0, "input": 1, "reference": 2, "cohorts.thema": 3}),
        (
            "ID,User question,Gold answer,Model answer,Category",
            {"id": 0, "input": 1, "reference": 2, "output": 3, "cohorts.category": 4},
        ),
        ("question,answer", {"input": 0, "reference": 1}),
        ("question,answer,ground_truth", {"input": 0, "reference": 2}),
        ("Question ID,Question,Context", {"id": 0, "input": 1, "contexts": 2}),
        ("Pregunta,Respuesta esperada", {"input": 0, "reference": 1}),
        ("prompt,response,ideal", {"input": 0, "output": 1, "reference": 2}),
        ("id,input,reference,cohorts.topic", {"id": 0, "input": 1, "reference": 2, "cohorts.topic": 3}),
        ("Test case,Question,Answer key", {"input": 1, "reference": 2}),
        ("Question type,Customer question,Answer", {"input": 1, "reference": 2}),
        ("Fragetyp;Frage;Erwartete Antwort", {"input": 1, "reference": 2}),
        ("Prompt tokens,Prompt text,Ideal", {"input": 1, "reference": 2}),
        ("Question,Incorrect answer,Correct answer", {"input": 0, "reference": 2}),
        ("Answer type,Question,Answer", {"input": 1, "reference": 2}),
        ("Question,Answer,Target language", {"input": 0, "reference": 1, "cohorts.target_language": 2}),
        ("Question,Expected answer,Response time (s)", {"input": 0, "reference": 1}),
        ("Number of documents,Question,Expected", {"input": 1, "reference": 2}),
        ("question,expected_source", {"input": 0, "expected_source": 1}),
        ("A,B,C", {"input": 0, "reference": 1}),
        ("", {}),
    ],
)
def test_a_mapping_is_proposed_from_the_names_of_columns(header: str, fields: dict[str, int]) -> None:
    """Each column for one field, with a reason; what evalkit reads by itself is marked."""
    names = header.replace(";", ",").split(",")
    found = propose_columns(names)
    assert {each.field: names.index(each.column) for each in found} == fields
    assert all(each.reason for each in found)
    assert [each.field for each in found if each.sure] == [
        name
        for name, at in fields.items()
        if names[at]
        in (
            "ID",
            "id",
            "input",
            "reference",
            "question",
            "ground_truth",
            "prompt",
            "response",
            "Question",
            "cohorts.topic",
            "expected_source",
            "Expected",
        )
    ]


def test_an_answer_is_proposed_with_the_question_that_it_raises() -> None:
    """The person who reads the proposal decides."""
    (answer,) = (each for each in propose_columns(["question", "answer"]) if each.field == "reference")
    assert not answer.sure
    assert "`output`" in answer.reason


def test_the_columns_of_a_file_can_be_looked_at(tmp_path: Path) -> None:
    """Of a table its header, of other files the keys of the first row."""
    for name, text in (("g.csv", SHEET), ("g.jsonl", lines({"Frage": "q", "n": 1}))):
        (tmp_path / name).write_text(text, encoding="utf-8")
        assert header_of(GoldenSource(path=name), tmp_path / name, name).names[:1] in (("Nr.",), ("Frage",))
    (tmp_path / "g.csv").write_bytes(b"id,input\n\xff,q\n")
    with pytest.raises(InputError, match="not UTF-8"):
        header_of(GoldenSource(path="g.csv"), tmp_path / "g.csv", "g.csv")


@pytest.mark.parametrize(
    ("source", "line"),
    [
        (GoldenSource(path="g.jsonl"), "golden: g.jsonl"),
        (GoldenSource(path="my set.csv"), 'golden: "my set.csv"'),
        (GoldenSource(path="g.csv", separator="\t"), 'golden: {path: g.csv, separator: "\\t"}'),
        (GoldenSource(path="g.xlsx", sheet="no", make_ids=True), 'golden: {path: g.xlsx, make_ids: true, sheet: "no"}'),
        (
            GoldenSource(path="g.csv", columns={"input": "Größe: 1"}),
            'golden: {path: g.csv, columns: {input: "Größe: 1"}}',
        ),
        (GoldenSource(path="g.csv", trained_on=("a", "b c")), 'golden: {path: g.csv, trained_on: [a, "b c"]}'),
    ],
)
def test_a_line_to_copy_is_yaml_that_says_the_same(source: GoldenSource, line: str) -> None:
    """Words that YAML reads as something else are in quotes."""
    import yaml

    assert source.line() == line
    given = yaml.safe_load(line)["golden"]
    options = given if isinstance(given, dict) else {"path": given}
    options["trained_on"] = tuple(options.get("trained_on", ()))
    assert GoldenSource(**options) == source


def test_a_second_column_in_another_case_is_named(tmp_path: Path) -> None:
    """`Question` beside `question`: one of them is not what is asked, and that is said."""
    golden = opened(tmp_path, "g.csv", "id,question,Question\n1,a,b\n")
    assert [case.input for case in golden.open()] == ["a"]
    (warning,) = [each for each in golden.warnings if "Question" in each.place]
    assert "not read as `input`, because 'question' is" in warning.what


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"lists": {"requird": ";"}}, "did you mean `required`"),
        ({"lists": {"Reference": ";"}}, "did you mean `reference`"),
        ({"columns": {"Input": "q"}}, "did you mean `input`"),
        ({"columns": {"reference": "a", "required": "a"}}, "'a' is named for two fields"),
    ],
)
def test_a_setting_that_would_be_lost_is_refused(options: dict[str, Any], said: str) -> None:
    """A misspelt field would be split or mapped nowhere, and a column named twice would fill one of the two."""
    with pytest.raises(ValueError, match=said):
        GoldenSource(path="g.csv", **options)


def test_the_sign_that_is_proposed_cuts_no_other_text(tmp_path: Path) -> None:
    """With the line that the warning shows, references and decimals stay whole."""
    text = "id,input,reference,required,contexts\n"
    text += '1,Fee?,"9,80 EUR","9,80 EUR, monthly","Fees apply; monthly, in advance."\n'
    (warning,) = (each for each in opened(tmp_path, "g.csv", text).warnings if "required" in each.place)
    assert '`golden: {path: g.csv, lists: {required: ", "}}`' in warning.fix
    (case,) = cases_of(tmp_path, "g.csv", text, lists={"required": ", "})
    assert case.fields["required"] == ["9,80 EUR", "monthly"]
    assert case.reference == ("9,80 EUR",)
    assert case.contexts == ("Fees apply; monthly, in advance.",)


@pytest.mark.parametrize(("cell", "value"), [("true", True), ("FALSE", False), ("yes", "yes")])
def test_refuse_is_true_or_false_in_a_cell(tmp_path: Path, cell: str, value: object) -> None:
    """Any other word stays one, which the scorer refuses."""
    (case,) = cases_of(tmp_path, "g.csv", f"id,input,refuse\n1,q,{cell}\n")
    assert case.fields["refuse"] == value


def test_a_cell_of_separators_alone_stays_text(tmp_path: Path) -> None:
    """An empty list would expect nothing, and pass any answer."""
    (case,) = cases_of(tmp_path, "g.csv", "id,input,required\na,q,;\n", lists=";")
    assert case.fields["required"] == ";"


def test_a_field_that_a_scorer_reads_texts_from_holds_a_list(tmp_path: Path) -> None:
    """Forbidden words in a column of your own are warned about, and split like those of a known field."""
    text = "id,input,verboten\na,q,Paris;Rome\n"
    reading = Reading(lists=frozenset({"verboten"}))
    (warning,) = opened(tmp_path, "g.csv", text, reading).warnings
    assert 'lists: {verboten: ";"}' in warning.fix
    (case,) = cases_of(tmp_path, "g.csv", text, reading, lists=";")
    assert case.fields["verboten"] == ["Paris", "Rome"]


@pytest.mark.parametrize("key", ["cohorts.topic", "Cohorts.Topic", "COHORTS.topic"])
@pytest.mark.parametrize("kind", ["g.csv", "g.jsonl", "g.json"])
def test_a_column_under_the_name_of_cohorts_is_a_cohort_in_every_kind_of_file(
    tmp_path: Path, kind: str, key: str
) -> None:
    """In the spelling of the suite, if it names the cohort; otherwise in that of the file."""
    row = {"id": "1", "input": "q", key: "fees"}
    text = f"id,input,{key}\n1,q,fees\n" if kind == "g.csv" else json.dumps([row] if kind == "g.json" else row)
    (case,) = cases_of(tmp_path, kind, text, Reading(cohorts=("topic",)))
    assert case.cohorts == {"topic": "fees"}
    (case,) = cases_of(tmp_path, kind, text)
    assert case.cohorts == {key.partition(".")[2]: "fees"}


def test_a_key_with_a_dot_adds_to_the_cohorts_of_its_row(tmp_path: Path) -> None:
    """What the mapping itself says wins."""
    row = {"id": "1", "input": "q", "cohorts": {"topic": "fees"}, "cohorts.topic": "hours", "cohorts.lang": "de"}
    (case,) = cases_of(tmp_path, "g.jsonl", lines(row))
    assert case.cohorts == {"topic": "fees", "lang": "de"}


def test_kind_and_severity_are_read_in_any_case_in_json_lines(tmp_path: Path) -> None:
    """As the same case in another kind of file."""
    (case,) = cases_of(tmp_path, "g.jsonl", lines({"id": "1", "input": "q", "kind": " Canary", "severity": "HIGH"}))
    (same,) = cases_of(tmp_path, "g.csv", "id,input,kind,severity\n1,q,canary,high\n")
    assert (case.kind, case.severity, case.digest) == ("canary", "high", same.digest)


def test_a_list_of_objects_as_reference_is_a_warning(tmp_path: Path) -> None:
    """It is read as several right answers, which an expected JSON array is not."""
    row = {"id": "1", "input": "q", "reference": [{"a": 1}, {"b": 2}]}
    golden = opened(tmp_path, "g.jsonl", lines(row, {**row, "id": "2", "input": "r"}))
    said = [str(each) for each in golden.warnings]
    assert said == [
        "g.jsonl:1 reference: a list with 2 objects is read as 2 right answers, and so is the list of 1 other row; "
        'if the list is the answer, write it as text: "reference": "[{...}]"'
    ]
    assert next(iter(golden.open())).reference == ('{"a": 1}', '{"b": 2}')


def test_the_proposed_mapping_names_every_column_that_has_a_meaning(tmp_path: Path) -> None:
    """As `evalkit init --from` proposes them."""
    (said,) = problems_of(tmp_path, "faq.csv", "Nr.;Frage;Erwartet;Stichwörter;Thema\n1;q;a;b;c\n")
    wanted = 'columns: {id: Nr., input: Frage, reference: Erwartet, required: "Stichwörter", cohorts.thema: Thema}'
    assert wanted in said
