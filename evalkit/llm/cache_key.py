"""Manage the key that signs cached replies; it is stored outside the project."""

from __future__ import annotations

import hashlib
import os
import secrets
import stat
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

KEY_VARIABLE = "EVALKIT_CACHE_KEY"
SHORTEST = 16
"""Minimum length of the variable, in characters."""
_KEY_FILE = Path("evalkit") / "cache.key"
_KEY_BYTES = 32


def cache_key(env: Mapping[str, str], root: Path) -> bytes:
    """Return the key in `EVALKIT_CACHE_KEY`, else the user's key on this machine, created on first use.

    The user's key is in `$XDG_STATE_HOME/evalkit/cache.key`, by default below `~/.local/state`.

    Args:
        env: the environment.
        root: the project, which must not contain the key.

    Raises:
        ValueError: there is no key outside the project; the message says why.
    """
    value = env.get(KEY_VARIABLE, "")
    if value:
        if len(value) < SHORTEST:
            raise ValueError(f"{KEY_VARIABLE} has fewer than {SHORTEST} characters")
        return hashlib.sha256(value.encode("utf-8", "surrogateescape")).digest()
    home, state = env.get("HOME", ""), env.get("XDG_STATE_HOME", "")
    folder = Path(state) if state.startswith("/") else Path(home, ".local", "state") if home.startswith("/") else None
    if folder is None:
        raise ValueError("neither HOME nor XDG_STATE_HOME names a folder")
    file = folder / _KEY_FILE
    if file.resolve().is_relative_to(root.resolve()):
        raise ValueError(f"{file} is inside the project")
    try:
        return _read(file) if file.exists() else _made(file)
    except OSError as error:
        raise ValueError(f"{file}: {error.strerror}") from None


def _read(file: Path) -> bytes:
    with file.open("rb") as held:
        facts = os.fstat(held.fileno())
        key = held.read(_KEY_BYTES + 1)
    if len(key) != _KEY_BYTES:
        raise ValueError(f"{file} is not a key; remove it, and the next run makes a new one")
    if facts.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        raise ValueError(f"{file} can be written by others; remove it, and the next run makes a new one")
    return key


def _made(file: Path) -> bytes:
    """Create a key, or return the one that another process has just created."""
    file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    draft = file.with_name(f".{file.name}.{os.getpid()}.tmp")
    key = secrets.token_bytes(_KEY_BYTES)
    fd = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    try:
        os.write(fd, key)
        os.fsync(fd)
        with suppress(FileExistsError):
            os.link(draft, file)
            return key
    finally:
        os.close(fd)
        draft.unlink(missing_ok=True)
    return _read(file)
