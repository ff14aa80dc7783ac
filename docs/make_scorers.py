"""Write docs/scorers.md from the scorers' own docstrings and fields, and docs/suite.schema.json from the dataclasses.

python docs/make_scorers.py
"""

import dataclasses
import inspect
import json
from pathlib import Path
from typing import get_args

from evalkit.scorers.registry import LOCAL_JUDGE, SCORERS, scorer_class
from evalkit.suite.build import hints_of, is_required, key_of
from evalkit.suite.schema import suite_schema

HERE = Path(__file__).parent
HEAD = """\
# Scorers

Written by `python docs/make_scorers.py` from the scorers themselves. In a suite each is `name`, `name: value` or
`name: {options}`. Every scorer also takes:

- `when: {...}`: which cases it applies to
- `advisory: true`: it is shown, but does not affect the decision
- `concern: quality`, `safety` or `privacy`: the section of the release decision that shows its checks

`not_` before the name of a pass/fail scorer negates it.
"""


def scorers_page() -> str:
    """The page, one section a scorer."""
    judge = ("judge, with `judge: {local: correctness}`", LOCAL_JUDGE)
    return HEAD + "".join(_section(name, target) for name, target in [*sorted(SCORERS.items()), judge])


def _section(name: str, target: str) -> str:
    cls = scorer_class(target)
    lines = [f"\n## {name}\n", inspect.cleandoc(cls.__doc__ or ""), ""]
    if shorthand := getattr(cls, "shorthand", None):
        lines.append(f"`{name.split(',')[0]}: value` sets `{shorthand}`.\n")
    if (concern := getattr(cls, "concern", "quality")) != "quality":
        lines.append(f"Its checks appear under {concern} in the release decision.\n")
    fields = [field for field in dataclasses.fields(cls) if field.name != "name" and field.init]
    if fields:
        lines += ["| option | type | default |", "| --- | --- | --- |"]
        lines += [row for field in fields for row in _rows(cls, field)]
    return "\n".join(lines).rstrip() + "\n"


def _rows(cls: type, field: dataclasses.Field, prefix: str = "") -> list[str]:
    """One row an option; those of a mapping each have their own."""
    hint = hints_of(cls)[field.name]
    inner = next((part for part in get_args(hint) if dataclasses.is_dataclass(part)), None)
    if inner is not None:
        return [row for each in dataclasses.fields(inner) for row in _rows(inner, each, f"{key_of(field)}.")]
    return [f"| `{prefix}{key_of(field)}` | {_type(cls, field.name)} | {_default(field)} |"]


def _type(cls: type, field: str) -> str:
    hint = hints_of(cls)[field]
    text = hint.__name__ if isinstance(hint, type) and not hasattr(hint, "__args__") else str(hint)
    return text.replace("typing.", "").replace("collections.abc.", "").replace("|", "or")


def _default(field: dataclasses.Field) -> str:
    if is_required(field):
        return "required"
    value = field.default if field.default is not dataclasses.MISSING else field.default_factory()
    return "none" if value in (None, (), {}, "") else f"`{value}`".replace("|", "\\|")


def schema_text() -> str:
    """The JSON Schema of a suite as a file."""
    return json.dumps(suite_schema(), indent=1) + "\n"


if __name__ == "__main__":
    (HERE / "scorers.md").write_text(scorers_page(), encoding="utf-8")
    (HERE / "suite.schema.json").write_text(schema_text(), encoding="utf-8")
