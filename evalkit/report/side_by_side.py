"""Print two runs' answers to one case: conversations side by side, turn by turn; other answers one after the other."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from typing import TYPE_CHECKING, Any

from evalkit.formats.json_paths import leaves, shown_path
from evalkit.formats.labelled_text import shown_text
from evalkit.report.marks import Mark, turn_named
from evalkit.report.transcript import Acted, Entry, Hidden, Transcript, held, transcript_of
from evalkit.text.numbers import plural
from evalkit.text.printable import clipped, one_line
from evalkit.types import Message, Row, Score, Unscored

if TYPE_CHECKING:
    from rich.console import Console, Group
    from rich.table import Table
    from rich.text import Text

PRINTED_STEPS = 200
"""Maximum number of steps printed for one conversation."""
SHOWN_PATHS = 20
"""Maximum number of differing paths of the final state that are listed."""
_TEXT_CHARS, _ANSWER_CHARS, _VALUE_CHARS, _REASON_CHARS = 2_000, 4_000, 200, 200
_STEP_INDENT, _RESULT_INDENT = 2, 4


@dataclass(frozen=True)
class _Block:
    """An entry on one side: lines with their indents, and the key by which entries are aligned."""

    key: tuple[str, str]
    lines: tuple[tuple[int, Text], ...]

    @property
    def plain(self) -> tuple[str, ...]:
        """The lines without their styles."""
        return tuple(text.plain for _, text in self.lines)


def print_answers(before: Row | None, after: Row | None, console: Console) -> None:
    """Print the question, and the answers and scores of two runs."""
    known = after or before
    if known is not None:
        name = f"{known.case.id} #{known.repeat}" if known.repeat else known.case.id
        _print_labelled(name, clipped(known.case.question, _TEXT_CHARS), console)
        for reference in known.case.reference:
            _print_labelled("reference", clipped(reference, _TEXT_CHARS), console)
    transcripts = [None if row is None else transcript_of(row, PRINTED_STEPS) for row in (before, after)]
    if any(transcript is not None for transcript in transcripts):
        _print_conversations((before, after), transcripts, console)
        return
    for name, row in (("before", before), ("after", after)):
        console.print()
        _print_labelled(name, _answer(row), console)
        for grade in row.scores.values() if row else ():
            console.print(_text("  ").append_text(_grade_line(grade)))


def _print_labelled(label: str, text: str, console: Console) -> None:
    console.print(_text(f"{label}  ", "bold").append(text, style="not bold"))


def _print_conversations(
    rows: Sequence[Row | None], transcripts: Sequence[Transcript | None], console: Console
) -> None:
    """Print each turn once if it is the same in both runs, else both versions side by side."""
    console.print()
    titles = [_Block(("title", ""), ((0, _text(name, "bold")),)) for name in ("before", "after")]
    console.print(_beside([(titles[0], "", titles[1])]))
    for number in range(1, 1 + max(len(transcript.turns) for transcript in transcripts if transcript is not None)):
        left, right = (_turn(number, row, transcript) for row, transcript in zip(rows, transcripts, strict=True))
        same = [block.plain for block in left] == [block.plain for block in right]
        console.print()
        console.print(
            _text(f"turn {number}", "bold").append("  the same in both" if same else "", style="not bold dim")
        )
        if same:
            for block in left:
                console.print(_cell(block))
        else:
            console.print(_beside(_paired(left, right)))
    console.print()
    console.print(_text("end", "bold"))
    console.print(_beside(_paired(*map(_end, rows))))
    for line in _changed_state(rows):
        console.print(line)


def _turn(number: int, row: Row | None, transcript: Transcript | None) -> list[_Block]:
    """Return the entries of a turn, its marks by scorers, and the failure that ended it."""
    if row is None or transcript is None or number > len(transcript.turns):
        return []
    turn = transcript.turns[number - 1]
    marks = [_Block(("mark", mark.metric), ((0, _mark_line(mark)),)) for mark in turn.marks]
    if not turn.reached:
        return [_Block(("said", "user"), ((0, _text("(not reached)", "dim")),)), *marks]
    failed = row.failure is not None and number == transcript.last
    return [*map(_block, turn.entries), *marks, *([_failure(row)] if failed else [])]


def _failure(row: Row) -> _Block:
    said = f"✗ {row.failure.kind}: {turn_named(row.failure.message)[1]}" if row.failure else ""
    return _Block(("failure", ""), ((0, _text(one_line(said, _REASON_CHARS), "red")),))


def _block(entry: Entry) -> _Block:
    if isinstance(entry, Hidden):
        return _Block(("hidden", ""), ((_STEP_INDENT, _text(f"… {plural(entry.n_steps, 'more step')}", "dim")),))
    if isinstance(entry, Message):
        said = clipped(entry.content, _TEXT_CHARS) or "(empty)"
        return _Block(("said", entry.role), ((0, _text(f"{entry.role}  ", "bold").append(said, style="not bold")),))
    return _Block((entry.step.kind, entry.step.name), tuple(_step_lines(entry)))


def _step_lines(acted: Acted) -> Iterator[tuple[int, Text]]:
    step = acted.step
    head = _text(f"{step.kind} ", "dim").append(one_line(step.name, 80), style="not dim")
    for text in (step.decision, _value(step.arguments) if step.arguments else ""):
        head.append(f" {text}" if text else "", style="not dim")
    yield _STEP_INDENT, head
    if step.error is not None:
        yield _RESULT_INDENT, _text(f"✗ {one_line(step.error, _VALUE_CHARS)}", "red")
    elif step.result is not None:
        yield _RESULT_INDENT, _text(f"→ {_value(step.result)}")
    for mark in acted.marks:
        yield _RESULT_INDENT, _mark_line(mark)


def _value(value: Any) -> str:
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=_jsonable)
    return one_line(text, _VALUE_CHARS)


def _jsonable(value: Any) -> Any:
    return dict(value) if isinstance(value, Mapping) else str(value)


def _mark_line(mark: Mark) -> Text:
    if mark.unscored:
        return _grade_line(Unscored(mark.metric, mark.unscored, mark.reason))
    if mark.value is None:
        return _text(f"✗ {mark.metric}  {one_line(mark.reason, _REASON_CHARS)}", "red")
    return _grade_line(Score(mark.metric, mark.value, mark.passed, mark.reason))


def _end(row: Row | None) -> list[_Block]:
    """Return how a conversation ended, or why there is none, and its scores."""
    output = None if row is None else held(row)
    if row is None or output is None:
        return [_Block(("end", ""), ((0, _text(_answer(row))),))]
    why = output.user_why and f"the user says {output.user_why}"
    known = [output.stop, why, output.fault] if row.failure is None else ["failed", row.failure.kind]
    said = [text for text in known if text] or ["(the system gives no reason)"]
    ended = _Block(("end", ""), ((0, _text(one_line(": ".join(said)))),))
    waits = [_Block(("waits", ""), ((0, _text(f"waits for a person: {_value(output.interrupt)}")),))]
    grades = [_Block(("score", grade.metric), ((0, _grade_line(grade)),)) for grade in row.scores.values()]
    return [ended, *(waits if output.interrupt is not None else []), *grades]


def _changed_state(rows: Sequence[Row | None]) -> Iterator[Text]:
    """Yield a line for each differing path of the final state, if both runs report their state."""
    states = [output.state if row is not None and (output := held(row)) is not None else None for row in rows]
    if states[0] is None or states[1] is None:
        return
    before, after = ({shown_path(path): _value(value) for path, value in leaves(state)} for state in states)
    changed = [path for path in dict.fromkeys((*before, *after)) if before.get(path) != after.get(path)]
    for path in changed[:SHOWN_PATHS]:
        change = f"{before.get(path, '(none)')} → {after.get(path, '(none)')}"
        yield _text("state  ", "bold").append(f"{one_line(path, 80)}  {change}", style="not bold")
    if len(changed) > SHOWN_PATHS:
        yield _text(f"… and {plural(len(changed) - SHOWN_PATHS, 'more path')}", "dim")


_Pair = tuple[_Block | None, str, _Block | None]
"""The old side, the sign of `diff -y`, and the new side."""


def _paired(left: Sequence[_Block], right: Sequence[_Block]) -> list[_Pair]:
    """Align blocks of the same kind and name, with `|` if they differ, and `<` or `>` if one has no counterpart."""
    keys, others = [block.key for block in left], [block.key for block in right]
    pairs: list[_Pair] = []
    for tag, start, end, begin, stop in SequenceMatcher(None, keys, others, autojunk=False).get_opcodes():
        if tag == "equal":
            both = zip(left[start:end], right[begin:stop], strict=True)
            pairs += [(one, "" if one.plain == other.plain else "|", other) for one, other in both]
        else:
            pairs += [(one, "<", None) for one in left[start:end]]
            pairs += [(None, ">", other) for other in right[begin:stop]]
    return pairs


def _beside(pairs: Sequence[_Pair]) -> Table:
    from rich.table import Table

    grid = Table.grid(expand=True, padding=(0, 1, 0, 0))
    grid.add_column(ratio=1, overflow="fold")
    grid.add_column(width=1, style="yellow")
    grid.add_column(ratio=1, overflow="fold")
    for left, sign, right in pairs:
        grid.add_row(_cell(left), sign, _cell(right))
    return grid


def _cell(block: _Block | None) -> Group:
    from rich.console import Group
    from rich.padding import Padding

    return Group(*(Padding(text, (0, 0, 0, indent)) for indent, text in (block.lines if block is not None else ())))


def _answer(row: Row | None) -> str:
    if row is None:
        return "(not in this run)"
    if row.output is None:
        return one_line(f"({row.failure.kind}: {row.failure.message})" if row.failure else f"({row.skipped})")
    return clipped(shown_text(row.output), _ANSWER_CHARS) or "(empty answer)"


def _grade_line(grade: Score | Unscored) -> Text:
    if isinstance(grade, Unscored):
        return _text(f"? {grade.metric} unscored ({grade.kind}) {one_line(grade.message, _REASON_CHARS)}", "magenta")
    mark, style = ("✓", "green") if grade.passed else ("✗", "red") if grade.passed is False else ("·", "")
    return _text(f"{mark} {grade.metric} {grade.value:.3g}  {one_line(grade.reason, _REASON_CHARS)}", style)


def _text(text: str, style: str = "") -> Text:
    from rich.text import Text

    return Text(text, style=style)
