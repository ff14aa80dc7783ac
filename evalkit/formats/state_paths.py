"""Address values inside a state, such as `orders.A-17.status`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

Path = tuple[str, ...]


class NotFound(LookupError):
    """There is nothing at a path."""


def parse_path(text: str) -> Path:
    r"""Split a path at its dots; `\.` is a dot inside a key.

    Raises:
        ValueError: the path has an empty key.
    """
    keys = tuple(part.replace("\0", ".") for part in text.replace("\\.", "\0").split("."))
    if not all(keys):
        raise ValueError(f"{text!r} is no path; write keys with dots between them, such as orders.A-17.status")
    return keys


def show_path(path: Sequence[str]) -> str:
    """Write a path as `parse_path` reads it."""
    return ".".join(key.replace(".", "\\.") for key in path)


def value_at(state: Any, path: Sequence[str]) -> Any:
    """Return the value at a path; a number is an index of a list.

    Raises:
        NotFound: there is none.
    """
    value = state
    for at, key in enumerate(path):
        if isinstance(value, Mapping) and key in value:
            value = value[key]
        elif isinstance(value, list | tuple) and key.isdecimal() and int(key) < len(value):
            value = value[int(key)]
        else:
            raise NotFound(show_path(path[: at + 1]))
    return value


def set_at(state: dict[str, Any], path: Sequence[str], value: Any) -> None:
    """Set the value at a path, whose last key may be new.

    Raises:
        NotFound: what should hold it is not there, or holds no keys.
    """
    holder = value_at(state, path[:-1])
    if isinstance(holder, dict):
        holder[path[-1]] = value
    elif isinstance(holder, list) and path[-1].isdecimal() and int(path[-1]) < len(holder):
        holder[int(path[-1])] = value
    else:
        raise NotFound(show_path(path))


def leaves(value: Any, path: Path = ()) -> Iterator[tuple[Path, Any]]:
    """Yield every value that holds no other one, with its path; an empty mapping or list is one."""
    if isinstance(value, Mapping) and value:
        for key, inner in value.items():
            yield from leaves(inner, (*path, str(key)))
    elif isinstance(value, list | tuple) and value:
        for at, inner in enumerate(value):
            yield from leaves(inner, (*path, str(at)))
    else:
        yield path, value
