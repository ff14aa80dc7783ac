"""Extract a value from a JSON reply by a path such as `choices[0].message.content` or `documents[*].text`.

jmespath is not used. It returns null for a path that does not exist, and `documents[*].text` skips each document
without a text, so a renamed field of the service would look like fewer passages instead of a failure that names the
step and the value found. It also reads `x-y`, `$.a` and `a['b']` differently or not at all.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

from evalkit.text.values import shown

Pick = Callable[[Any], Any]
_STEP = re.compile(
    r"""\.?(?P<name>[^.\[\]?'"\s]+)|\[(?P<index>-?\d+|\*)\]|\[(?P<quote>['"])(?P<quoted>.*?)(?P=quote)\]"""
)


def compile_path(path: str) -> Pick:
    """Compile a path.

    The steps are `name`, `['any name']`, `[0]`, `[-1]` and `[*]` (every item, as a list); a leading `$` is allowed. A
    path that ends in `?` gives `None` if a step is absent.

    Returns:
        A function from a JSON value to the value at the path; it raises `LookupError`, which names the path, the step
        and the value found.

    Raises:
        ValueError: The path cannot be read.
    """
    steps = _steps(path)

    def pick(value: Any) -> Any:
        try:
            return _follow(value, steps, path)
        except LookupError:
            if path.endswith("?"):
                return None
            raise

    return pick


def _steps(path: str) -> tuple[str | int, ...]:
    rest = path.removesuffix("?").removeprefix("$")
    steps: list[str | int] = []
    at = 0
    while at < len(rest):
        found = _STEP.match(rest, at)
        if not found:
            raise ValueError(f"`{path}` cannot be read from `{rest[at:]}`; write a path such as `choices[0].text`")
        index, name = found["index"], found["name"]
        # The type of the step distinguishes `[*]` from a key called "*".
        steps.append(_EVERY if index == "*" else int(index) if index else name if name else found["quoted"])
        at = found.end()
    return tuple(steps)


class _Every(str):
    __slots__ = ()


_EVERY = _Every("[*]")


def _follow(value: Any, steps: tuple[str | int, ...], path: str) -> Any:
    for at, step in enumerate(steps):
        if step is _EVERY:
            if not isinstance(value, list):
                raise LookupError(f"{path}: `[*]` needs a list, there is {shown(value)}")
            return [_follow(item, steps[at + 1 :], path) for item in value]
        if isinstance(step, int):
            if not isinstance(value, list) or not -len(value) <= step < len(value):
                there = f"a list of {len(value)}" if isinstance(value, list) else shown(value)
                raise LookupError(f"{path}: no item [{step}], there is {there}")
            value = value[step]
        else:
            if not isinstance(value, Mapping) or step not in value:
                raise LookupError(f"{path}: no `{step}`, there is {shown(value)}")
            value = value[step]
    return value
