"""Address values in JSON by paths such as `items[0].price`."""

from __future__ import annotations

import functools
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from evalkit.formats.json_values import equal_json, json_text

Path = tuple[str | int, ...]
Pattern = tuple[str, ...]
"""Parts of a written path; `*` is any one key or index."""
MISSING: Any = object()
"""The value of a path that leads nowhere."""
_PART = re.compile(r"""\.?([^.\[\]"]+)|\[(\d+|\*)\]|\["([^"]*)"\]|\['([^']*)'\]""")
_PLAIN = re.compile(r"""[^.\[\]"]+""")


@functools.lru_cache(maxsize=1_000)
def path_pattern(option: str, text: str) -> Pattern:
    """Return the parts of a path; `["a.b"]` or `['a.b']` is a single key.

    Args:
        option: option that holds the path, for the message.
        text: path such as `address.zip`, `items[*].price` or `orders["A.17"].status`; it may begin with `$`.

    Raises:
        ValueError: it is not a path.
    """
    parts, at = [], 0
    if text == "$" or text.startswith(("$.", "$[")):
        text = text.removeprefix("$").removeprefix(".")
    while at < len(text):
        found = _PART.match(text, at)
        if found is None:
            raise ValueError(f"{option}: {text!r} is not a path; write one such as address.zip or items[*].price")
        parts.append(next(part for part in found.groups() if part is not None))
        at = found.end()
    return tuple(parts)


def single_path(option: str, text: str) -> Pattern:
    """Return the parts of the path of one value.

    Raises:
        ValueError: it is not a path, is empty, or has `*` in it.
    """
    pattern = path_pattern(option, text)
    if not pattern or "*" in pattern:
        raise ValueError(f"{option}: {text!r} is not the path of one value; write one such as orders.A-17.status")
    return pattern


def is_within(path: Path, patterns: Sequence[Pattern]) -> bool:
    """Return True if a path is one of the patterns, or below one."""
    return any(
        len(path) >= len(pattern) and all(part in ("*", str(key)) for part, key in zip(pattern, path, strict=False))
        for pattern in patterns
    )


def value_at(value: Any, pattern: Pattern) -> Any:
    """Return the value at a path without `*`, or `MISSING`."""
    for part in pattern:
        if isinstance(value, Mapping):
            value = value.get(part, MISSING)
        elif isinstance(value, list | tuple) and part.isdecimal() and int(part) < len(value):
            value = value[int(part)]
        else:
            return MISSING
    return value


def holds_at(value: Any, pattern: Pattern, wanted: Any) -> bool:
    """Return True if the value at a path equals `wanted` as JSON, or is missing where that is `MISSING`."""
    found = value_at(value, pattern)
    return found is wanted if found is MISSING or wanted is MISSING else equal_json(found, wanted)


def set_at(value: Any, pattern: Pattern, new: Any) -> bool:
    """Set the value at a path, whose last key may be new; return `False` if there is no place for it."""
    holder, last = value_at(value, pattern[:-1]), pattern[-1]
    if isinstance(holder, dict):
        holder[last] = new
    elif isinstance(holder, list) and last.isdecimal() and int(last) < len(holder):
        holder[int(last)] = new
    else:
        return False
    return True


def leaves(value: Any, path: Path = ()) -> Iterator[tuple[Path, Any]]:
    """Yield the values below a path other than non-empty mappings and lists."""
    if value and isinstance(value, Mapping):
        for key, part in value.items():
            yield from leaves(part, (*path, str(key)))
    elif value and isinstance(value, list | tuple):
        for at, part in enumerate(value):
            yield from leaves(part, (*path, at))
    elif value is not MISSING:
        yield path, value


def changes(before: Any, after: Any, path: Path = ()) -> Iterator[tuple[Path, Any, Any]]:
    """Yield (path, value before, value after) of each value that differs; `MISSING` where there is none."""
    if isinstance(before, Mapping) and isinstance(after, Mapping):
        for key in dict.fromkeys((*before, *after)):
            yield from changes(before.get(key, MISSING), after.get(key, MISSING), (*path, str(key)))
    elif isinstance(before, list | tuple) and isinstance(after, list | tuple):
        for at in range(max(len(before), len(after))):
            was, now = (each[at] if at < len(each) else MISSING for each in (before, after))
            yield from changes(was, now, (*path, at))
    elif before is MISSING or after is MISSING or json_text(before) != json_text(after):
        was, now = dict(leaves(before, path)), dict(leaves(after, path))
        for place in dict.fromkeys((*was, *now)):
            yield place, was.get(place, MISSING), now.get(place, MISSING)


def shown_path(path: Path) -> str:
    """Write a path as `path_pattern` reads it."""
    if not path:
        return "the value"
    return "".join(map(_part, path)).removeprefix(".")


def _part(part: str | int) -> str:
    if isinstance(part, int):
        return f"[{part}]"
    return f".{part}" if part != "$" and _PLAIN.fullmatch(part) else f"['{part}']" if '"' in part else f'["{part}"]'
