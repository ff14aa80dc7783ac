"""Excel workbooks: which sheet, which text a cell has, what is left out."""

import datetime
import importlib.util
import re
import zipfile
from pathlib import Path
from typing import Any

import openpyxl
import pytest

from evalkit.errors import InputError
from evalkit.golden.read import GoldenSet, open_golden
from evalkit.golden.source import GoldenSource, Reading
from evalkit.golden.workbook import cell_text


def workbook(tmp_path: Path, sheets: dict[str, list[list[Any]]], name: str = "faq.xlsx") -> Path:
    """A workbook of these sheets."""
    book = openpyxl.Workbook()
    book.remove(book.active)
    for title, rows in sheets.items():
        sheet = book.create_sheet(title)
        for row in rows:
            sheet.append(row)
    book.save(tmp_path / name)
    return tmp_path / name


def opened(file: Path, reading: Reading | None = None, **options: Any) -> GoldenSet:
    """The checked set of a workbook."""
    return open_golden(GoldenSource(path=file.name, **options), file, file.name, reading=reading or Reading())


def problems_of(file: Path, **options: Any) -> list[str]:
    """What is wrong with it, as people read it."""
    with pytest.raises(InputError) as raised:
        opened(file, **options)
    return [str(problem) for problem in raised.value.problems]


ROWS: list[list[Any]] = [
    ["ID", "Question", "Reference", "Topic"],
    [1, "Fee?", 9.8, "fees"],
    [2, "Open?", True, "hours"],
]


def test_the_only_sheet_is_read_as_text(tmp_path: Path) -> None:
    """Numbers and booleans become text; a column under `cohorts:` is a cohort."""
    golden = opened(workbook(tmp_path, {"Tabelle1": ROWS}), Reading(cohorts=("topic",)))
    found = [(case.id, case.input, case.reference, dict(case.cohorts), case.place) for case in golden.open()]
    assert found == [
        ("1", "Fee?", ("9.8",), {"topic": "fees"}, "faq.xlsx:2"),
        ("2", "Open?", ("true",), {"topic": "hours"}, "faq.xlsx:3"),
    ]


def test_a_title_above_the_header_is_one_problem(tmp_path: Path) -> None:
    """The mapping is proposed beside it, in case the title is the header."""
    (said,) = problems_of(workbook(tmp_path, {"A": [["My questions"], *ROWS]}))
    assert "the columns are My questions; remove the rows above the header, or write `golden: {" in said


def test_a_sheet_is_chosen_by_name(tmp_path: Path) -> None:
    """Several sheets with rows are one question; empty ones, as old Excel adds them, are none."""
    two = workbook(tmp_path, {"Fragen": ROWS, "Old set": ROWS[:2], "Tabelle3": []})
    assert problems_of(two) == [
        "faq.xlsx: 2 sheets hold rows: 'Fragen', 'Old set'; name one, such as `golden: {path: faq.xlsx, sheet: Fragen}`"
    ]
    assert opened(two, sheet="Old set").n_cases == 1
    assert problems_of(two, sheet="Frage") == [
        "faq.xlsx: no sheet 'Frage', only 'Fragen', 'Old set', 'Tabelle3'; "
        "write `golden: {path: faq.xlsx, sheet: Fragen}`"
    ]
    assert opened(workbook(tmp_path, {"A": [], "B": ROWS, "C": [[None, " "]]})).n_cases == 2


def test_columns_and_lists_apply_to_a_sheet(tmp_path: Path) -> None:
    """The header may begin below and beside empty cells, and have line breaks; blank rows are skipped."""
    rows: list[list[Any]] = [
        [],
        [None, "Nr", "Frage", "Erwartete\nAntwort"],
        [None, " ", "", None],
        [None, 1, "q", "a;b"],
        [],
        [],
    ]
    file = workbook(tmp_path, {"A": rows})
    (said,) = problems_of(file)
    assert said.startswith(
        "faq.xlsx:2: no column gives the question (`input`), the columns are Nr, Frage, Erwartete Antwort;"
    )
    columns = {"id": "Nr", "input": "Frage", "reference": "Erwartete Antwort"}
    (case,) = opened(file, columns=columns, lists=";").open()
    assert (case.id, case.input, case.reference, case.place) == ("1", "q", ("a", "b"), "faq.xlsx:4")


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (5, "5"),
        (5.0, "5"),
        (9.8, "9.8"),
        (0.1 + 0.2, "0.30000000000000004"),
        (-1.5e-7, "-0.00000015"),
        (1e21, "1000000000000000000000"),
        (1234567.0, "1234567"),
        (0.05, "0.05"),
        ("007", "007"),
        (datetime.datetime(2026, 1, 31), "2026-01-31"),  # noqa: DTZ001
        (datetime.datetime(2026, 1, 31, 14, 30), "2026-01-31T14:30:00"),  # noqa: DTZ001
        (datetime.date(2026, 1, 31), "2026-01-31"),
        (datetime.time(9, 5), "09:05:00"),
        (datetime.timedelta(hours=26, minutes=30), "26:30:00"),
        (-datetime.timedelta(hours=1, minutes=30), "-01:30:00"),
        (datetime.timedelta(milliseconds=400), "00:00:00.400"),
        ("a_x000D_b", "a\rb"),
        (None, None),
    ],
)
def test_the_text_of_a_cell_does_not_depend_on_its_format(value: Any, text: str | None) -> None:
    """Numbers in full with a point, dates in ISO 8601."""
    assert cell_text(value) == text


def test_dates_of_a_file_are_text(tmp_path: Path) -> None:
    """Through the file too, where they are numbers with a format."""
    day = datetime.datetime(2026, 1, 31)  # noqa: DTZ001
    rows: list[list[Any]] = [["id", "input", "reference", "required"], ["a", day, datetime.time(9, 5), 0.5]]
    (case,) = opened(workbook(tmp_path, {"A": rows})).open()
    assert (case.input, case.reference, case.fields) == ("2026-01-31", ("09:05:00",), {"required": "0.5"})


def test_a_boolean_stays_one_where_a_scorer_needs_it(tmp_path: Path) -> None:
    """`refuse` is true or false."""
    (case,) = opened(workbook(tmp_path, {"A": [["id", "input", "refuse"], ["a", "q", True]]})).open()
    assert case.fields == {"refuse": True}


def with_values(file: Path, cells: dict[str, str]) -> Path:
    """The workbook with the stored values that Excel adds to formulas, as parts of its XML."""
    target = file.with_name("stored.xlsx")
    with zipfile.ZipFile(file) as old, zipfile.ZipFile(target, "w") as new:
        for each in old.namelist():
            data = old.read(each)
            if each.endswith("sheet1.xml"):
                for formula, cell in cells.items():
                    before = rf"<f>{re.escape(formula)}</f><v ?(/>|></v>)".encode()
                    data, n = re.subn(before, f"<f>{formula}</f>{cell}".encode(), data)
                    assert n == 1
            new.writestr(each, data)
    return target


def test_a_formula_is_read_as_the_value_that_is_stored_with_it(tmp_path: Path) -> None:
    """Nothing is calculated; a formula without a value is a problem where the column is read."""
    rows: list[list[Any]] = [["id", "input", "reference", "x"], ["a", "q", "=1+1", "=2+2"]]
    file = workbook(tmp_path, {"A": rows})
    assert problems_of(file) == [
        "faq.xlsx:2 reference: a formula without a stored value; open the file in Excel and save it, or write the value"
    ]
    stored = with_values(file, {"1+1": "<v>2</v>"})
    golden = opened(stored)
    (case,) = golden.open()
    assert (case.reference, case.fields) == (("2",), {})
    assert [str(each) for each in golden.warnings] == [
        "stored.xlsx:2 x: left out: a formula without a stored value; "
        "open the file in Excel and save it, or write the value if it is needed"
    ]


def test_an_error_in_a_cell_is_reported_where_its_column_is_read(tmp_path: Path) -> None:
    """`#N/A` is not an answer; elsewhere it is left out with a word."""
    rows: list[list[Any]] = [["id", "input", "reference", "x"], ["a", "q", "#N/A", "r"]]
    said = problems_of(workbook(tmp_path, {"A": rows}))
    assert said == ["faq.xlsx:2 reference: the error #N/A; correct the formula, or write the value"]
    rows[1][2:] = ["r", "#DIV/0!"]
    (warned,) = opened(workbook(tmp_path, {"A": rows})).warnings
    assert str(warned).startswith("faq.xlsx:2 x: left out: the error #DIV/0!;")


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"id,input\na,q\n", "faq.xlsx: not a workbook; save it in Excel as .xlsx, or as CSV UTF-8"),
        (b"\xd0\xcf\x11\xe0" + bytes(600), "faq.xlsx: a workbook with a password, or of Excel 97 to 2003; save it"),
        (b"", "faq.xlsx: not a workbook;"),
    ],
)
def test_what_is_no_workbook_is_named(tmp_path: Path, data: bytes, said: str) -> None:
    """Whatever the suffix says."""
    file = tmp_path / "faq.xlsx"
    file.write_bytes(data)
    assert problems_of(file)[0].startswith(said)


def test_a_damaged_workbook_is_named(tmp_path: Path) -> None:
    """A part that is missing, torn or no XML, and one that unpacks without end."""
    good = workbook(tmp_path, {"A": ROWS})
    for part, data in (
        ("xl/workbook.xml", b"<no"),
        ("xl/worksheets/sheet1.xml", b"<sheetData><row><c"),
        ("xl/styles.xml", b"<x"),
    ):
        bad = tmp_path / "bad.xlsx"
        with zipfile.ZipFile(good) as old, zipfile.ZipFile(bad, "w") as new:
            for each in old.namelist():
                new.writestr(each, data if each == part else old.read(each))
        assert problems_of(bad)[0].startswith("bad.xlsx: cannot be read as a workbook: ")
    with zipfile.ZipFile(tmp_path / "bomb.xlsx", "w", zipfile.ZIP_DEFLATED) as new:
        new.writestr("[Content_Types].xml", b" " * (80 << 20))
    assert "more than 400 times its size" in problems_of(tmp_path / "bomb.xlsx")[0]


@pytest.mark.parametrize(
    ("cell", "said"), [(b"<row/>", "about 2 million cells or more"), (b" " * 20, "it unpacks to .* more than 1 MiB")]
)
def test_a_sheet_without_end_is_refused_before_it_is_parsed(
    tmp_path: Path, cell: bytes, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The reader of workbooks may read a whole sheet before its first row."""
    limits = {"_MOST_BYTES": 1 << 20, "_MOST_TAGS": 50_000, "_opened": None}
    for name, value in limits.items():
        monkeypatch.setattr(f"evalkit.golden.workbook.{name}", value)
    with zipfile.ZipFile(tmp_path / "g.xlsx", "w", zipfile.ZIP_DEFLATED) as packed:
        packed.writestr("[Content_Types].xml", "")
        packed.writestr("xl/worksheets/sheet1.xml", cell * 60_000)
    assert re.search(said, problems_of(tmp_path / "g.xlsx")[0])


def test_without_openpyxl_the_fix_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The extra is named before anything is imported."""
    known = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "openpyxl" else known(name))
    assert problems_of(workbook(tmp_path, {"A": ROWS})) == [
        "faq.xlsx: needs the openpyxl package, which is not installed; "
        "run `pip install 'openpyxl<4'`, or save the sheet as CSV UTF-8"
    ]


@pytest.mark.parametrize("suffix", [".xls", ".ods"])
def test_other_spreadsheets_are_told_how_to_be_saved(tmp_path: Path, suffix: str) -> None:
    """Formats that are not read."""
    file = tmp_path / f"faq{suffix}"
    file.write_bytes(b"")
    assert f"unknown kind of file '{suffix}'; save it as .xlsx or as CSV UTF-8; use " in problems_of(file)[0]
