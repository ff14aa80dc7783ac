"""Read the table that promptfoo writes as CSV: columns of variables, then one of answers for each prompt and provider.

Source: promptfoo, `src/util/eval/evalTableUtils.ts` (columns `Status`, `Score` ... beside each answer), and
`src/util/index.ts` of earlier versions (`[PASS] (1.00) answer` in one cell).
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from evalkit.golden.json_lines import STRICT
from evalkit.golden.source_file import SourceFile
from evalkit.imports.ids_and_fields import is_number
from evalkit.imports.imported import Imported, ImportedSystem, StoredOutput
from evalkit.imports.promptfoo_results import distinct, metric_field
from evalkit.imports.promptfoo_tests import FoundTest, ReadTest, ReadTests, title_of
from evalkit.text.escaping import on_one_line

_STATUS, _REASON, _COMMENT = ("Status", "Score", "Named Scores"), "Grader Reason", "Comment"
_METRIC = "Metric: "
_OF_ATTACKS = ("Messages", "RedteamHistory", "RedteamTreeHistory", "pluginId", "strategyId", "sessionId", "sessionIds")
"""Columns at the end of the table of an attack; `pluginId` and `strategyId` say which attack it is."""
_KINDS_OF_ATTACK = ("pluginId", "strategyId")
_KNOWN = ("", "PASS", "FAIL", "ERROR")
_MARK = re.compile(r"\[(PASS|FAIL|ERROR)\](?:\s|$)")
_SCORED = re.compile(r"\[(?:PASS|FAIL|ERROR)\] \((-?[0-9]+\.[0-9]{2}|undefined)(?=\)|, )")
_NAMED = re.compile(r"([^\n]+?): (-?[0-9]+\.[0-9]{2})(?:, |$)")
_UNDEFINED = "undefined"
"""What promptfoo writes for a score that it does not have."""
_SHOWN = 20
"""Characters of a cell that a message repeats."""
_MOST_NAMED = 10_000
"""Characters of the scores of metrics in a cell."""
_PROVIDER = re.compile(r"\[([^\]\n]+)\](?:\s|$)")
_FORMULA = re.compile(r"[\s\u200b-\u200d]*[=@+-]")
_QUOTED = re.compile(r"'[\s\u200b-\u200d]*[=@+-]")
"""A cell that a spreadsheet would read as a formula has a quote before it."""
_NUMBER = re.compile(r"\s*[+-]?(?:[0-9]{1,300}\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]{1,2})?\s*")
_HEAD = re.compile(rb"Status,Score,Named Scores|\[(?:PASS|FAIL|ERROR)\][ \n\"]")


class _Cell(NamedTuple):
    """One answer, as a cell and the columns beside it say."""

    text: str
    status: str
    """`PASS`, `FAIL` or `ERROR`; empty if the prompt was not run."""
    score: float | None
    named: Mapping[str, float]
    reason: str
    comment: str
    unmarked: bool = False
    """Whether the cell holds text without a verdict."""
    unread: tuple[str, ...] = ()
    """What is given as a score and is not a number."""


@dataclass(frozen=True)
class _Answers:
    """The columns of one prompt and provider."""

    name: str
    column: str
    beside: Mapping[str, str] = field(default_factory=dict)
    """Name in the header -> column."""


@dataclass(frozen=True)
class _Layout:
    """What the columns of a table are."""

    variables: Mapping[str, str]
    """Column -> variable."""
    answers: Sequence[_Answers]
    description: str | None
    attack: Mapping[str, str]
    """Name in the header -> column."""
    scored: bool
    """Whether the cells of answers hold scores."""
    quoted: bool
    """Whether cells that look like formulas have a quote before them."""


def is_table_head(head: bytes) -> bool:
    """Tell whether a file may be such a table, by its first bytes."""
    return _HEAD.search(head) is not None


def is_table(source: SourceFile) -> bool:
    """Tell whether a file is such a table."""
    return source.kind == "table" and bool(source.rows) and bool(_answers_of(source))


def read_table(source: SourceFile, limit: int | None = None) -> Imported:
    """Read a table: each column of answers is a system whose outputs are stored.

    Rows with equal variables are repeats if each occurs as often as every other, else cases of their own. A table holds
    no assertions, which is a loss.
    """
    layout = _layout(source)
    reader = ReadTests(source, stored=True)
    fix = "import the config for them, or the results that `promptfoo eval -o results.json` writes"
    reader.lose(source.shown, "a table in CSV holds verdicts and no assertions, so nothing decides in the suite", fix)
    if layout.quoted:
        what = "the quote before cells that begin with =, @, + or - is promptfoo's own: it is left out"
        reader.lose(source.shown, what, "export with PROMPTFOO_DISABLE_CSV_FORMULA_ESCAPING=true to have them as is")
    for name in layout.attack:
        if name not in _KINDS_OF_ATTACK and any(row.get(layout.attack[name]) for row in source.rows):
            reader.lose(source.shown, f"the column `{name}` is not read", "import the results in JSON")
    outputs: dict[int, list[StoredOutput]] = {number: [] for number, _ in enumerate(layout.answers)}
    seen: dict[str, ReadTest | None] = {}
    tests = [_test(row, layout) for row in source.rows]
    keys = _keys(reader, tests)
    repeats: Counter[tuple[int, str]] = Counter()
    n_unmarked = 0
    for at, row in enumerate(source.rows):
        test, key = tests[at], keys[at]
        if key not in seen:
            if limit is not None and len(seen) >= limit:
                continue
            options = {"disableVarExpansion": True}
            read = reader.read(FoundTest(source, (at,), {**test, "options": options}), {}, f"test-{len(seen) + 1}")
            seen[key] = read[0] if read else None
        if (case := seen[key]) is None:
            continue
        for number, answers in enumerate(layout.answers):
            cell, place = _cell(row, answers, layout), source.at(at, on_one_line(answers.name)[:60])
            _lose(reader, cell, place)
            n_unmarked += cell.unmarked
            if cell.status or cell.text:
                repeat = repeats[number, case.id]
                repeats[number, case.id] += 1
                outputs[number].append(_stored(cell, place, case.id, repeat))
    systems = [
        ImportedSystem(name=_provider(answers.name), place=source.shown, outputs=tuple(outputs[number]))
        for number, answers in enumerate(layout.answers)
    ]
    reader.fields()
    n_outputs = n_unmarked + sum(map(len, outputs.values()))
    return reader.imported("promptfoo results", title_of({}, source), distinct(systems), found={"output": n_outputs})


def _lose(reader: ReadTests, cell: _Cell, place: str) -> None:
    """Note what is not carried over of one answer."""
    if cell.status not in _KNOWN:
        reader.lose(place, f"the status {cell.status[:20]!r}", f"it is one of {', '.join(_KNOWN[1:])}", "output")
    if cell.unmarked:
        reader.lose(place, "it begins with none of [PASS], [FAIL] and [ERROR]", "write the verdict there", "output")
    for what in cell.unread:
        reader.lose(place, what, "it is left out; write a number, or leave it blank")


def _keys(reader: ReadTests, tests: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return the key of the case of each row: rows with one key are repeats.

    Equal rows have one key only if each occurs as often as every other: a suite repeats all of its cases.
    """
    keys = [json.dumps(test, sort_keys=True) for test in tests]
    counts = Counter(keys)
    if len(set(counts.values())) <= 1:
        return keys
    n = len(keys) - len(counts)
    one, more = "row has the variables of another one: it is", "rows have the variables of others: each is"
    what = f"{n:,} {one if n == 1 else more} a case of its own"
    reader.lose(reader.source.shown, what, "repeat every test equally often to have them as repeats")
    return [f"{at} {key}" for at, key in enumerate(keys)]


def _layout(source: SourceFile) -> _Layout:
    answers = _answers_of(source)
    taken = {column for each in answers for column in (each.column, *each.beside.values())}
    columns = [*source.columns]
    last = max((columns.index(column) for column in taken), default=0)
    attack = {
        name: column for column, name in source.columns.items() if name in _OF_ATTACKS and columns.index(column) > last
    }
    described = columns[0] if source.columns[columns[0]] == "Description" else None
    left = taken | {*attack.values(), described}
    marked = [cell for each in answers for cell in _cells(source, each.column) if _MARK.match(cell)]
    return _Layout(
        variables={column: name for column, name in source.columns.items() if column not in left},
        answers=answers,
        description=described,
        attack=attack,
        scored=all(_scored(cell) is not None for cell in marked),
        quoted=any("Status" in each.beside for each in answers) and _is_quoted(source),
    )


def _answers_of(source: SourceFile) -> list[_Answers]:
    """Return the columns of answers.

    Each is before `Status`, `Score` ..., or has a verdict in every cell. Under the name of a provider or a prompt, one
    cell with a verdict is enough.
    """
    columns, names = [*source.columns], [*source.columns.values()]
    found = []
    for at, column in enumerate(columns):
        if tuple(names[at + 1 : at + 4]) == _STATUS:
            end = next((to for to in range(at + 4, len(names)) if names[to] == _COMMENT), at + 3)
            beside = dict(zip(names[at + 1 : end + 1], columns[at + 1 : end + 1], strict=True))
            found.append(_Answers(names[at], column, beside))
    if found:
        return found
    for at, column in enumerate(columns):
        cells = _cells(source, column)
        marked = [_MARK.match(cell) is not None for cell in cells]
        if cells and (all(marked) or (any(marked) and _is_prompt(names[at]))):
            known = names[at + 1 : at + 3] == [_REASON, _COMMENT]
            beside = {_REASON: columns[at + 1], _COMMENT: columns[at + 2]} if known else {}
            found.append(_Answers(names[at], column, beside))
    return found


def _is_prompt(header: str) -> bool:
    """Tell whether a header names a provider and a prompt, and so not a variable."""
    return _PROVIDER.match(header) is not None or "{{" in header


def _cells(source: SourceFile, column: str) -> list[str]:
    """Return the cells of a column that are not blank."""
    return [cell for row in source.rows if isinstance(cell := row.get(column), str) and cell.strip()]


def _is_quoted(source: SourceFile) -> bool:
    """Tell whether cells like `=x` have a quote before them: some do, and none is without."""
    cells = [cell for row in source.rows for cell in row.values() if isinstance(cell, str)]
    plain = any(_FORMULA.match(cell) and not _NUMBER.fullmatch(cell) for cell in cells)
    return not plain and any(map(_QUOTED.match, cells))


def _test(row: Mapping[str, Any], layout: _Layout) -> dict[str, Any]:
    """Return the test of a row as a config has it."""
    said = {name: _unquoted(row, column, layout) for column, name in layout.variables.items()}
    kinds = {name: text for name in _KINDS_OF_ATTACK if (text := row.get(layout.attack.get(name, "")))}
    title = row.get(layout.description) if layout.description else None
    return {"vars": said, "metadata": kinds, **({"description": title} if title else {})}


def _unquoted(row: Mapping[str, Any], column: str, layout: _Layout) -> str:
    text = row.get(column) or ""
    return text[1:] if layout.quoted and _QUOTED.match(text) else text


def _cell(row: Mapping[str, Any], answers: _Answers, layout: _Layout) -> _Cell:
    beside = {name: _unquoted(row, column, layout) for name, column in answers.beside.items()}
    text = _unquoted(row, answers.column, layout)
    reason, comment = beside.get(_REASON, ""), beside.get(_COMMENT, "")
    if "Status" in beside:
        named, unread = _named(beside["Named Scores"])
        score = _score(beside["Score"])
        return _Cell(
            text,
            beside["Status"],
            score,
            named,
            reason,
            comment,
            unread=(*_no_number(beside["Score"], score), *unread),
        )
    mark = _MARK.match(text)
    if mark is None:
        return _Cell("", "", None, {}, reason, comment, unmarked=bool(text.strip()))
    scored = _scored(text) if layout.scored else None
    if scored is None:
        return _Cell(text[len(f"[{mark[1]}] ") :], mark[1], None, {}, reason, comment)
    written, metrics, rest = scored
    said = rest.removeprefix(" ")
    if said.startswith("\n\n"):
        before, given, why = said[2:].rpartition("\n\nPass Reason: " if mark[1] == "PASS" else "\n\nFail Reason: ")
        said, reason = (before, why) if given else (why, reason)
    score = _score(written)
    unread = _no_number("" if written == _UNDEFINED else written, score)
    named, left = _listed(metrics)
    if left:
        unread = (*unread, f"the named scores {left[:_SHOWN]!r} are not numbers")
    return _Cell(said, mark[1], score, named, reason, comment, unread=unread)


def _listed(metrics: str) -> tuple[dict[str, float], str]:
    """Return the scores in `tone: 0.50, facts: 1.00`, and the rest from what is not one."""
    at, named = 0, {}
    while (found := _NAMED.match(metrics, at)) is not None:
        named[found[1]] = float(found[2])
        at = found.end()
    return named, metrics[at:]


def _scored(text: str) -> tuple[str, str, str] | None:
    """Return the score of a cell, the scores of metrics after it, and the rest; `None` for a cell without a score.

    The scores of metrics go to the end of their line, so a name may hold any character but a line break.
    """
    found = _SCORED.match(text)
    if found is None:
        return None
    after = text[found.end() :]
    if after.startswith(")"):
        return found[1], "", after[1:]
    line, _, _ = after[: _MOST_NAMED + 1].partition("\n")
    if len(line) > _MOST_NAMED or not line.endswith(")"):
        return None
    return found[1], line[2:-1], after[len(line) :]


def _score(text: str) -> float | None:
    value = float(text) if _NUMBER.fullmatch(text) else None
    return value if is_number(value) else None


def _no_number(text: str, value: float | None) -> tuple[str, ...]:
    """Return that a score is not a number, if it is not blank."""
    return (f"the score {text[:_SHOWN]!r} is not a number",) if value is None and text.strip() else ()


def _named(text: str) -> tuple[dict[str, float], tuple[str, ...]]:
    """Return the scores of metrics, which are JSON in a cell, and what of it is not a number."""
    if not text.strip():
        return {}, ()
    try:
        value = STRICT.decode(text)
    except (ValueError, RecursionError):
        value = None
    if not isinstance(value, Mapping):
        return {}, (f"the named scores {text[:_SHOWN]!r} are not a JSON object of numbers",)
    unread = (f"the named score {name[:_SHOWN]!r} is not a number" for name in value if not is_number(value[name]))
    return {name: float(score) for name, score in value.items() if is_number(score)}, tuple(unread)


def _provider(header: str) -> str:
    found = _PROVIDER.match(header)
    return found[1][:100] if found else "system"


def _stored(cell: _Cell, place: str, case_id: str, repeat: int) -> StoredOutput:
    recorded: dict[str, Any] = {metric_field(name): value for name, value in cell.named.items()}
    if cell.score is not None:
        recorded["score"] = cell.score
    if cell.status in _KNOWN[1:]:
        known = {"reason": cell.reason, "comment": cell.comment}
        recorded["pass"] = {"value": cell.status == "PASS", **{key: text for key, text in known.items() if text}}
    failure = (cell.text or cell.reason or "the call failed")[:2000] if cell.status == "ERROR" else None
    return StoredOutput(
        place=place,
        case_id=case_id,
        repeat=repeat,
        output=None if failure else {"text": cell.text},
        failure=failure,
        recorded=recorded,
    )
