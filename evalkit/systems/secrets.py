"""Read secrets from the environment, and keep their values out of messages."""

from __future__ import annotations

import base64
import dataclasses
import functools
import html
import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, TypeVar
from urllib.parse import quote

from evalkit.errors import Problem
from evalkit.systems.secret_values import SHORTEST, secret_values

_NAME = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)\}")
_SECRET_NAME = re.compile(
    r"(KEY|TOKEN|SECRET|PASSWORD|PASSWD|PASSPHRASE|CREDENTIALS?|(^|_)(PASS|PAT|AUTH|AUTHORIZATION|COOKIE|DSN))$",
    re.IGNORECASE,
)
SECRET_VALUE = re.compile(
    r"\b(sk-[\w-]{16,}|gh[pousr]_\w{20,}|github_pat_\w{20,}|glpat-[\w-]{16,}|xox[abprs]-[\w-]{10,}|hf_\w{20,}"
    r"|AKIA[0-9A-Z]{16}|AIza[\w-]{30,}|eyJ[\w-]{10,}\.[\w-]{10,}\.[\w-]{10,})"
    r"|-----BEGIN [A-Z ]*PRIVATE KEY-----|://[^\s/:@${]+:[^\s/@${]+@"
)
"""Formats of vendors' keys, and a password inside a URL."""
_ESCAPE = re.compile("%[0-9A-F]{2}")
_ELLIPSIS, _CLOSING = "…", "'\"`)]}. "
_LONGEST_STUMP = 4096
T = TypeVar("T")
MASK = "***"


def names_in(text: str) -> list[str]:
    """Return the names of the environment variables that occur in a text as `${NAME}`."""
    return _NAME.findall(text)


def is_secret_name(name: str) -> bool:
    """Return True if the name of a variable or key indicates a secret."""
    return _SECRET_NAME.search(name) is not None


def looks_secret(text: str) -> bool:
    """Return True if a text looks like a vendor's key, a private key, or a URL with a password."""
    return SECRET_VALUE.search(text) is not None


def filled(text: str, env: Mapping[str, str]) -> str:
    """Replace each `${NAME}` with the value of the environment variable, in one pass.

    Blanks and line ends around a value are removed, because files and shells add them to keys.

    Raises:
        KeyError: A variable is not set; `missing` finds that before the first call.
    """
    return _NAME.sub(lambda found: env[found.group(1)].strip(), text)


def missing(place: str, names: Iterable[str], env: Mapping[str, str]) -> list[Problem]:
    """Return one problem for each environment variable that is not set, empty, or has a line break inside."""
    problems = []
    for name in dict.fromkeys(names):
        value = env.get(name, "").strip()
        if not value:
            problems.append(
                Problem(place, f"environment variable {name} is not set", f"export {name}=... before the run")
            )
        elif not value.isprintable():
            what = f"environment variable {name} has a line break or a control character inside"
            problems.append(Problem(place, what, f"set {name} to the value alone"))
    return problems


def secrets_of(env: Mapping[str, str], named: Iterable[str] = ()) -> tuple[str, ...]:
    """Return the values to redact, longest first: plain and encoded.

    Args:
        env: the environment; `secret_values` says which of its values are secret.
        named: variables that the suite asks for.
    """
    values = {text for value in secret_values(env, frozenset(named)) for text in (value, value.strip())}
    forms = {form for value in values for form in _forms(value) if len(form) >= SHORTEST}
    return tuple(sorted(forms, key=lambda form: (-len(form), form)))


_SAFE = ("", "/", "/?:,@!$'()*", "/?:,@!$'()*;+=&", "/:,@!$'()*;+=&")
"""Characters not quoted in a URL: in a component, in a path, and where aiohttp fixes a query or a path."""


def _forms(value: str) -> Iterator[str]:
    """Yield a value plain and encoded: in a URL, hexadecimal, JSON, HTML, and base64 at any offset."""
    data = value.encode("utf-8", "surrogateescape")
    yield value
    yield json.dumps(value)[1:-1]
    yield html.escape(value)
    for safe in _SAFE:
        quoted = quote(data, safe=safe)
        yield from (quoted, _ESCAPE.sub(lambda found: found[0].lower(), quoted), quoted.replace("%20", "+"))
    yield from (data.hex(), data.hex().upper())
    for before in range(3):
        # Three bytes make four characters, so the characters at the ends also depend on the neighbouring bytes.
        encoded = base64.b64encode(bytes(before) + data).decode("ascii").rstrip("=")
        inner = encoded[(0, 2, 3)[before] : len(encoded) - (0 if (before + len(data)) % 3 == 0 else 1)]
        yield from (inner, inner.replace("+", "-").replace("/", "_"))


def redact(text: str, secrets: Iterable[str]) -> str:
    """Redact each secret, and the rest of one that was cut at an ellipsis.

    A whole text that ends like the start of a secret is kept: an answer of `London` stays if `London-2024` is secret.
    """
    secrets = tuple(secrets)
    for secret in secrets:
        text = text.replace(secret, MASK)
    *cut, whole = text.split(_ELLIPSIS)
    return _ELLIPSIS.join([*(_without_stump(part, secrets) for part in cut), whole]) if secrets else text


def _without_stump(text: str, secrets: tuple[str, ...]) -> str:
    """Return the text without the beginning of a secret at its end; closing quotation marks may follow it."""
    heads, longest = _heads(secrets)
    end = len(text.rstrip(_CLOSING))
    for found in heads.finditer(text, max(0, end - longest), end):
        if any(secret.startswith(text[found.start() : end]) for secret in secrets):
            return text[: found.start()] + MASK + text[end:]
    return text


@functools.lru_cache(maxsize=8)
def _heads(secrets: tuple[str, ...]) -> tuple[re.Pattern[str], int]:
    """Compile a search for the possible start of any of them, and the length of a partial match."""
    heads = sorted({re.escape(secret[:SHORTEST]) for secret in secrets})
    return re.compile(f"(?=({'|'.join(heads)}))"), min(max(map(len, secrets)), _LONGEST_STUMP)


def without_secrets(value: T, secrets: Sequence[str]) -> T:
    """Copy a value (text, list, mapping, dataclass) with every secret redacted."""
    if not secrets:
        return value
    if isinstance(value, str):
        return redact(value, secrets)  # type: ignore[return-value]
    cleaned: Any = value
    if isinstance(value, Mapping):
        cleaned = {without_secrets(key, secrets): without_secrets(item, secrets) for key, item in value.items()}
    elif isinstance(value, list | tuple):
        cleaned = type(value)(without_secrets(item, secrets) for item in value)
    elif dataclasses.is_dataclass(value) and not isinstance(value, type):
        fields = {each.name: getattr(value, each.name) for each in dataclasses.fields(value)}
        found = {name: without_secrets(item, secrets) for name, item in fields.items()}
        changed = {name: item for name, item in found.items() if item is not fields[name]}
        return dataclasses.replace(value, **changed) if changed else value
    return value if cleaned == value else cleaned
