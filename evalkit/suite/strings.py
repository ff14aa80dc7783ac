"""Find secrets and unfilled variables in the texts of a suite."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

from evalkit.errors import MAX_PROBLEMS, Problem
from evalkit.formats.build import Builder
from evalkit.formats.yaml_text import Path
from evalkit.systems.secrets import is_secret_name, looks_secret, names_in, redact

_FILLED = {"http", "headers", "base_url", "version"}
"""Keys of a system in which `${NAME}` is replaced from the environment."""
_AS_WRITTEN = {"command", "prompt", "system_prompt"}
"""Keys of a system whose text is sent unchanged: `${NAME}` may have a meaning for a shell or a model."""
_KEY_IN_QUERY = re.compile(
    r"://[^\s#]*[?&]([\w-]*(api|access|auth|subscription)[-_]?(key|token)|key|token|secret|password|sig)=(?!\$\{)[^&#\s]{6}",
    re.IGNORECASE,
)
"""A key in the query of a URL."""
_SYSTEMS = {"system", "systems", "matrix"}
_CONFIGURED = {*_SYSTEMS, "judge", "embedding", "golden", "labels", "calibrations"}


def check_strings(builder: Builder) -> None:
    """Record each text that is a secret or has an unset variable; no problem repeats a secret."""
    secrets: list[str] = []
    told: list[Problem] = []
    for path, text in _strings(builder.document.value, ()):
        name = next((part for part in reversed(path) if isinstance(part, str)), "")
        written = is_secret_name(name) and path[0] in (*_SYSTEMS, "judge", "embedding") and not names_in(text)
        if text and (looks_secret(text) or written or (path[0] in _CONFIGURED and _KEY_IN_QUERY.search(text))):
            secrets.append(text)
            if len(secrets) > MAX_PROBLEMS:
                # Redacting thousands of texts in thousands of problems takes hours; these messages repeat no secret.
                builder.problems = told
                return
            fix = "keep it in the environment: `api_key_env: MY_KEY`, or ${MY_KEY} in a header of the system"
            builder.problem(path, "a secret is written into the suite; take it for known to others", fix)
            told.append(builder.problems[-1])
        elif names_in(text) and path[0] in _CONFIGURED and not _is_filled(path):
            what = f"`${{{names_in(text)[0]}}}` is not filled in here"
            fix = "write the value; only http, headers, base_url and version of a system read variables"
            builder.problem(path, what, fix)
        elif _is_version(path) and any(map(is_secret_name, names_in(text))):
            fix = "name a variable that holds no secret, such as ${GIT_COMMIT}"
            builder.problem(path, "every run stores and shows the version, and this one is a secret", fix)
    builder.problems = [_without(problem, secrets) for problem in builder.problems]


def variables_of(value: Any) -> tuple[str, ...]:
    """Return the environment variables that a suite keeps secret: `${NAME}`, or under a key such as `api_key_env`."""
    found: list[str] = []
    for path, text in _strings(value, ()):
        found += () if _is_version(path) else names_in(text)
        found += [text] if str(path[-1]).endswith("_env") else []
    return tuple(dict.fromkeys(found))


def _strings(value: Any, path: Path) -> Iterator[tuple[Path, str]]:
    if isinstance(value, str):
        yield path, value
    elif isinstance(value, Mapping):
        for key, item in value.items():
            yield from _strings(item, (*path, key))
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from _strings(item, (*path, index))


def _is_filled(path: Path) -> bool:
    return path[0] in _SYSTEMS and bool((_FILLED | _AS_WRITTEN).intersection(path))


def _is_version(path: Path) -> bool:
    """Return True for the version of a system, which is not a secret, because runs store and show it."""
    return path[-2:] == ("system", "version") or (path[0] in _SYSTEMS and path[-1] == "version")


def _without(problem: Problem, secrets: list[str]) -> Problem:
    forms = [form for secret in secrets for form in (secret, re.escape(secret), repr(secret)[1:-1])]
    return replace(problem, what=redact(problem.what, forms), fix=redact(problem.fix, forms))
