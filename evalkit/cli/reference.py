"""Generate the reference from the program: commands, suite keys, systems, checks, scorers, exit codes."""

from __future__ import annotations

import ast
import dataclasses
import inspect
import itertools
import re
import textwrap
from collections.abc import Iterator
from typing import Any, get_args

from evalkit.formats.build import hints_of, is_required, key_of
from evalkit.gate.policy import CHECKS, Threshold
from evalkit.golden.variants.transforms import TRANSFORMS
from evalkit.runner.case_checks import MOST_CHECKS, RULES
from evalkit.scorers.base import Abbreviated, Concerned
from evalkit.scorers.registry import LOCAL_JUDGE, SCORERS, scorer_class
from evalkit.suite.model import SuiteOptions
from evalkit.systems import SYSTEMS

SCORERS_HEAD = """\
In a suite each is `name`, `name: value` or
`name: {options}`. Every scorer also takes:

- `when: {...}`: which cases it applies to
- `advisory: true`: it is shown, but does not affect the decision
- `concern: quality`, `safety` or `privacy`: the section of the release decision that shows its checks

`not_` before the name of a pass/fail scorer negates it.
"""
CASE_CHECKS = f"""\
The field `checks` of a golden row is a list of scorers, written as in a suite, that grade only the answer to that
case: `{{"checks": [{{"contains": "9.80 EUR"}}, {{"not_contains": "free"}}]}}`. They make one pass/fail metric,
`checks`, which an answer passes if it passes all of them.

A row has at most {MOST_CHECKS}, and may use: {", ".join(f"`{name}`" for name in RULES)}.
"""
EXIT_CODES = """\
| code | meaning |
| --- | --- |
| 0 | approved, with or without conditions |
| 1 | blocked by the gate |
| 2 | invalid suite, data, flags or baseline |
| 3 | no decision: too little was scored, a judge is not trusted where it is gated, or the run was partial |
| 4 | a bug in evalkit, the disk failed, or the process ended before the decision was complete |
| 5 | the selection matches no case |
| 129, 130, 143 | stopped by SIGHUP, Ctrl-C or SIGTERM; `--resume` continues the run |
"""


def reference() -> str:
    """Build the reference as one Markdown page."""
    parts = [
        "# Reference\n\nPrinted by `evalkit docs`, from the program itself.\n",
        "## Commands\n",
        *_commands(),
        "## Suite\n\nA YAML file with these keys:\n",
        _options(SuiteOptions),
        "## Systems\n\nUnder `system:`, one of:\n",
        *(_class(name, cls) for name, cls in SYSTEMS.items()),
        "## Checks\n\nUnder `gate:`, a list. Any other key is a metric with `min` or `max`:\n",
        *(_class(name, cls) for name, cls in [("METRIC", Threshold), *CHECKS.items()]),
        f"## Scorers\n\nUnder `scorers:`, a list. {SCORERS_HEAD}",
        *(scorer_section(name, target, "###") for name, target in scorers()),
        "## Checks of a single case\n",
        CASE_CHECKS,
        "## Variants\n\nUnder `variants:`, a list of names or of "
        "`{NAME: {...}, of: {kind: golden}, per_case: 1, n: 100, severity: high}`:\n",
        *(_class(name, cls) for name, cls in TRANSFORMS.items()),
        "## Exit codes\n",
        EXIT_CODES,
    ]
    return "\n".join(part.rstrip() + "\n" for part in parts)


def scorers() -> list[tuple[str, str]]:
    """Return every shipped scorer with its class, the local judge last."""
    return [*sorted(SCORERS.items()), ("judge, with `judge: {local: correctness}`", LOCAL_JUDGE)]


def scorer_section(name: str, target: str, level: str) -> str:
    """Describe one scorer: its docstring and its options."""
    cls = scorer_class(target)
    lines = [f"{level} {name}\n", inspect.cleandoc(cls.__doc__ or ""), ""]
    if isinstance(cls, Abbreviated):
        option = next(key_of(field) for field in dataclasses.fields(cls) if field.name == cls.shorthand)
        lines.append(f"`{name.split(',')[0]}: value` sets `{option}`.\n")
    if isinstance(cls, Concerned) and cls.concern != "quality":
        lines.append(f"Its checks appear under {cls.concern} in the release decision.\n")
    fields = [field for field in dataclasses.fields(cls) if field.name != "name" and field.init]
    if fields:
        lines += ["| option | type | default |", "| --- | --- | --- |"]
        lines += [row for field in fields for row in _rows(cls, field)]
    return "\n".join(lines).rstrip() + "\n"


def _commands() -> Iterator[str]:
    from evalkit.cli.commands import COMMANDS, command

    for name in sorted(COMMANDS):
        found = command(name)
        for words, each in [(name, found), *((f"{name} {inner}", one) for inner, one in _inner(found))]:
            yield _command(f"evalkit {words}", each)


def _inner(command: Any) -> list[tuple[str, Any]]:
    return sorted(getattr(command, "commands", {}).items())


def _command(words: str, command: Any) -> str:
    lines = [f"### {words}\n", inspect.cleandoc(command.help or ""), ""]
    params = [each for each in command.params if each.name != "help" and not getattr(each, "hidden", False)]
    if params:
        lines += ["| argument or option | meaning |", "| --- | --- |"]
        for each in params:
            names = ", ".join([*each.opts, *each.secondary_opts]) if each.param_type_name == "option" else each.name
            lines.append(f"| `{names}` | {_cell(getattr(each, 'help', None) or '')} |")
    return "\n".join(lines)


def _class(name: str, cls: type[Any]) -> str:
    return f"### {name}\n\n{inspect.cleandoc(cls.__doc__ or '')}\n\n{_options(cls)}"


def _options(cls: type[Any]) -> str:
    """Build a table of a dataclass's fields, with their docstrings."""
    said = _field_texts(cls)
    lines = ["| key | type | default | meaning |", "| --- | --- | --- | --- |"]
    for field in dataclasses.fields(cls):
        if field.init and not field.name.startswith("_"):
            kind, default = _type(cls, field.name).replace("|", "\\|"), _default(field)
            lines.append(f"| `{key_of(field)}` | {kind} | {default} | {_cell(said.get(field.name, ''))} |")
    return "\n".join(lines)


def _field_texts(cls: type[Any]) -> dict[str, str]:
    found: dict[str, str] = {}
    for owner in reversed(cls.__mro__[:-1]):
        if not dataclasses.is_dataclass(owner):
            continue
        body = ast.parse(textwrap.dedent(inspect.getsource(owner))).body[0].body  # type: ignore[attr-defined]
        for field, text in itertools.pairwise(body):
            if isinstance(field, ast.AnnAssign) and isinstance(field.target, ast.Name) and isinstance(text, ast.Expr):
                found[field.target.id] = str(ast.literal_eval(text.value))
    return found


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")


def _rows(cls: type[Any], field: dataclasses.Field[Any], prefix: str = "") -> list[str]:
    """Return one row for each option, and for each key of a mapping."""
    hint: Any = hints_of(cls)[field.name]  # type: ignore[arg-type]
    inner = next((part for part in get_args(hint) if dataclasses.is_dataclass(part)), None)
    if isinstance(inner, type):
        return [row for each in dataclasses.fields(inner) for row in _rows(inner, each, f"{key_of(field)}.")]
    return [f"| `{prefix}{key_of(field)}` | {_type(cls, field.name)} | {_default(field)} |"]


def _type(cls: type[Any], field: str) -> str:
    hint: Any = hints_of(cls)[field]  # type: ignore[arg-type]
    text = hint.__name__ if isinstance(hint, type) and not hasattr(hint, "__args__") else str(hint)
    text = re.sub(r"\bevalkit\.[a-z_.]*\.", "", text)
    return text.replace("typing.", "").replace("collections.abc.", "").replace("|", "or")


def _default(field: dataclasses.Field[Any]) -> str:
    if is_required(field):
        return "required"
    made: Any = field.default_factory
    value = made() if field.default is dataclasses.MISSING else field.default
    return "none" if value in (None, (), {}, "") else f"`{value}`".replace("|", "\\|")
