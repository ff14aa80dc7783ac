"""Write the systems of an import into one suite: a matrix of models and prompts, else one by one."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from evalkit.formats.yaml_flow import flow
from evalkit.imports.imported import ImportedSystem
from evalkit.suite.systems import MOST_SYSTEMS
from evalkit.systems.prompt import MAX_BYTES
from evalkit.systems.template import BRACES
from evalkit.text.escaping import on_one_line

PROMPTS = "prompts"
_NAME_CHARS = 80
_PROMPT = ("prompt", "system_prompt")


@dataclass(frozen=True)
class WrittenSystems:
    """Several systems as a suite writes them."""

    lines: tuple[str, ...]
    names: tuple[str, ...]
    files: Mapping[str, str] = field(default_factory=dict)
    """Prompt file -> its text."""


def together(systems: Sequence[ImportedSystem]) -> WrittenSystems | None:
    """Return the systems for one suite; `None` if there is one, or if they cannot share a suite.

    Stored outputs have a suite for each system, since only those of one may be compared with people's labels.
    """
    given = [system.options for system in systems if system.options and not system.outputs]
    texts = {json.dumps(each, sort_keys=True) for each in given}
    if not 1 < len(systems) <= MOST_SYSTEMS or len(texts) < len(systems):
        return None
    return _matrix(given) or _named(systems, given)


def _named(systems: Sequence[ImportedSystem], given: Sequence[Mapping[str, Any]]) -> WrittenSystems:
    names: list[str] = []
    for system in systems:
        name = on_one_line(system.name)[:_NAME_CHARS].strip() or "system"
        numbered = (f"{name} ({number})" for number in itertools.count(2))
        names.append(name if name not in names else next(each for each in numbered if each not in names))
    lines = [f"  {flow(name)}: {flow(options)}" for name, options in zip(names, given, strict=True)]
    return WrittenSystems(("systems:", *lines), tuple(names))


def _matrix(given: Sequence[Mapping[str, Any]]) -> WrittenSystems | None:
    """Return the systems as models x prompts; `None` if they are not all of these, or differ in more."""
    rest = [{key: value for key, value in each.items() if key not in ("chat", *_PROMPT)} for each in given]
    if any("chat" not in each for each in given) or any(each != rest[0] for each in rest):
        return None
    models = list(dict.fromkeys(str(each["chat"]) for each in given))
    prompts = list(dict.fromkeys(_prompt_of(each) for each in given))
    pairs = [(str(each["chat"]), _prompt_of(each)) for each in given]
    in_files = len(prompts) > 1
    if pairs != [*itertools.product(models, prompts)] or (in_files and not all(map(_fits_file, prompts))):
        return None
    files = dict(_files(prompts)) if in_files else {}
    template: dict[str, Any] = {"chat": "{{matrix.model}}" if len(models) > 1 else models[0]}
    template |= {"prompt_file": "{{matrix.prompt}}"} if in_files else {k: given[0][k] for k in _PROMPT if k in given[0]}
    lines = ["matrix:"]
    lines += [f"  model: {flow(models)}"] if len(models) > 1 else []
    lines += [f"  prompt: {flow([*files])}"] if in_files else []
    stems = [file.rpartition("/")[2].partition(".")[0] for file in files]
    parts = [*([models] if len(models) > 1 else []), *([stems] if in_files else [])]
    names = tuple("/".join(each) for each in itertools.product(*parts))
    if any(len(name) > _NAME_CHARS or not name.isprintable() for name in names):
        return None
    return WrittenSystems((*lines, f"system: {flow({**template, **rest[0]})}"), names, files)


def _prompt_of(options: Mapping[str, Any]) -> tuple[str, str | None]:
    """Return user message and system message."""
    return options.get("prompt", "{{input}}"), options.get("system_prompt")


def _fits_file(prompt: tuple[str, str | None]) -> bool:
    """Return True if a prompt file can hold the prompt: the user message has a placeholder, and no other text has."""
    user, system = prompt
    n_chars = len(user) + len(system or "")
    return bool(BRACES.search(user)) and not BRACES.search(system or "") and n_chars < MAX_BYTES // 8


def _files(prompts: Iterable[tuple[str, str | None]]) -> Iterable[tuple[str, str]]:
    for number, (user, system) in enumerate(prompts, 1):
        if system is None:
            yield f"{PROMPTS}/prompt-{number}.md", f"{user}\n"
        else:
            messages = [{"role": "system", "content": system}, {"role": "user", "content": user}]
            yield f"{PROMPTS}/prompt-{number}.json", json.dumps(messages, indent=1, ensure_ascii=False) + "\n"
