"""Find the files that a system's answers depend on: modules it can import, and files named in code or configuration.

A file that is not named, such as redirected output, a log or a report, does not count, and neither does a file that the
code opens for writing.
"""

from __future__ import annotations

import ast
import os
import re
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from pathlib import Path, PurePosixPath
from posixpath import normpath
from typing import Any

from evalkit.disk.files import MAX_SEARCHED_BYTES
from evalkit.disk.paths_in_source import ANCHOR, Module

PROMPT_FOLDERS = frozenset({"prompt", "prompts", "template", "templates"})
"""Folders beside the module whose files always count."""
_NOT_SOURCE = frozenset({"__pycache__", "node_modules", "site-packages"})
_CODE = frozenset({".py", ".pyi", ".pyc", ".pyo"})
_REDIRECTED = re.compile(r">{1,2}\s*[^\s;&|]+")
_WORD = re.compile(r"[\w./-]+")
_SUFFIX = re.compile(r"\.\w+$")
_MOST_NAMES = 50_000
_FILE = re.compile(r"[\w./-]{1,200}\.[A-Za-z0-9]{1,8}")


class Names:
    """File names and patterns found in code and configuration."""

    def __init__(self, paths: Iterable[str], beside: PurePosixPath) -> None:
        """Take paths relative to any folder, or to the project's root if they begin with `ANCHOR`.

        Args:
            paths: paths with `*` for unknown parts, `**` for any folders.
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
        """Return whether a file of the project is named without a pattern."""
        parts = relative.split("/")
        ends = ("/".join(parts[at:]) for at in range(len(parts)))
        return ANCHOR + relative in self._exact or any(end in self._exact for end in ends)

    def match(self, relative: str) -> bool:
        """Return whether a file of the project is named, with or without a pattern."""
        return self.exactly(relative) or any(pattern.fullmatch(relative) for pattern in self._patterns)


def source_files(
    module_file: Path, module: str, project: Path, declared: Sequence[str] = (), leave_out: Iterable[Path] = ()
) -> list[tuple[str, Path]]:
    """List the files that a system's answers depend on, as (relative name, path), sorted by name.

    They are

    - every `*.py` of the project: of the module's top package if that is outside the project, only the named ones
      if the system is a script in another language;
    - every other file there that the module, a module of the project that it imports, or `declared` names and that
      the code does not write; and the files that these name in turn. Without a suffix, a file counts only if declared;
    - the files of a `prompts` or `templates` folder beside the module.

    Hidden folders, virtual environments and run folders do not count.

    Args:
        module_file: the module or script of the system.
        module: its dotted name.
        project: the project's root.
        declared: names and patterns that the suite gives, such as `tone/*.md`; they count even if the code writes them.
        leave_out: files that evalkit reads itself: suite, golden set, labels, custom scorers. A module among them
            counts only if the system's module imports it.
    """
    skipped = {path.resolve() for path in leave_out}
    top = _top(module_file, module, project)
    if top is None:
        return [(module_file.name, module_file.resolve())]
    every = {_relative(path, top): path for path in _walk(top)}
    entry = _relative(module_file.resolve(), top)
    is_python = module_file.suffix == ".py"
    code = {entry: module_file, **{name: path for name, path in every.items() if is_python and path.suffix == ".py"}}
    modules = _modules(entry, code) if is_python else {}
    beside = PurePosixPath(entry).parent
    words = () if is_python else _words(module_file)
    others = {name: path for name, path in every.items() if path not in skipped and name not in code}
    if is_python:
        others = {name: path for name, path in others.items() if path.suffix not in _CODE}
    found = _named(others, modules.values(), beside, words, declared, prompts=True)
    own = {name: path for name, path in code.items() if name in modules or path not in skipped}
    return sorted({**own, **{name: others[name] for name in found}}.items())


def imported_files(
    module_file: Path,
    module: str,
    project: Path,
    leave_out: Iterable[Path] = (),
    *,
    gone: Iterable[str] = (),
    by_text: bool = False,
) -> dict[str, Path]:
    """List the files that one module depends on, by relative name: fewer than those of a system.

    They are the module, its imports from the project (or from its top package if that is outside the project), and the
    other files that these name and do not write.

    Args:
        module_file: source of the module.
        module: its dotted name.
        project: the project's root.
        leave_out: files that evalkit reads itself: suite, golden set, labels.
        gone: relative names of files that the project had; they are searched for as if they existed.
        by_text: whether to count modules imported by a computed name, as in `import_module("rules_" + name)`.
    """
    skipped = {path.resolve() for path in leave_out}
    top = _top(module_file, module, project)
    if top is None:
        return {module_file.name: module_file}
    every = {**{name: top / name for name in gone}, **{_relative(path, top): path for path in _walk(top)}}
    entry = _relative(module_file.resolve(), top)
    code = {entry: module_file, **{name: path for name, path in every.items() if path.suffix == ".py"}}
    modules = _modules(entry, code, by_text=by_text)
    others = {name: path for name, path in every.items() if path not in skipped and path.suffix not in _CODE}
    found = _named(others, modules.values(), PurePosixPath(entry).parent)
    own = {name: code[name] for name in sorted({*modules, *_packages(entry)} & code.keys())}
    return own | {name: others[name] for name in sorted(found)}


def imported_texts(module: str, read: Callable[[Collection[str]], Mapping[str, bytes]]) -> dict[str, bytes]:
    """Read the files that a module depends on if folders cannot be listed, as in a commit.

    They are those of `imported_files`, without files that the code names by a pattern.

    Args:
        module: its dotted name.
        read: names relative to the project's root -> contents of those that exist.

    Returns:
        Contents by name; empty if the module does not belong to the project.
    """
    path = module.replace(".", "/")
    waiting = {f"{path}.py", f"{path}/__init__.py", *_packages(path)}
    seen: set[str] = set()
    found: dict[str, bytes] = {}
    while waiting:
        seen |= waiting
        new = read(sorted(waiting))
        found.update(new)
        waiting = {place for name, data in new.items() if name.endswith(".py") for place in _places(name, data)} - seen
    return found if f"{path}.py" in found or f"{path}/__init__.py" in found else {}


def _top(module_file: Path, module: str, project: Path) -> Path | None:
    """Return the folder that names are relative to: the project, else the top package's; `None` for a lone module."""
    module_file, project = module_file.resolve(), project.resolve()
    if module_file.is_relative_to(project) and not _is_installed(module_file.relative_to(project)):
        return project
    depth = module.count(".") + (module_file.name == "__init__.py")
    return module_file.parents[depth - 1] if depth else None


def _named(
    others: Mapping[str, Path],
    modules: Iterable[Module | None],
    beside: PurePosixPath,
    words: Iterable[str] = (),
    declared: Sequence[str] = (),
    *,
    prompts: bool = False,
) -> set[str]:
    """Return the files named by modules, words or the suite, and those that these files name in turn.

    Args:
        others: files that are not code, by name.
        modules: the code.
        beside: folder of the first module.
        words: words of a script in another language.
        declared: names and patterns that count even if the code writes them.
        prompts: whether files of a folder of prompts beside the first module count too.
    """
    parsed = [module for module in modules if module is not None]
    read = Names((*words, *(path for each in parsed for path in each.read())), beside)
    written = Names((path for each in parsed for path in each.written()), beside)
    wanted = Names(declared, beside)
    left = {
        name: path
        for name, path in others.items()
        if wanted.match(name) or not (written.exactly(name) or (written.match(name) and not read.exactly(name)))
    }
    found = {name for name in left if wanted.match(name) or (prompts and _is_prompt(name, beside))}
    new = found | {name for name, path in left.items() if path.suffix and read.match(name)}
    while new:
        found |= new
        named = Names((word for name in new for word in _words(left[name])), beside)
        new = {name for name in left if name not in found and named.match(name)}
    return found


def texts_in(value: Any) -> Iterator[str]:
    """Yield every string in nested options."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        yield from (text for each in value.values() for text in texts_in(each))
    elif isinstance(value, list | tuple):
        yield from (text for each in value for text in texts_in(each))


def _relative(path: Path, top: Path) -> str:
    return Path(os.path.relpath(path, top)).as_posix()


def _pattern(path: str) -> re.Pattern[str]:
    """Compile a path pattern in which `*` stays inside one folder and `**` does not."""
    text = re.escape(path).replace(r"\*\*/", "(?:.*/)?").replace(r"\*\*", ".*").replace(r"\*", "[^/]*")
    return re.compile(text.replace(r"\?", "[^/]"))


def _is_prompt(name: str, beside: PurePosixPath) -> bool:
    path = PurePosixPath(name)
    return path.is_relative_to(beside) and bool(PROMPT_FOLDERS & set(path.relative_to(beside).parts[:-1]))


def _words(path: Path) -> Iterator[str]:
    """Yield the words of a text file that may be file names; a script's redirection targets are skipped."""
    try:
        data = path.read_bytes() if path.stat().st_size <= MAX_SEARCHED_BYTES else b"\0"
    except OSError:
        return
    if b"\0" in data:
        return
    text = _REDIRECTED.sub(" ", data.decode("utf-8", "replace"))
    words = {word.strip("./-") for word in _WORD.findall(text)}
    yield from sorted(word for word in words if "." in word)[:_MOST_NAMES]


def _modules(entry: str, code: Mapping[str, Path], *, by_text: bool = False) -> dict[str, Module | None]:
    """Return the module and the project modules it imports, by name; `None` for one that cannot be parsed."""
    waiting = [entry]
    found: dict[str, Module | None] = {}
    while waiting:
        name = waiting.pop()
        try:
            found[name] = module = Module(ast.parse(code[name].read_bytes()), PurePosixPath(name))
        except (OSError, SyntaxError, ValueError, RecursionError):
            found[name] = None
            continue
        waiting += [place for place in module.imported() if place in code and place not in found]
        if by_text:
            loaded = Names(module.loaded(), PurePosixPath(name).parent)
            waiting += [place for place in code if place not in found and loaded.match(place)]
    return found


def _places(name: str, data: bytes) -> set[str]:
    """Return the names of the files that a module may import or read."""
    try:
        module = Module(ast.parse(data), PurePosixPath(name))
    except (SyntaxError, ValueError, RecursionError):
        return set()
    written = Names(module.written(), PurePosixPath(name).parent)
    read = {path for path in module.read() if _FILE.fullmatch(path.removeprefix(ANCHOR))}
    plain = {normpath(path.removeprefix(ANCHOR)) for path in read}
    beside = {normpath(f"{PurePosixPath(name).parent}/{path}") for path in read if not path.startswith(ANCHOR)}
    return {*module.imported(), *(path for path in plain | beside if not written.match(path) and path[0] != ".")}


def _packages(path: str) -> set[str]:
    """Return the package files that run before a module is imported."""
    return {f"{parent}/__init__.py" for parent in PurePosixPath(path).parents if parent.name}


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
