"""Stream the rows of a sheet of an Excel workbook as text, through openpyxl."""

from __future__ import annotations

import datetime
import importlib.util
import itertools
import warnings
import zipfile
import zlib
from collections.abc import Iterable, Iterator, Sequence
from difflib import get_close_matches
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO

from evalkit.disk.files import MAX_RATIO, open_file, unpacked_limit
from evalkit.errors import InputError, Problem
from evalkit.golden.cells import number_text
from evalkit.golden.header import RawTable, named_columns, named_row
from evalkit.golden.json_lines import Note, RawRow, Unreadable
from evalkit.golden.source import GoldenSource
from evalkit.text.escaping import cut

_FOREIGN = "save it in Excel as .xlsx, or as CSV UTF-8"
_TEXT_OF_FORMULA = "str"
"""Type of a cell whose formula gave an empty text."""
_MOST_BYTES = 256 << 20
_MOST_TAGS = 10_000_000
"""Maximum number of tags in a workbook; a cell has four or five."""
_BLOCK = 1 << 20
_COUNTED = 1_000
"""Maximum number of rows to count in a sheet, to propose the longest."""
_NO_VALUE = Unreadable("a formula without a stored value", "open the file in Excel and save it, or write the value")


def read_workbook(path: Path, table: RawTable, source: GoldenSource, note: Note) -> Iterator[RawRow]:
    """Yield the rows of the sheet that the suite names, or of the only one that is not empty.

    The first row that is not empty is the header. Numbers, dates and times become text: see `cell_text`. For a
    formula, the value that the workbook stores is read.

    Raises:
        InputError: the file cannot be opened, or the sheet is not clear.
    """
    if importlib.util.find_spec("openpyxl") is None:
        fix = "run `pip install 'openpyxl<4'`, or save the sheet as CSV UTF-8"
        raise InputError(Problem(table.shown, "needs the openpyxl package, which is not installed", fix))
    _check_size(path, table.shown)
    with path.open("rb") as first, path.open("rb") as second:
        values = _opened(first, table.shown, values=True)
        formulas = _opened(second, table.shown, values=False)
        sheet = _sheet(values, source, table.shown)
        pairs = zip(*(_rows(book[sheet], table.shown) for book in (values, formulas)), strict=True)
        yield from _records((_cells(*pair) for pair in pairs), table, note)


def cell_text(value: Any) -> Any:
    """Return the text of a cell; true, false and None stay as they are.

    A number is written with a point, in full and without trailing zeros, regardless of its format in the sheet. A date
    is written as 2026-01-31, with the time as 2026-01-31T14:30:00; a duration as 26:30:00.
    """
    if isinstance(value, str):
        from openpyxl.utils.escape import unescape

        return unescape(value)  # a carriage return is stored as _x000D_
    if value is None or isinstance(value, bool | Unreadable):
        return value
    if isinstance(value, int | float):
        return number_text(value)
    if isinstance(value, datetime.datetime):
        midnight = value.time() == datetime.time()
        return value.date().isoformat() if midnight else value.isoformat(timespec=_precision(value))
    if isinstance(value, datetime.date):
        return value.isoformat()
    if isinstance(value, datetime.time):
        return value.isoformat(timespec=_precision(value))
    if isinstance(value, datetime.timedelta):
        seconds, milliseconds = divmod(abs(round(value.total_seconds() * 1000)), 1000)
        minutes, seconds = divmod(seconds, 60)
        sign, rest = "-" if value < datetime.timedelta() else "", f".{milliseconds:03}" if milliseconds else ""
        return f"{sign}{minutes // 60:02}:{minutes % 60:02}:{seconds:02}{rest}"
    return Unreadable(f"a value of type {type(value).__name__}")


def _precision(value: datetime.datetime | datetime.time) -> str:
    return "microseconds" if value.microsecond else "seconds"


def _check_size(path: Path, shown: str) -> None:
    """Reject a file that is not a workbook, unpacks to a multiple of its size, or holds more cells than can be read.

    openpyxl may read a whole sheet before its first row, so a limit of rows comes too late.

    Raises:
        InputError: it is.
    """
    try:
        with open_file(path) as file:
            head = file.read(4)
        with zipfile.ZipFile(path) as packed:
            unpacked = sum(each.file_size for each in packed.infolist())
            names = set(packed.namelist())
            most = min(_MOST_BYTES, unpacked_limit(path.stat().st_size))
            n_tags = 0 if unpacked > most else sum(map(partial(_tags, packed), packed.infolist()))
    except (zipfile.BadZipFile, NotImplementedError, zlib.error, EOFError, RuntimeError):
        what = "a workbook with a password, or of Excel 97 to 2003" if head == b"\xd0\xcf\x11\xe0" else "not a workbook"
        raise InputError(Problem(shown, what, _FOREIGN)) from None
    except OSError as error:
        raise InputError(Problem(shown, f"cannot be read: {error.strerror}", "check the file")) from None
    if "[Content_Types].xml" not in names:
        raise InputError(Problem(shown, "not a workbook", _FOREIGN))
    if unpacked > most or n_tags > _MOST_TAGS:
        size = f"more than {MAX_RATIO} times its size" if most < _MOST_BYTES else f"more than {_MOST_BYTES >> 20} MiB"
        what = f"it unpacks to {unpacked:,} bytes, {size}" if unpacked > most else "about 2 million cells or more"
        raise InputError(Problem(shown, what, "save a smaller workbook, or CSV UTF-8"))


def _tags(packed: zipfile.ZipFile, part: zipfile.ZipInfo) -> int:
    """Count the tags of a part that is XML, at most one block more than are read."""
    count = 0
    if part.filename.endswith((".xml", ".rels")):
        with packed.open(part) as file:
            while count <= _MOST_TAGS and (block := file.read(_BLOCK)):
                count += block.count(b"<")
    return count


def _opened(file: BinaryIO, shown: str, *, values: bool) -> Any:
    import openpyxl

    # Parts that the reader does not know, such as rules for data entry, do not affect the values.
    warnings.filterwarnings("ignore", category=UserWarning, module="openpyxl")
    try:
        return openpyxl.load_workbook(file, read_only=True, data_only=values, keep_links=False)
    except Exception as error:
        raise _damaged(error, shown) from None


def _damaged(error: Exception, shown: str) -> InputError:
    """Describe the reader's exception for a damaged part, with a fix for the workbook."""
    what = f"cannot be read as a workbook: {type(error).__name__}: {cut(str(error), 150)}"
    return InputError(Problem(shown, what, _FOREIGN))


def _sheet(book: Any, source: GoldenSource, shown: str) -> str:
    """Return the name of the sheet to read.

    Raises:
        InputError: no sheet has that name, or no sheet is named and several are not empty.
    """
    names: list[str] = [each.title for each in book.worksheets]
    if source.sheet is not None:
        if source.sheet not in names:
            what = f"no sheet {source.sheet!r}, only {', '.join(map(repr, names))}"
            near = get_close_matches(source.sheet, names, n=1, cutoff=0) or names[:1]
            raise InputError(Problem(shown, what, f"write `{source.line(sheet=near[0])}`"))
        return source.sheet
    filled = names if len(names) == 1 else [each for each in names if _is_filled(book[each], shown)]
    if len(filled) > 1:
        what = f"{len(filled)} sheets hold rows: {', '.join(map(repr, filled))}"
        longest = max(filled, key=lambda name: sum(1 for _ in itertools.islice(_rows(book[name], shown), _COUNTED)))
        raise InputError(Problem(shown, what, f"name one, such as `{source.line(sheet=longest)}`"))
    return (filled or names)[0]


def _rows(sheet: Any, shown: str) -> Iterator[tuple[int, Sequence[Any]]]:
    """Yield each row of cells with its number.

    Raises:
        InputError: a part of the sheet is damaged.
    """
    sheet.reset_dimensions()  # those that a file states may be wrong
    try:
        yield from enumerate(sheet.iter_rows(), 1)
    except Exception as error:
        raise _damaged(error, shown) from None


def _is_filled(sheet: Any, shown: str) -> bool:
    return any(cell.value is not None and str(cell.value).strip() for _, row in _rows(sheet, shown) for cell in row)


def _cells(values: tuple[int, Sequence[Any]], formulas: tuple[int, Sequence[Any]]) -> tuple[int, Sequence[Any]]:
    pairs = itertools.zip_longest(values[1], formulas[1])
    return values[0], [_value(cell, formula) for cell, formula in pairs]


def _value(cell: Any, formula: Any) -> Any:
    """Return the text of a cell, or why it cannot be read."""
    value = None if cell is None else cell.value
    if value is not None and cell.data_type == "e":
        return Unreadable(f"the error {value}", "correct the formula, or write the value")
    if value is None and formula is not None and formula.data_type == "f":
        return None if cell is not None and cell.data_type == _TEXT_OF_FORMULA else _NO_VALUE
    return cell_text(value)


def _records(rows: Iterable[tuple[int, Sequence[Any]]], table: RawTable, note: Note) -> Iterator[RawRow]:
    columns: Sequence[tuple[str, str]] | None = None
    for number, cells in rows:
        if not any(str(cell).strip() for cell in cells if cell is not None):
            continue
        if columns is None:
            table.header_line = number
            columns = named_columns([_name(cell) for cell in cells], table, note)
            if not columns:
                return
            continue
        padded = [*cells, *[None] * (len(columns) - len(cells))]
        yield number, named_row(columns, padded, table, number)


def _name(cell: Any) -> str:
    return "" if cell is None or isinstance(cell, Unreadable) else " ".join(str(cell).split())
