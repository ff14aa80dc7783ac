"""Take secrets from the environment, and keep their values out of messages."""

from __future__ import annotations

import base64
import re
from collections.abc import Iterable, Mapping
from urllib.parse import quote

from evalkit.errors import Problem

_NAME = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)\}")
_SECRET_NAME = re.compile(
    r"(KEY|TOKEN|SECRET|PASSWORD|PASSWD|PASSPHRASE|CREDENTIALS?|(^|_)(PASS|PAT|AUTH|AUTHORIZATION|COOKIE|DSN))$",
    re.IGNORECASE,
)
_SECRET_VALUE = re.compile(
    r"\b(sk-[\w-]{16,}|gh[pousr]_\w{20,}|github_pat_\w{20,}|glpat-[\w-]{16,}|xox[abprs]-[\w-]{10,}|hf_\w{20,}"
    r"|AKIA[0-9A-Z]{16}|AIza[\w-]{30,}|eyJ[\w-]{10,}\.[\w-]{10,}\.[\w-]{10,})"
    r"|-----BEGIN [A-Z ]*PRIVATE KEY-----|://[^\s/:@${]+:[^\s/@${]+@"
)
"""Shapes of keys as vendors give them out, and a password inside an address."""
MASK = "***"
SHORTEST = 6
"""Characters; a shorter value is no secret, and blotting it out would shred messages."""


def names_in(text: str) -> list[str]:
    """Names of the environment variables that a text asks for as `${NAME}`."""
    return _NAME.findall(text)


def is_secret_name(name: str) -> bool:
    """True where the name of a variable or of a key says that it holds a secret."""
    return _SECRET_NAME.search(name) is not None


def looks_secret(text: str) -> bool:
    """True where a text has the shape of a vendor's key, of a private key, or is an address with a password."""
    return _SECRET_VALUE.search(text) is not None


def filled(text: str, env: Mapping[str, str]) -> str:
    """Put the values of environment variables in place of `${NAME}`, in one pass.

    Raises:
        KeyError: A variable is not set; `missing` finds that before the first call.
    """
    return _NAME.sub(lambda found: env[found.group(1)], text)


def missing(place: str, names: Iterable[str], env: Mapping[str, str]) -> list[Problem]:
    """One problem for each environment variable that is not set or empty."""
    return [
        Problem(place, f"environment variable {name} is not set", f"export {name}=... before the run")
        for name in dict.fromkeys(names)
        if not env.get(name)
    ]


def secrets_of(env: Mapping[str, str], named: Iterable[str] = ()) -> tuple[str, ...]:
    """Values to blot out, longest first: as they are, URL-encoded and in base64.

    They are the values of the variables that the suite names, and of those whose name says that they are secret.
    """
    names = {*named, *(name for name in env if _SECRET_NAME.search(name))}
    found = {env[name] for name in names if len(env.get(name, "")) >= SHORTEST}
    forms = found | {quote(value, safe="") for value in found}
    forms |= {base64.b64encode(value.encode("utf-8", "surrogateescape")).decode("ascii") for value in found}
    return tuple(sorted(forms, key=lambda form: (-len(form), form)))


def redact(text: str, secrets: Iterable[str]) -> str:
    """Blot out every secret."""
    for secret in secrets:
        text = text.replace(secret, MASK)
    return text
