"""Write a suite for a table of cases: which column holds which field, and scorers that fit the fields."""

from __future__ import annotations

import json
import os
import re
import shlex
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from evalkit.disk.paths import shown_path
from evalkit.errors import InputError, Problem, what_and_fix
from evalkit.formats.yaml_text import parse_data
from evalkit.golden.proposal import MAY_BE_STORED, NO_NAME, Proposal, propose_columns
from evalkit.golden.read import open_golden
from evalkit.golden.rows import header_of
from evalkit.golden.source import GoldenSource

_COHORT = "cohorts."
TAB = "tab"
"""Name of a tab on the command line."""
_FLAGS = ("encoding", "sheet", "separator")
"""Settings of a table that are also flags of `evalkit init`."""
_WORDS = {"\t": TAB}
_NO_COHORTS = "# cohorts: [topic]  # columns to report by"
_SYSTEM = """\
system: {python: BOT}
# or one of these instead:
# system: {http: "http://localhost:8000/ask", body: {question: "{{input}}"}, pick: {text: answer}}
# system: {chat: gpt-4o, system_prompt: "Answer in one sentence."}
# system: {command: [python3, my_system.py]}"""


@dataclass(frozen=True, kw_only=True)
class CaseTable:
    """A file of cases, with settings that the file itself does not show."""

    file: Path
    sheet: str | None = None
    encoding: str | None = None
    separator: str | None = None


@dataclass(frozen=True, kw_only=True)
class TableSuite:
    """A suite for a table.

    Attributes:
        text: The suite.
        columns: The proposed fields and their columns.
        unused: The other columns.
        replays: Whether the table has stored answers, so that no system is called.
        doubts: Warnings about the cells, such as lists that are read as one text.
    """

    text: str
    columns: tuple[Proposal, ...]
    unused: tuple[str, ...]
    replays: bool
    doubts: tuple[Problem, ...]


def suite_of_table(template: str, table: CaseTable, folder: Path, root: Path, called: str) -> TableSuite:
    """Propose the fields of a table and write the suite.

    Args:
        template: a suite with placeholders in capitals.
        table: the file; it must be inside the project.
        folder: target folder of the suite.
        root: the project.
        called: the system's callable, as YAML.

    Raises:
        InputError: the file is outside the project, cannot be read, or has no rows.
    """
    shown = shown_path(table.file)
    if not table.file.resolve().is_relative_to(root):
        raise InputError(Problem(shown, f"outside the project {root}", "copy it into the project"))
    path = Path(os.path.relpath(table.file.resolve(), folder.resolve())).as_posix()
    source = _source(path, table)
    try:
        header = header_of(source, table.file, shown)
    except InputError as error:
        raise InputError(_as_flags(each, folder, table) for each in error.problems) from None
    if not header.names:
        what = (
            "the file has no rows" if table.sheet is None else f"the sheet {table.sheet!r} has no row below its header"
        )
        other = "" if table.sheet is None else ", or name another sheet"
        raise InputError(Problem(shown, what, f"write a header and one row for each case{other}"))
    found = propose_columns(header.names)
    if header.is_cut and (len(header.names) == 1 or any(each.reason == NO_NAME for each in found)):
        what = "the first row names few columns, and none of them for the question: it is probably a title"
        raise InputError(Problem(f"{shown}:1", what, "remove the rows above the header"))
    fields = {each.field for each in found}
    columns = {each.field: each.column for each in found if not each.sure}
    named = _source(path, table, columns=columns, make_ids="id" not in fields)
    cohorts = [field.removeprefix(_COHORT) for field in fields if field.startswith(_COHORT)]
    values = {
        "NAME": json.dumps(re.sub(r"\W+", "-", table.file.stem).strip("-") or "cases", ensure_ascii=False),
        "GOLDEN": "\n".join([*_to_confirm(found), named.line()]),
        "SYSTEM": "system: {replay: golden}" if "output" in fields else _SYSTEM.replace("BOT", called),
        "SCORERS": "\n".join(f"  - {line}" for line in _scorers(fields)),
        "COHORTS": f"cohorts: [{', '.join(_quoted(name) for name in sorted(cohorts))}]" if cohorts else _NO_COHORTS,
    }
    text = re.sub("|".join(values), lambda place: values[place[0]], template)
    try:
        golden = open_golden(named, table.file, shown)
    except InputError as error:
        raise InputError(_as_flags(each, folder, table) for each in error.problems) from None
    used = {each.column for each in found}
    unused = tuple(name for name in header.names if name.strip() and name not in used)
    return TableSuite(text=text, columns=found, unused=unused, replays="output" in fields, doubts=golden.warnings)


def _quoted(name: str) -> str:
    return name if re.fullmatch(r"[^\W\d]\w*", name) else json.dumps(name, ensure_ascii=False)


def _to_confirm(found: Iterable[Proposal]) -> Iterator[str]:
    """Yield a comment for each column whose meaning is unclear."""
    for each in found:
        if each.reason in (MAY_BE_STORED, NO_NAME):
            yield f"# {each.column!r}: {each.reason}"


def _source(path: str, table: CaseTable, **more: object) -> GoldenSource:
    try:
        return GoldenSource(
            path=path,
            sheet=table.sheet,
            encoding=table.encoding,
            separator=table.separator,
            **more,  # type: ignore[arg-type]
        )
    except ValueError as error:
        key, _, text = str(error).partition(": ")
        raise InputError(Problem(f"--{key}" if key in _FLAGS else key, *what_and_fix(text))) from None


def _scorers(fields: set[str]) -> Iterator[str]:
    """Yield scorers that need no fields other than those of the table."""
    listed = bool(fields & {"required", "forbidden"})
    if listed:
        yield _noted("keywords", "reads `required` and `forbidden` of each case")
    if "reference" in fields:
        limit = "advisory: true" if listed else "min: 0.5"
        yield _noted(f"token_f1: {{{limit}}}", "words shared with the expected answer")
        yield _noted("similarity: {advisory: true}", "shown, without effect on the decision")
    elif "checks" in fields:
        yield _noted("exact: {when: {has: reference}}", "`equals`; other assertions are checks of their case")
    elif not listed:
        yield _noted("length: {min: 1, max: 4000}", "no column has an expected answer: add scorers for what you expect")


def _noted(scorer: str, note: str) -> str:
    return f"{scorer:<31} # {note}"


def _as_flags(problem: Problem, folder: Path, table: CaseTable) -> Problem:
    """Name flags of `evalkit init` in a fix that names settings of `golden:`, because there is no suite yet."""

    def as_command(found: re.Match[str]) -> str:
        line = found[1].encode()
        given = parse_data(line, "", len(line))[0]["golden"]
        if not isinstance(given, Mapping) or not set(given) & set(_FLAGS):
            return found[0]
        flags = [word for key in _FLAGS if key in given for word in (f"--{key}", _WORDS.get(given[key], given[key]))]
        return f"`{shlex.join(['evalkit', 'init', str(folder), '--from', str(table.file), *map(str, flags)])}`"

    return replace(problem, fix=re.sub(r"`(golden: (?:\{.*?\}|.+?))`", as_command, problem.fix))
