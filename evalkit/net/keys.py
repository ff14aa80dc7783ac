"""Read keys from the environment."""

from __future__ import annotations

from collections.abc import Mapping


def read_key(name: str, env: Mapping[str, str]) -> str:
    """Return a key without blanks and line ends around it; empty if it is not set."""
    return env.get(name, "").strip()


def key_problem(name: str, env: Mapping[str, str]) -> tuple[str, str] | None:
    """Return the fault of a key and its fix; `None` if the key can be sent."""
    key = read_key(name, env)
    if not key:
        return f"environment variable {name} is not set", f"export {name}=... before the run"
    if not key.isprintable() or not key.isascii():
        what = f"environment variable {name} cannot be a key: it has line breaks or non-ASCII characters"
        return what, f"set {name} to the key alone"
    return None
