"""Read promptfoo's configs: tests are cases, and each provider with each prompt is a system."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from typing import Any

from evalkit.golden.source_file import SourceFile
from evalkit.imports.imported import Imported, ImportedSystem
from evalkit.imports.promptfoo_files import prompts_of, tests_of
from evalkit.imports.promptfoo_providers import INPUT, Made, Provider, read_provider, system_of
from evalkit.imports.promptfoo_templates import FILE, NotCarried, render
from evalkit.imports.promptfoo_tests import KEY_FIX, ReadTests, mapping_of, title_of

FILLED = "filled_prompt"
"""Field with the prompt as a program reads it."""
_NO_EFFECT = {
    *("description", "prompts", "providers", "targets", "tests", "defaultTest", "outputPath", "tags", "metadata"),
    *("env", "evaluateOptions", "commandLineOptions", "sharing", "writeLatestResults", "$schema"),
}
"""Keys of a config that are read, or say nothing about cases and systems."""
_FILES = (".txt", ".json", ".jsonl", ".yaml", ".yml", ".js", ".ts", ".py", ".md", ".j2", ".csv")


def is_config(source: SourceFile) -> bool:
    """Tell whether a file is a config."""
    value = source.value
    return isinstance(value, Mapping) and "prompts" in value and bool({"tests", "providers", "targets"} & value.keys())


def read_config(source: SourceFile, limit: int | None = None) -> Imported:
    """Read a config: its tests become cases, each provider with each prompt a system."""
    value: Mapping[str, Any] = source.value
    reader = ReadTests(source, stored=False)
    for key in sorted(value.keys() - _NO_EFFECT):
        if value[key] not in (None, "", [], {}):
            reader.lose(source.at(key), f"`{key}` is not read", KEY_FIX)
    default = value.get("defaultTest")
    if default is not None and not isinstance(default, Mapping):
        reader.lose(source.at("defaultTest"), "names a file, which an import does not open", "write its content there")
        default = {}
    default = default or {}
    options = {key: each for key, each in mapping_of(default.get("options")).items() if key != "provider"}
    reader.others({**default, "options": options}, source.at("defaultTest"))
    repeat = mapping_of(value.get("evaluateOptions")).get("repeat")
    if repeat not in (None, 1):
        reader.lose(source.at("evaluateOptions"), f"repeat {str(repeat)[:20]}", "write `repeat:` into the suite")
    for at, test in enumerate(itertools.islice(tests_of(value.get("tests", [{}]), source), limit)):
        reader.read(test, default, f"test-{at + 1}")
    systems, variables, n_systems = _systems(value, reader)
    judge = mapping_of(default.get("options")).get("provider")
    return reader.imported(
        "promptfoo config",
        title_of(value, source),
        systems,
        variables=variables,
        judge=_judge(judge, reader, source.at("defaultTest", "options", "provider")),
        found={"system": n_systems},
    )


def _systems(value: Mapping[str, Any], reader: ReadTests) -> tuple[list[ImportedSystem], dict[str, str], int]:
    source = reader.source
    prompts = value["prompts"] if isinstance(value["prompts"], list) else [value["prompts"]]
    key = "providers" if "providers" in value else "targets"
    providers = value.get(key) or []
    providers = providers if isinstance(providers, list) else [providers]
    fields = reader.fields()
    systems: list[ImportedSystem] = []
    variables: dict[str, str] = {}
    texts = _prompts(prompts, reader)
    found = [(number, text) for number, text in enumerate(texts) if text is not None]
    for (place, provider), (number, text) in itertools.product(_providers(key, providers, reader), found):
        try:
            made = _made(provider, text, fields, reader, number if len(texts) > 1 else None)
        except NotCarried as error:
            reader.lose(place, error.what, error.fix, "system")
            continue
        for what, fix in made.notes:
            reader.lose(place, what, fix)
        variables |= made.variables
        name = provider.label if len(texts) == 1 else f"{provider.label}, prompt {number + 1}"
        systems.append(ImportedSystem(name=name, place=place, options=made.options, messages=made.messages))
    n_systems = len(providers) * len(texts)
    return systems or [ImportedSystem(name="", place=source.shown)], variables, n_systems


def _prompts(prompts: Sequence[Any], reader: ReadTests) -> list[Any]:
    """Return the text of each prompt, those in files included; `None` for a file that is not read."""
    texts: list[Any] = []
    for number, each in enumerate(prompts):
        text = each.get("raw", each.get("id")) if isinstance(each, Mapping) else each
        if not _is_file(text):
            texts.append(text)
            continue
        try:
            texts += prompts_of(text, reader.source)
        except NotCarried as error:
            reader.lose(reader.source.at("prompts", number), error.what, error.fix, "system")
            texts.append(None)
    return texts


def _providers(key: str, providers: Sequence[Any], reader: ReadTests) -> list[tuple[str, Provider]]:
    """Return the place and settings of each provider that can be called from here."""
    known = []
    for at, each in enumerate(providers):
        place = reader.source.at(key, at)
        try:
            known.append((place, read_provider(each, place)))
        except NotCarried as error:
            reader.lose(place, error.what, error.fix, "system")
    return known


def _is_file(prompt: Any) -> bool:
    return isinstance(prompt, str) and (prompt.lstrip().startswith(FILE) or prompt.endswith(_FILES))


def _made(provider: Provider, prompt: Any, fields: Mapping[str, str], reader: ReadTests, number: int | None) -> Made:
    made = system_of(provider, prompt, fields, FILLED if number is None else f"{FILLED}_{number + 1}")
    if made.reads != INPUT:
        for test in reader.tests:
            test.draft.fields[made.reads] = render(prompt, test.variables)
        made.options["fields"] = [made.reads]
    return made


def _judge(provider: Any, reader: ReadTests, place: str) -> Mapping[str, Any] | None:
    if provider is None:
        return None
    try:
        made = system_of(read_provider(provider, place), "{{input}}", {"input": INPUT})
        if "chat" not in made.options:
            raise NotCarried("the provider that grades is not a chat model", "name a judge: `judge: {chat: gpt-4o}`")
    except NotCarried as error:
        reader.lose(place, error.what, error.fix)
        return None
    kept = {key: made.options[key] for key in ("base_url", "api_key_env") if key in made.options}
    return {"chat": {"model": made.options["chat"], **kept}}
