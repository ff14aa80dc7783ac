"""CSV and TSV files as spreadsheets write them."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from evalkit.errors import InputError
from evalkit.golden.read import open_golden
from evalkit.golden.source import GoldenSource
from evalkit.types import Case


def written(tmp_path: Path, text: str | bytes, name: str = "cases.csv") -> Path:
    """A file with this text."""
    file = tmp_path / name
    file.write_bytes(text if isinstance(text, bytes) else text.encode())
    return file


def cases_of(file: Path, **options: Any) -> list[Case]:
    """Cases of a checked file."""
    return list(open_golden(GoldenSource(path=file.name, **options), file, file.name).open())


def problems_of(file: Path, **options: Any) -> list[str]:
    """What is wrong with a file, as people read it."""
    with pytest.raises(InputError) as raised:
        cases_of(file, **options)
    return [str(problem) for problem in raised.value.problems]


def warnings_of(file: Path, **options: Any) -> list[str]:
    """The warnings about a sound file."""
    return [str(each) for each in open_golden(GoldenSource(path=file.name, **options), file, file.name).warnings]


def told(cases: Sequence[Case]) -> list[tuple[object, ...]]:
    """Id, input, references and stored answer."""
    return [(case.id, case.input, *case.reference, case.fields.get("output")) for case in cases]


ROWS = [("id", "input", "reference", "output"), ("a", "What is 1,5 + 1?", "2,5", "2,5"), ("b", "Largest?", "x|y", "x")]
EXPECTED = [("a", "What is 1,5 + 1?", "2,5", "2,5"), ("b", "Largest?", "x|y", "x")]


def table(separator: str, *, quoted: bool = False) -> str:
    """The rows with a separator; cells that hold it, or all of them, are in quotes."""
    lines = ([f'"{cell}"' if quoted or separator in cell else cell for cell in row] for row in ROWS)
    return "".join(f"{separator.join(line)}\r\n" for line in lines)


@pytest.mark.parametrize("quoted", [False, True], ids=["bare", "quoted"])
@pytest.mark.parametrize("separator", [",", ";", "\t", "|"])
def test_the_separator_is_read_from_the_header(tmp_path: Path, separator: str, quoted: bool) -> None:
    """Decimal commas, bars and quotes in cells change nothing."""
    assert told(cases_of(written(tmp_path, table(separator, quoted=quoted)))) == EXPECTED


def test_a_tsv_file_has_tabs(tmp_path: Path) -> None:
    """Commas in its header are part of a name; another separator is seen as in a CSV file."""
    file = written(tmp_path, "id\tinput\tnote, short\na\tq\tn\n", "cases.tsv")
    assert cases_of(file)[0].fields == {"note, short": "n"}
    assert told(cases_of(written(tmp_path, table(";"), "cases.tsv"))) == EXPECTED


def test_a_header_that_two_separators_split_is_asked_about(tmp_path: Path) -> None:
    """Nothing is guessed from the rows; the setting decides."""
    file = written(tmp_path, "id;input;a|b\na;q;b|c\n")
    assert problems_of(file) == [
        "cases.csv:1: the cells of the header may be separated by semicolons or bars; write "
        '`golden: {path: cases.csv, separator: ";"}` or `golden: {path: cases.csv, separator: "|"}`'
    ]
    assert cases_of(file, separator=";")[0].fields == {"a|b": "b|c"}


def test_a_header_with_a_comma_in_a_name_is_asked_about_once(tmp_path: Path) -> None:
    """Under commas it has two cells, and none of them is the question."""
    file = written(tmp_path, 'id;"Note, short";input\na;x;q\nb;y;p\n')
    assert problems_of(file) == [
        "cases.csv:1: no column gives the question (`input`), but with semicolons one does; "
        'write `golden: {path: cases.csv, separator: ";"}`'
    ]
    assert [case.input for case in cases_of(file, separator=";")] == ["q", "p"]


def test_the_line_of_excel_that_names_the_separator_is_followed(tmp_path: Path) -> None:
    """`sep=;` is a declaration; the header is on the line after it."""
    file = written(tmp_path, "sep=;\r\nid;input\r\na;b,c\r\n;x\r\n")
    assert problems_of(file) == [
        "cases.csv:4: `id` is missing; give each case its own id, or set `golden: {path: ..., make_ids: true}`"
    ]


def test_one_column_is_no_separator(tmp_path: Path) -> None:
    """A table of questions alone."""
    (case,) = cases_of(written(tmp_path, 'input\n"q, really"\n'), make_ids=True)
    assert case.input == "q, really"


def test_header_names_are_trimmed_and_read_in_any_case(tmp_path: Path) -> None:
    """Blanks, a byte order mark and capitals; the user's own columns keep their spelling, cells keep their blanks."""
    text = "\ufeff ID , Input,EXPECTED OUTPUT ,Kind,Required, My Note\na, Capital?,Paris,canary,x, n\n"
    (case,) = cases_of(written(tmp_path, text))
    assert (case.id, case.input, case.reference, case.kind) == ("a", " Capital?", ("Paris",), "canary")
    assert case.fields == {"required": "x", "My Note": " n"}


def test_an_exact_name_wins(tmp_path: Path) -> None:
    """A second spelling beside it stays a column of the user's own, as it always was."""
    (case,) = cases_of(written(tmp_path, "id,input,Input,Question\na,q,x,y\n"))
    assert (case.input, case.fields) == ("q", {"Input": "x", "Question": "y"})


@pytest.mark.parametrize("blank", ["\n\n", ",,\n", " , , \n", '"","",""\n', ",\n", "\r\n"])
def test_empty_rows_are_skipped(tmp_path: Path, blank: str) -> None:
    """Rows of separators and blanks, as sheets with formatted rows leave them."""
    assert [case.id for case in cases_of(written(tmp_path, f"id,input,x\na,q,\n{blank}{blank}b,p,\n{blank}"))] == [
        "a",
        "b",
    ]


def test_empty_columns_at_the_end_are_none(tmp_path: Path) -> None:
    """Separators without a name above and a value below."""
    assert told(cases_of(written(tmp_path, "id;input;;\na;q;;\nb;p; ;\n"))) == [("a", "q", None), ("b", "p", None)]


def test_a_column_without_a_name_of_its_own_is_left_out_with_a_word(tmp_path: Path) -> None:
    """The index of a data frame, and a name given twice, refuse nothing."""
    file = written(tmp_path, ",id,input,note,note,\n0,a,q,x,y,\n1,b,p,x,y,z\n")
    assert [case.fields for case in cases_of(file)] == [{}, {}]
    assert warnings_of(file) == [
        "cases.csv:2 column 1: left out: it has no name; give it a name of its own if it is needed",
        "cases.csv:2 note: left out: 2 columns have its name; give it a name of its own if it is needed",
        "cases.csv:3 column 6: left out: it has no name; give it a name of its own if it is needed",
    ]


def test_what_stands_above_the_header_is_one_problem(tmp_path: Path) -> None:
    """A title or a comment, however many rows follow."""
    file = written(tmp_path, "# exported on Monday\nid,input,reference\n" + "1,q,r\n" * 50)
    assert problems_of(file) == [
        "cases.csv:1: the first row has 1 cell, the next 3, and '# exported on Monday' is not the question; "
        "remove the rows above the header"
    ]


def test_a_row_of_another_width_is_named_with_the_separator(tmp_path: Path) -> None:
    """The fix says which sign has to be in quotes."""
    missing = "add the missing semicolons, or put quotes around a cell of several lines"
    assert problems_of(written(tmp_path, 'id;input\na;b;c\nb\nc; "x;y"\n')) == [
        "cases.csv:2: 3 cells, the header has 2; quote cells that hold semicolons",
        f"cases.csv:3: 1 cell, the header has 2; {missing}",
        "cases.csv:4: 3 cells, the header has 2; remove the blank before the opening quote",
    ]


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-32"])
@pytest.mark.parametrize(
    ("name", "text"),
    [("cases.csv", "id;input\r\na;Gebühr €\r\n"), ("cases.jsonl", '\n{"id": "a", "input": "Gebühr €"}\r\n')],
)
def test_a_byte_order_mark_tells_the_encoding(tmp_path: Path, name: str, text: str, encoding: str) -> None:
    """As Excel saves Unicode text, and PowerShell redirected output."""
    assert [case.input for case in cases_of(written(tmp_path, text.encode(encoding), name))] == ["Gebühr €"]


@pytest.mark.parametrize("mark", [b"\xff\xfe", b"\xfe\xff"])
def test_utf_16_of_both_orders(tmp_path: Path, mark: bytes) -> None:
    """Little and big endian; a damaged pair has its line."""
    codec = "utf-16-le" if mark == b"\xff\xfe" else "utf-16-be"
    file = written(tmp_path, mark + "id,input\na,ä\n".encode(codec))
    assert told(cases_of(file)) == [("a", "ä", None)]
    broken = written(tmp_path, mark + "id,input\na,".encode(codec) + "\udc00".encode(codec, "surrogatepass") + b"\0\n")
    assert problems_of(broken)[0].startswith("cases.csv:2: not utf-16 (")


SAVE = "save the file as UTF-8, or name its encoding, such as"


def test_bytes_of_another_encoding_have_their_line_and_are_told_once(tmp_path: Path) -> None:
    """Windows' encoding is not guessed: the setting or another saving decides."""
    text = "id,input\n" + "".join(f"{n},plain\n" for n in range(5_000)) + "x,Gebühr\ny,Größe\n"
    file = written(tmp_path, text.encode("cp1252"))
    assert problems_of(file) == [
        f"cases.csv:5002: not UTF-8 (byte 0xfc at 6); {SAVE} `golden: {{path: cases.csv, encoding: cp1252}}`"
    ]
    assert [case.input for case in cases_of(file, encoding="cp1252")][-2:] == ["Gebühr", "Größe"]


def test_json_lines_of_another_encoding_are_told_once(tmp_path: Path) -> None:
    """One problem for the file, not one for each umlaut."""
    text = "".join(f'{{"id": "{n}", "input": "Gebühr"}}\n' for n in range(3))
    file = written(tmp_path, text.encode("cp1252"), "cases.jsonl")
    assert problems_of(file) == [
        f"cases.jsonl:1: not UTF-8 (byte 0xfc at 26); {SAVE} `golden: {{path: cases.jsonl, encoding: cp1252}}`"
    ]
    assert len(cases_of(file, encoding="cp1252")) == 3


def test_a_byte_that_the_named_encoding_lacks_has_its_line(tmp_path: Path) -> None:
    """0x81 is no letter of cp1252."""
    file = written(tmp_path, b"id,input\na,\xfc\nb,\x81\n")
    assert problems_of(file, encoding="cp1252")[0].startswith("cases.csv:3: not cp1252 (")


def test_utf_16_without_a_mark_is_named(tmp_path: Path) -> None:
    """Its zero bytes are no text of a table."""
    (said,) = problems_of(written(tmp_path, "id,input\na,q\n".encode("utf-16-le")))
    assert said == "cases.csv:1: zero bytes, as in UTF-16 without a byte order mark; save the file as UTF-8"


def test_old_line_ends_count_as_lines(tmp_path: Path) -> None:
    """Carriage returns alone, as old programs write; a cell in quotes keeps them."""
    assert told(cases_of(written(tmp_path, 'id,input\ra,"q\rr"\rb,p\r'))) == [("a", "q\rr", None), ("b", "p", None)]
    assert problems_of(written(tmp_path, "id,input\ra,q\rb,p,x\r"))[0].startswith("cases.csv:3: 3 cells")


def test_a_cell_of_several_lines_counts_them(tmp_path: Path) -> None:
    """A problem after it has the line of the file; a header of several lines too."""
    assert problems_of(written(tmp_path, 'id;"in\nput";input\na;"x\ny";q\nb;p\n'))[0].startswith("cases.csv:5: 2 cells")


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"separator": ":"}, "separator: ':' is not a separator"),
        ({"separator": ";", "path": "c.jsonl"}, "separator: only a CSV file has one"),
        ({"encoding": "cp9999"}, "encoding: 'cp9999' is not known"),
        ({"encoding": "rot13"}, "encoding: 'rot13' is not known"),
        ({"encoding": "unicode_escape"}, "encoding: 'unicode_escape' is not known"),
        ({"encoding": "cp1252", "path": "c.xlsx"}, "encoding: .xlsx files state their own encoding"),
        ({"sheet": "A"}, "sheet: only a workbook"),
        ({"lists": ""}, "lists: '' cannot separate items"),
        ({"columns": {"input": " "}}, "columns: an empty name"),
        ({"columns": {"refrence": "A"}}, "columns: 'refrence' is not a field; did you mean `reference`?"),
    ],
)
def test_a_setting_that_cannot_apply_is_refused(options: dict[str, Any], said: str) -> None:
    """Nothing in a suite is read past."""
    with pytest.raises(ValueError, match=said.replace("(", r"\(").replace("?", r"\?")):
        GoldenSource(**{"path": "c.csv", **options})


@pytest.mark.parametrize("name", ["cases.csv", "cases.jsonl"])
def test_a_file_of_two_encodings_is_told_no_encoding(tmp_path: Path, name: str) -> None:
    """Another encoding would garble the lines that are UTF-8."""
    rows = ["1,Gebühr", "2,Größe"] if name == "cases.csv" else [f'{{"id":"{n}","input":"Größe"}}' for n in (1, 2)]
    head = b"id,input\n" if name == "cases.csv" else b""
    (said,) = problems_of(written(tmp_path, head + rows[0].encode() + b"\n" + rows[1].encode("cp1252") + b"\n", name))
    assert "not UTF-8" in said
    assert said.endswith("; lines above it are UTF-8, so save the whole file as UTF-8")


def test_a_row_that_is_too_short_is_told_so(tmp_path: Path) -> None:
    """No cell of it holds a separator too many."""
    assert problems_of(written(tmp_path, "id,input,reference\n1,q\n")) == [
        "cases.csv:2: 2 cells, the header has 3; add the missing commas, or put quotes around a cell of several lines"
    ]


@pytest.mark.parametrize(
    ("head", "said"),
    [
        (b"PK\x03\x04\x14\x00\xff", "a packed file, such as a workbook; name it .xlsx if it is one"),
        (b"\x1f\x8b\x08\x00\xff", "packed with gzip; name it with .gz at the end"),
        (b"PAR1\x15\x04\xff", "a Parquet file; name it .parquet"),
        (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "a file of an old Excel; save it as .xlsx or as CSV UTF-8"),
    ],
)
@pytest.mark.parametrize("name", ["cases.csv", "cases.jsonl", "cases.json"])
def test_a_file_of_another_kind_is_told_its_kind(tmp_path: Path, name: str, head: bytes, said: str) -> None:
    """No encoding would make it text."""
    (problem,) = problems_of(written(tmp_path, head + b"\n\xff\n", name))
    assert problem == f"{name}:1: {said}"


def test_an_open_quote_is_named_where_its_row_begins(tmp_path: Path) -> None:
    """The end of the file says nothing about it."""
    text = 'id,input\n1,a\n2,"5 inch pipe\n3,b\n4,c\n'
    assert problems_of(written(tmp_path, text)) == [
        "cases.csv:3: not CSV: unexpected end of data; close the quotes of the row that begins here"
    ]
