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
    given = [system for system in systems if system.options and not system.outputs]
    texts = {json.dumps([each.options, each.messages], sort_keys=True) for each in given}
    if not 1 < len(systems) <= MOST_SYSTEMS or len(texts) < len(systems):
        return None
    return _matrix(given) or _named(given)


def prompt_files(systems: Iterable[ImportedSystem]) -> dict[str, str]:
    """Return the prompt files of systems whose prompt is a chat: name -> text. All prompts count in their numbers."""
    texts = {_prompt_of(system): _chat_text(system.messages) for system in systems}
    return {f"{PROMPTS}/prompt-{number}.json": text for number, text in enumerate(texts.values(), 1) if text}


def options_of(system: ImportedSystem, files: Mapping[str, str]) -> Mapping[str, Any] | None:
    """Return the options of a system, with its prompt file if it has one."""
    if not system.messages or system.options is None:
        return system.options
    text = _chat_text(system.messages)
    return {**system.options, "prompt_file": next(name for name in files if files[name] == text)}


def _named(systems: Sequence[ImportedSystem]) -> WrittenSystems:
    names: list[str] = []
    for system in systems:
        name = on_one_line(system.name)[:_NAME_CHARS].strip() or "system"
        numbered = (f"{name} ({number})" for number in itertools.count(2))
        names.append(name if name not in names else next(each for each in numbered if each not in names))
    files = prompt_files(systems)
    lines = [f"  {flow(name)}: {flow(options_of(each, files))}" for name, each in zip(names, systems, strict=True)]
    return WrittenSystems(("systems:", *lines), tuple(names), files)


def _matrix(systems: Sequence[ImportedSystem]) -> WrittenSystems | None:
    """Return the systems as models x prompts; `None` if they are not all of these, or differ in more."""
    given = [system.options or {} for system in systems]
    rest = [{key: value for key, value in each.items() if key not in ("chat", *_PROMPT)} for each in given]
    if any("chat" not in each for each in given) or any(each != rest[0] for each in rest):
        return None
    models = list(dict.fromkeys(str(each["chat"]) for each in given))
    prompts = list(dict.fromkeys(map(_prompt_of, systems)))
    pairs = [(str(each["chat"]), _prompt_of(system)) for each, system in zip(given, systems, strict=True)]
    in_files = len(prompts) > 1 or any(system.messages for system in systems)
    if pairs != [*itertools.product(models, prompts)] or (in_files and not all(map(_fits_file, systems))):
        return None
    files = dict(_files(prompts)) if in_files else {}
    template: dict[str, Any] = {"chat": "{{matrix.model}}" if len(models) > 1 else models[0]}
    if files:
        template["prompt_file"] = "{{matrix.prompt}}" if len(files) > 1 else next(iter(files))
    else:
        template |= {key: given[0][key] for key in _PROMPT if key in given[0]}
    lines = ["matrix:"]
    lines += [f"  model: {flow(models)}"] if len(models) > 1 else []
    lines += [f"  prompt: {flow([*files])}"] if len(files) > 1 else []
    stems = [file.rpartition("/")[2].partition(".")[0] for file in files]
    parts = [*([models] if len(models) > 1 else []), *([stems] if len(files) > 1 else [])]
    names = tuple("/".join(each) for each in itertools.product(*parts))
    if any(len(name) > _NAME_CHARS or not name.isprintable() for name in names):
        return None
    return WrittenSystems((*lines, f"system: {flow({**template, **rest[0]})}"), names, files)


def _prompt_of(system: ImportedSystem) -> tuple[tuple[str, str], ...]:
    """Return role and text of each message."""
    if system.messages:
        return tuple((each["role"], each["content"]) for each in system.messages)
    options = system.options or {}
    first = (("system", options["system_prompt"]),) if options.get("system_prompt") is not None else ()
    return (*first, ("user", options.get("prompt", "{{input}}")))


def _fits_file(system: ImportedSystem) -> bool:
    """Return True if a prompt file can hold the prompt, in which each text is a template, and one is filled."""
    literal = (system.options or {}).get("system_prompt") or ""
    texts = [text for _, text in _prompt_of(system)]
    filled = any(map(BRACES.search, texts)) and not BRACES.search(literal)
    return filled and sum(map(len, texts)) < MAX_BYTES // 8


def _files(prompts: Iterable[tuple[tuple[str, str], ...]]) -> Iterable[tuple[str, str]]:
    for number, prompt in enumerate(prompts, 1):
        if len(prompt) == 1:
            yield f"{PROMPTS}/prompt-{number}.md", f"{prompt[0][1]}\n"
        else:
            messages = [{"role": role, "content": text} for role, text in prompt]
            yield f"{PROMPTS}/prompt-{number}.json", _chat_text(messages)


def _chat_text(messages: Sequence[Mapping[str, str]]) -> str:
    return json.dumps([*messages], indent=1, ensure_ascii=False) + "\n" if messages else ""
