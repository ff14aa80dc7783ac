"""Find the files that a system's answers depend on: what it can import, and what its code or configuration names.

A file that merely appears beside the system (redirected output, a log, notes, a report) is named by nothing and does
not count; nor does one that the code opens for writing.
"""

from __future__ import annotations

import ast
import os
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Any

from evalkit.disk.paths_in_source import ANCHOR, Module, imports_of

PROMPT_FOLDERS = frozenset({"prompt", "prompts", "template", "templates"})
"""Folders beside the module whose files count even where the code builds their names out of sight."""
MAX_TEXT_BYTES = 1 << 20
"""Of a file that is searched for the names of others."""
_NOT_SOURCE = frozenset({"__pycache__", "node_modules", "site-packages"})
_CODE = frozenset({".py", ".pyi", ".pyc", ".pyo"})
_REDIRECTED = re.compile(r">{1,2}\s*[^\s;&|]+")
_WORD = re.compile(r"[\w./-]+")
_SUFFIX = re.compile(r"\.\w+$")
_MOST_NAMES = 50_000


class Names:
    """Names and patterns of files, as code and configuration write them."""

    def __init__(self, paths: Iterable[str], beside: PurePosixPath) -> None:
        """Take paths relative to any folder, or to the project's root where they begin with `ANCHOR`.

        Args:
            paths: with `*` for what is unknown, `**` for any folders.
            beside: folder of the module: a bare pattern such as `*.md` means files there, or in the project's root.
        """
        self._exact: set[str] = set()
        self._patterns: list[re.Pattern[str]] = []
        for path in {*paths}:
            anchored = path.startswith(ANCHOR)
            plain = path.replace("\\", "/").strip().removeprefix("./").strip("/")
            if not plain or len(plain) > 300 or not plain.strip("*./"):
                continue
            if "*" not in plain and "?" not in plain:
                self._exact.add(ANCHOR + plain if anchored else plain)
            elif anchored:
                self._patterns.append(_pattern(plain))
            elif "/" in plain:
                self._patterns.append(_pattern(f"**/{plain}"))
            elif _SUFFIX.search(plain):  # else it is a sentence with a figure in it rather than the name of a file
                folder = "" if beside == PurePosixPath(".") else f"{beside.as_posix()}/"
                self._patterns += [_pattern(folder + plain), _pattern(plain)]

    def exactly(self, relative: str) -> bool:
        """Tell whether a file of the project is named without a pattern."""
        parts = relative.split("/")
        ends = ("/".join(parts[at:]) for at in range(len(parts)))
        return ANCHOR + relative in self._exact or any(end in self._exact for end in ends)

    def match(self, relative: str) -> bool:
        """Tell whether a file of the project is named, by a pattern or without one."""
        return self.exactly(relative) or any(pattern.fullmatch(relative) for pattern in self._patterns)


def source_files(
    module_file: Path, module: str, project: Path, declared: Sequence[str] = (), leave_out: Iterable[Path] = ()
) -> list[tuple[str, Path]]:
    """List the files that a system's answers rest on, as (relative name, path), sorted by name.

    They are

    - every `*.py` of the project: of the module's top package where that lies outside the project, only the named
      ones where the system is a script in another language;
    - every other file there that the module, a module of the project that it imports, or `declared` names and that
      the code does not write; and what these files name in turn. Without a suffix, a file counts only if declared;
    - the files of a `prompts` or `templates` folder beside the module.

    Hidden folders, virtual environments and run folders do not count.

    Args:
        module_file: the module or script of the system.
        module: its dotted name.
        project: the project's root.
        declared: names and patterns that the suite gives, such as `tone/*.md`; they count even where they are written.
        leave_out: files with a meaning of their own for evalkit: suite, golden set, labels.
    """
    module_file, project = module_file.resolve(), project.resolve()
    if module_file.is_relative_to(project) and not _is_installed(module_file.relative_to(project)):
        top = project
    else:
        depth = module.count(".") + (module_file.name == "__init__.py")
        if depth == 0:
            return [(module_file.name, module_file)]
        top = module_file.parents[depth - 1]
    every = {_relative(path, top): path for path in _walk(top)}
    entry = _relative(module_file, top)
    is_python = module_file.suffix == ".py"
    code = {entry: module_file, **{name: path for name, path in every.items() if is_python and path.suffix == ".py"}}
    beside = PurePosixPath(_relative(module_file.parent, top))
    modules = list(_modules(entry, code)) if is_python else []
    words = () if is_python else _words(module_file)
    read = Names((*words, *(path for each in modules for path in each.read())), beside)
    written = Names((path for each in modules for path in each.written()), beside)
    wanted = Names(declared, beside)
    skipped = {path.resolve() for path in leave_out}
    others = {
        name: path
        for name, path in every.items()
        if path not in skipped and name not in code and (path.suffix not in _CODE or not is_python)
        if wanted.match(name) or not (written.exactly(name) or (written.match(name) and not read.exactly(name)))
    }
    found = {name for name in others if wanted.match(name) or _is_prompt(name, beside)}
    new = found | {name for name, path in others.items() if path.suffix and read.match(name)}
    while new:
        found |= new
        named = Names((word for name in new for word in _words(others[name])), beside)
        new = {name for name in others if name not in found and named.match(name)}
    return sorted({**code, **{name: others[name] for name in found}}.items())


def texts_in(value: Any) -> Iterator[str]:
    """Every string in nested options."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        yield from (text for each in value.values() for text in texts_in(each))
    elif isinstance(value, list | tuple):
        yield from (text for each in value for text in texts_in(each))


def _relative(path: Path, top: Path) -> str:
    return Path(os.path.relpath(path, top)).as_posix()


def _pattern(path: str) -> re.Pattern[str]:
    """A pattern of paths in which `*` stays inside one folder and `**` does not."""
    text = re.escape(path).replace(r"\*\*/", "(?:.*/)?").replace(r"\*\*", ".*").replace(r"\*", "[^/]*")
    return re.compile(text.replace(r"\?", "[^/]"))


def _is_prompt(name: str, beside: PurePosixPath) -> bool:
    path = PurePosixPath(name)
    return path.is_relative_to(beside) and bool(PROMPT_FOLDERS & set(path.relative_to(beside).parts[:-1]))


def _words(path: Path) -> Iterator[str]:
    """Words of a text file that may name other files; what a script redirects its output to is left out."""
    try:
        data = path.read_bytes() if path.stat().st_size <= MAX_TEXT_BYTES else b"\0"
    except OSError:
        return
    if b"\0" in data:
        return
    text = _REDIRECTED.sub(" ", data.decode("utf-8", "replace"))
    words = {word.strip("./-") for word in _WORD.findall(text)}
    yield from sorted(word for word in words if "." in word)[:_MOST_NAMES]


def _modules(entry: str, code: dict[str, Path]) -> Iterator[Module]:
    """The module and those of the project that it imports, as far as they can be parsed."""
    waiting = [entry]
    seen = {*waiting}
    while waiting:
        name = waiting.pop()
        relative = PurePosixPath(name)
        try:
            tree = ast.parse(code[name].read_bytes())
        except (OSError, SyntaxError, ValueError, RecursionError):
            continue
        yield Module(tree, relative)
        for imported in imports_of(tree, relative):
            path = imported.replace(".", "/")
            packages = [f"{parent}/__init__.py" for parent in PurePosixPath(path).parents if parent.name]
            places = [f"{path}.py", f"{path}/__init__.py", *packages]
            beside = [f"{relative.parent.as_posix()}/{place}" for place in places]
            new = [place for place in (*places, *beside) if place in code and place not in seen]
            seen.update(new)
            waiting += new


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
