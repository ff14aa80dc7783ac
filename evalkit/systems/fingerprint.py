"""Tell two states of a system apart: hashes of its configuration and of the files that its answers depend on."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from evalkit.files import sha256_of

PROMPT_SUFFIXES = frozenset({".txt", ".md", ".prompt", ".j2", ".jinja", ".jinja2", ".mustache"})
"""Files beside the callable that hold prompts. Data and settings (JSON, YAML) are left out, since suites, golden sets
and results have these formats too: give `version` where the answers depend on them."""
_NOT_SOURCE = frozenset({"__pycache__", "node_modules", "site-packages"})


def config_hash(config: Any, ignore: Iterable[str], files: Iterable[tuple[str, Path]] = ()) -> str:
    """SHA-256 (hex) of a configuration and of files.

    Args:
        config: A frozen dataclass.
        ignore: Fields that no answer depends on, such as `timeout_s`.
        files: (name, path) of files whose content counts, in a fixed order.
    """
    skipped = frozenset(ignore)
    fields = {field.name: getattr(config, field.name) for field in dataclasses.fields(config)}
    kept = {name: value for name, value in fields.items() if name not in skipped}
    digest = hashlib.sha256(json.dumps([type(config).__name__, kept], sort_keys=True, default=_jsonable).encode())
    for name, path in files:
        digest.update(f"\0{name}\0{file_hash(path)}".encode("utf-8", "surrogateescape"))
    return digest.hexdigest()


def _jsonable(value: Any) -> Any:
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return dataclasses.asdict(value)
    if hasattr(value, "items"):
        return dict(value)
    return repr(value)


def file_hash(path: Path) -> str:
    """SHA-256 (hex) of a file's bytes, read in chunks; `absent` where it cannot be read."""
    try:
        return sha256_of(path)
    except OSError:
        return "absent"


def source_files(module_file: Path, module: str, project: Path) -> list[tuple[str, Path]]:
    """Files that a python system's answers depend on, as (relative name, path), sorted by name.

    They are every `*.py` of the project (of the module's top package where it lies outside the project), and the
    prompts in the module's own folder. Hidden folders, virtual environments and run folders do not count.
    """
    module_file, project = module_file.resolve(), project.resolve()
    if module_file.is_relative_to(project) and not _is_installed(module_file.relative_to(project)):
        top = project
    else:
        depth = module.count(".") + (module_file.name == "__init__.py")
        if depth == 0:
            return [(module_file.name, module_file)]
        top = module_file.parents[depth - 1]
    found = {path for path in _walk(top) if path.suffix == ".py"}
    found |= {path for path in _walk(module_file.parent) if path.suffix in PROMPT_SUFFIXES}
    found.add(module_file)
    return sorted((os.path.relpath(path, top), path) for path in found)


def _is_installed(relative: Path) -> bool:
    return any(part in _NOT_SOURCE or part.startswith(".") for part in relative.parts)


def _walk(top: Path) -> Iterator[Path]:
    for folder, names, files in os.walk(top):
        here = Path(folder)
        if "pyvenv.cfg" in files or ("manifest.json" in files and "rows.jsonl" in files):
            names.clear()
            continue
        names[:] = [name for name in names if name not in _NOT_SOURCE and not name.startswith(".")]
        yield from (here / file for file in files)
