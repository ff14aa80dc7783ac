"""Extract the rules of a run, for manifests and comparison."""

from __future__ import annotations

import dataclasses
import hashlib
import math
import posixpath
import re
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import suppress
from typing import Any

from evalkit.disk.files import read_file
from evalkit.disk.sources import imported_texts
from evalkit.errors import InputError
from evalkit.formats.build import Builder, key_of
from evalkit.formats.manifest import LabelFile, Rules
from evalkit.formats.yaml_text import parse
from evalkit.golden.source import GoldenSource
from evalkit.golden.stored_lock import lock_name, lockable
from evalkit.scorers.base import Abbreviated
from evalkit.scorers.custom.python_scorer import PythonScorer, own_name
from evalkit.scorers.registry import NEGATION, find_scorer
from evalkit.suite.model import Suite, SuiteOptions, model_options
from evalkit.suite.systems import drafts_of, several
from evalkit.systems import SYSTEMS
from evalkit.systems.conversation.settings import ConversationSettings

FINGERPRINT_HEX = 8
MAX_FILE_BYTES = 512 << 20
"""Size limit of a file named by a suite: more than a million labels."""
Read = Callable[[Collection[str]], Mapping[str, bytes]]
"""Function that reads the named files that exist; names are relative to the suite file."""
_SHOWN = frozenset(
    "base_url by call chat command dialect field file has http hub kind local method model name path pattern python"
    " replay rubric schema severity split tool_error url value version".split()
)
"""Keys whose text is stored; other texts, which may hold a secret, are stored as a fingerprint."""
_SHOWN_CHARS = 80
_SECRET_PLACE = re.compile(r"://[^/@\s]*@|://[^\s]*[?#]")
"""A URL with a user or a query, either of which may hold a key."""
_PATH_CHARS = 1_024


def rules_of(suite: Suite) -> Rules:
    """Return the rules of a suite as it is on disk."""
    folder = suite.path.parent

    def read(names: Collection[str]) -> Mapping[str, bytes]:
        found = {}
        for name in names:
            # The text does not name a file, or names a link that leads back to itself.
            with suppress(OSError, RuntimeError, ValueError):
                file = (folder / name).resolve()
                if file.is_relative_to(suite.root) and file.is_file():
                    found[name] = read_file(file, MAX_FILE_BYTES)
        return found

    rules = rules_of_options(suite.options, read, folder.relative_to(suite.root).as_posix())
    rules = dataclasses.replace(rules, systems=suite.system_names)
    if type(suite.system) not in SYSTEMS.values():
        return rules
    stated = {key: value for key, value in rules.system.items() if key != "timeout_s"}
    # `--timeout` changes only the system.
    timeout = _unlike(type(suite.system), {"timeout_s": suite.system.timeout_s})
    return dataclasses.replace(rules, system={**stated, **timeout})


def options_of_text(text: bytes, shown: str, suite: Suite | None = None) -> SuiteOptions | None:
    """Read the options of a suite file of another commit; `None` if this evalkit cannot read it.

    Args:
        text: the file.
        shown: its name in messages.
        suite: the current suite. If the file names several systems, the options are those of the same name, else of
            the first that it releases, else of its reference.
    """
    try:
        builder = Builder(parse(text, shown))
    except InputError:
        return None
    options: SuiteOptions | None = builder.build(SuiteOptions, builder.document.value, ())
    if options is None or suite is None or not several(options):
        return options
    drafts = drafts_of(builder, options)
    first = options.reference or (drafts[0].name if drafts else "")
    name = suite.system_name or next(iter(options.release), first)
    written = next((draft.options for draft in drafts if draft.name == name), None)
    return dataclasses.replace(options, system=written, systems={}, matrix={})


def system_names_of_text(text: bytes, shown: str) -> tuple[str, ...]:
    """Read the names of the systems of a suite file of another commit; none if it has one system, or is unreadable."""
    try:
        builder = Builder(parse(text, shown))
    except InputError:
        return ()
    options: SuiteOptions | None = builder.build(SuiteOptions, builder.document.value, ())
    if options is None or not several(options):
        return ()
    return tuple(str(draft.name) for draft in drafts_of(builder, options))


def golden_source(options: SuiteOptions) -> GoldenSource:
    """Return the source of a suite's golden set."""
    return options.golden if isinstance(options.golden, GoldenSource) else GoldenSource(path=options.golden)


def rules_of_options(options: SuiteOptions, read: Read, folder: str = ".") -> Rules:
    """Return the rules in a suite's options, with the files that they name, read by `read`.

    Args:
        options: options of the suite.
        read: function that reads files by names relative to the suite file.
        folder: folder of the suite file, relative to the project's root, from which custom scorers are imported.
    """
    scorers = list(_scorers(options))
    named = {name for _, _, given in scorers for name in _files_in(given)}
    conversation = {} if options.conversation is None else dataclasses.asdict(options.conversation)
    named |= {each for each in _files_in(conversation.get("environment"))}
    named |= {name for entry in options.variants for name in _variant_files(entry)}
    source = golden_source(options)
    at, name = posixpath.split(source.path or "")
    lock = posixpath.join(at, lock_name(name)) if lockable(name) else ""
    files = read([*options.labels, *options.calibrations, *named, *([lock] if lock else [])])
    code = {label: _code(given, read, folder) for label, cls, given in scorers if cls is PythonScorer}
    return Rules(
        gate=tuple(options.gate),
        require_evidence=options.require_evidence,
        kappa_floors=dict(options.kappa_floors),
        cohorts=tuple(options.cohorts),
        repeat=options.repeat,
        repeat_rule=options.repeat_rule,
        production=dict(options.production),
        labels={name: _labels(files[name]) for name in options.labels if name in files},
        name=options.name,
        golden={**_unlike(GoldenSource, dataclasses.asdict(source)), **({"lock": "kept"} if lock in files else {})},
        system=_system(options.system),
        judge=_flat(_judge(options)),
        embedding=_flat({"model": options.embedding} if isinstance(options.embedding, str) else options.embedding),
        scorers={label: {**_scorer(cls, given, files), **code.get(label, {})} for label, cls, given in scorers},
        conversation=_conversation(conversation, files, read, folder),
        calibrations={name: _fingerprint(files[name]) for name in options.calibrations if name in files},
        sample=_flat(dataclasses.asdict(found)) if (found := options.sample_of(None)) else {},
        seed=options.seed,
        concurrency=options.concurrency,
        budget_usd=options.budget_usd,
        deadline_s=options.deadline_s,
        early_stop=None if (stop := options.stops_early) is None else stop.fine,
        traffic_per_month=options.traffic_per_month,
        vendors=_flat(options.vendors),
        release=tuple(options.release),
        reference=options.reference or "",
        primary=options.primary if options.release else "",
        variants=tuple(_variant(entry, files) for entry in options.variants),
    )


def _scorers(options: SuiteOptions) -> Iterator[tuple[str, type[Any] | None, Mapping[str, Any]]]:
    """Yield label, class and options of each scorer; a repeated name gets a number."""
    local = bool(options.judge and "local" in options.judge)
    seen: dict[str, int] = {}
    for item in options.scorers:
        name, value = next(iter(item.items())) if isinstance(item, Mapping) and item else (str(item), None)
        kind = str(name).removeprefix(NEGATION)
        cls = _class(kind, local=local)
        shorthand = cls.shorthand if isinstance(cls, Abbreviated) else "value"
        given = value if isinstance(value, Mapping) else {} if value is None else {shorthand: value}
        label = own_name(given, str(name)) if cls is PythonScorer else str(given.get("name", name))
        seen[label] = seen.get(label, 0) + 1
        number = f" #{seen[label]}" if seen[label] > 1 else ""
        yield label + number, cls, {**given, "kind": str(name)}


def _class(kind: str, *, local: bool) -> type[Any] | None:
    """Return the class of a scorer, `None` if it is unknown here or its package cannot be used."""
    try:
        found = find_scorer(kind, local=local)
    except ValueError:
        return None
    return found.cls if found else None


def _scorer(cls: type[Any] | None, given: Mapping[str, Any], files: Mapping[str, bytes]) -> dict[str, Any]:
    """Return a scorer's non-default options, and fingerprints of the files that they name."""
    contents = {f"file {name}": _fingerprint(files[name]) for name in _files_in(given) if name in files}
    return {**_unlike(cls, given), **contents, **_policy(given, files)}


def _policy(given: Mapping[str, Any], files: Mapping[str, bytes]) -> dict[str, list[str]]:
    """Return the rules of a policy file, to be compared one by one; nothing if it cannot be read."""
    file = str(given.get("file"))
    if str(given["kind"]).removeprefix(NEGATION) != "policy" or file not in files:
        return {}
    from evalkit.scorers.agents.policy_file import read_policy
    from evalkit.scorers.agents.policy_strength import rule_texts

    try:
        return {"policy": [*rule_texts(read_policy(files[file], file))]}
    except InputError:
        return {}


def _conversation(
    conversation: Mapping[str, Any], files: Mapping[str, bytes], read: Read, folder: str
) -> dict[str, Any]:
    """Return the non-default settings of conversations, with fingerprints of the files of their environment."""
    if not conversation:
        return {}
    from evalkit.llm.config import ChatConfig

    environment = conversation["environment"]
    code = _code({"call": environment["python"]}, read, folder) if isinstance(environment, Mapping) else {}
    contents = {f"file {name}": _fingerprint(files[name]) for name in _files_in(environment) if name in files}
    chat = conversation["user"]["chat"] if conversation["user"] else {}
    user = {f"user.{key}": value for key, value in _unlike(ChatConfig, model_options(chat)).items()}
    return {**_unlike(ConversationSettings, {**conversation, "user": None}), **user, **contents, **code}


def _code(given: Mapping[str, Any], read: Read, folder: str) -> dict[str, str]:
    """Return fingerprints of the project files that a custom scorer depends on, by name."""

    def read_in_project(names: Collection[str]) -> Mapping[str, bytes]:
        from_suite = {posixpath.relpath(name, folder): name for name in names}
        return {from_suite[name]: data for name, data in read(from_suite).items()}

    texts = imported_texts(str(given.get("call", "")).partition(":")[0], read_in_project)
    return {f"file {name}": _fingerprint(data) for name, data in sorted(texts.items())}


def _files_in(given: Any) -> Iterator[str]:
    """Yield the texts in a value that may be file names, at any depth."""
    if isinstance(given, str) and 0 < len(given) <= _PATH_CHARS and "\n" not in given:
        yield given
    for inner in given.values() if isinstance(given, Mapping) else given if isinstance(given, list | tuple) else ():
        yield from _files_in(inner)


def _variant_files(entry: Any) -> Iterator[str]:
    """Yield the file with the words of a `swap`, or with variants, under `variants:`."""
    given = entry if isinstance(entry, Mapping) else {}
    swap = given.get("swap")
    yield from _files_in(swap.get("file")) if isinstance(swap, Mapping) else ()
    yield from _files_in(given.get("file"))


def _variant(entry: Any, files: Mapping[str, bytes]) -> Any:
    """Return an entry under `variants:` with the fingerprint of the file that it names."""
    found = [name for name in _variant_files(entry) if name in files]
    return {**entry, "words": _fingerprint(files[found[0]])} if found else entry


def _system(system: Any) -> dict[str, Any]:
    kind = next((kind for kind in SYSTEMS if isinstance(system, Mapping) and kind in system), None)
    return _unlike(SYSTEMS[kind], system) if kind else _flat(system)


def _judge(options: SuiteOptions) -> Mapping[str, Any]:
    """Return the judge's non-default settings."""
    from evalkit.llm.config import ChatConfig

    judge = options.judge or {}
    found = {"chat": [judge["chat"]] if "chat" in judge else [], "panel": judge.get("panel", [])}
    models = {
        key: [_unlike(ChatConfig, model_options(each)) for each in every] for key, every in found.items() if every
    }
    return {**{key: value for key, value in judge.items() if key not in found}, **models}


def _unlike(cls: type[Any] | None, given: Any) -> dict[str, Any]:
    """Return flat options without defaults."""
    if not isinstance(given, Mapping) or cls is None:
        return _flat(given)
    defaults: dict[str, Any] = {"advisory": False, "when": None}
    for each in dataclasses.fields(cls):
        default = each.default if each.default_factory is dataclasses.MISSING else each.default_factory()
        defaults[key_of(each)] = default
    return _flat({key: value for key, value in given.items() if _plain(value) != _plain(defaults.get(key, ...))})


def _plain(value: Any) -> Any:
    return [_plain(each) for each in value] if isinstance(value, list | tuple) else value


def _flat(value: Any, key: str = "") -> dict[str, Any]:
    """Map dotted keys to numbers, booleans, short texts that are not secrets, or fingerprints of other texts."""
    if isinstance(value, Mapping):
        found: dict[str, Any] = {}
        for name, inner in value.items():
            found |= _flat(inner, f"{key}.{name}" if key else str(name))
        return found
    if isinstance(value, list | tuple) and any(isinstance(each, Mapping) for each in value):
        return {name: each for at, inner in enumerate(value) for name, each in _flat(inner, f"{key}[{at}]").items()}
    return {key: _shown(value, key)} if value is not None else {}


def _shown(value: Any, key: str) -> Any:
    if isinstance(value, bool | int) or (isinstance(value, float) and math.isfinite(value)):
        return value
    if isinstance(value, list | tuple) and key == "command":  # arguments may be keys
        return [_shown(each, key if at == 0 else "") for at, each in enumerate(value)]
    if isinstance(value, list | tuple):
        return [_shown(each, key) for each in value]
    text = str(value)
    top, last = re.split(r"[.\[]", key)[0], key.rpartition(".")[2]
    if (last in _SHOWN or top in ("when", "columns")) and len(text) <= _SHOWN_CHARS and not _SECRET_PLACE.search(text):
        return text
    return f"#{_fingerprint(text.encode('utf-8', 'surrogatepass'))}"


def _fingerprint(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()[:FINGERPRINT_HEX]


def _labels(data: bytes) -> LabelFile:
    lines = [line.strip() for line in data.split(b"\n") if line.strip()]
    return LabelFile(n=len(lines), rows=tuple(sorted(map(_fingerprint, lines))))
