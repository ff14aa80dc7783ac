"""Fingerprint a system: hashes of its configuration and of the files that its answers depend on."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from evalkit.disk.files import sha256_of
from evalkit.errors import Problem
from evalkit.formats.options import is_left_out
from evalkit.systems.base import SystemConfig
from evalkit.systems.secrets import filled, missing, names_in


def with_version(system: SystemConfig, env: Mapping[str, str]) -> tuple[SystemConfig, list[Problem]]:
    """Fill the `${NAME}` in a system's version, and return a problem for each variable that is not set."""
    names = names_in(system.version or "")
    unset = missing("system.version", names, env)
    if not names or unset:
        return system, unset
    return dataclasses.replace(system, version=filled(system.version or "", env)), []  # type: ignore[type-var]


def config_hash(config: Any, ignore: Iterable[str], files: Iterable[tuple[str, Path]] = (), added: str = "") -> str:
    """Return the SHA-256 (hex) of a configuration and of files.

    Args:
        config: A frozen dataclass.
        ignore: Fields that answers do not depend on, such as `timeout_s`.
        files: (name, path) of files whose content is hashed, in a fixed order.
        added: Further text that answers depend on.
    """
    skipped = frozenset(ignore)
    kept = {
        field.name: value
        for field in dataclasses.fields(config)
        if field.name not in skipped and not is_left_out(field, value := getattr(config, field.name))
    }
    digest = hashlib.sha256(json.dumps([type(config).__name__, kept], sort_keys=True, default=_jsonable).encode())
    for name, path in files:
        digest.update(f"\0{name}\0{file_hash(path)}".encode("utf-8", "surrogateescape"))
    digest.update(added.encode())
    return digest.hexdigest()


def _jsonable(value: Any) -> Any:
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return dataclasses.asdict(value)
    if hasattr(value, "items"):
        return dict(value)
    return repr(value)


def file_hash(path: Path) -> str:
    """Return the SHA-256 (hex) of a file's bytes, read in chunks; `absent` if it cannot be read."""
    try:
        return sha256_of(path)
    except OSError:
        return "absent"
