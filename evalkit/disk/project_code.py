"""Find and import `module:attribute` of a project."""

from __future__ import annotations

import importlib
import importlib.util
import operator
import os
import re
import sys
import traceback
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import Any

from evalkit.disk.bytecode import import_from_source
from evalkit.disk.files import Stamp, stamp_of
from evalkit.disk.sources import imported_files
from evalkit.errors import InputError, Problem
from evalkit.text.values import one_line

_PART = r"[^\s.:/\\]([^.:/\\]*[^\s.:/\\])?"
SPELLING = re.compile(rf"{_PART}(\.{_PART})*:[^\W\d]\w*(\.[^\W\d]\w*)*")
"""`package.module:name`, or `package.module:Class.method`. A folder such as `my-evals` is a package too, because
`importlib` can import from it although an `import` statement cannot."""


def load_callable(spelled: str, project: Path, place: str) -> Any:
    """Import `module:callable` from a project's root.

    Args:
        spelled: reference such as `suites.faq.bot:answer`.
        project: the project's root, which is added to the path; a file there takes precedence over an installed
            package.
        place: key of the suite, for messages.

    Raises:
        InputError: the import fails, another module of that name is loaded, or the attribute is missing or cannot be
            called.
    """
    name, _, attribute = spelled.partition(":")
    module = _import(name, project, place)
    try:
        function = operator.attrgetter(attribute)(module)
    except AttributeError as error:
        raise InputError(Problem(place, one_line(error), f"define `{attribute}` in {name}")) from None
    if not callable(function):
        what = f"{attribute} is {type(function).__name__}, not a callable"
        raise InputError(Problem(place, what, "name a function"))
    return function


def raised_at(error: BaseException, project: Path) -> str:
    """Return the last line of the project, as `file:line`, in an error's traceback; empty if there is none."""
    frames = traceback.extract_tb(error.__traceback__)
    ours = [frame for frame in frames if _is_own(Path(frame.filename), project)]
    return f"{Path(ours[-1].filename).relative_to(project).as_posix()}:{ours[-1].lineno}" if ours else ""


def _is_own(file: Path, project: Path) -> bool:
    """Return True for a file of the project that is not an installed package in an environment inside it."""
    return file.is_relative_to(project) and "site-packages" not in file.parts


def module_file(module: str, project: Path) -> Path | None:
    """Locate the source of a module: a file of the project, else an installed one; `None` for a compiled module."""
    if ours := project_file(module, project):
        return ours
    try:
        spec = importlib.util.find_spec(module)
    except BaseException:  # a parent package that fails to import is reported by `load_callable`
        return None
    if spec is None or spec.origin is None or not spec.origin.endswith(".py"):
        return None
    return Path(spec.origin)


@dataclass
class _Loaded:
    """Modules of a project that this process has loaded and runs depend on."""

    others: frozenset[str]
    """Names of its modules that were loaded before evalkit imported anything, and that no run has used since."""
    states: dict[str, Stamp | None] = field(default_factory=dict)
    """File of a module -> its stamp when evalkit first saw the module loaded."""


_LOADED: dict[Path, _Loaded] = {}


def note_loaded(project: Path) -> None:
    """Remember the files of a project's modules, so that an edit is noticed before the next run of this process."""
    loaded = _loaded(project)
    for name, file in _own_modules(project):
        if name not in loaded.others:
            loaded.states.setdefault(file, _state(file))


def _forget_edited(entry: str, project: Path) -> None:
    """Unload a project's modules if one was edited, because fingerprints and score keys describe the source on disk."""
    loaded = _loaded(project)
    if elsewhere := {name: file for name, file in _own_modules(project) if name in loaded.others}:
        source = project_file(entry, project)
        needed = {path.resolve() for path in imported_files(source, entry, project).values()} if source else set()
        taken = {name for name, file in elsewhere.items() if Path(file).resolve() in needed}
        loaded.others -= taken
        note_loaded(project)
    if all(_state(file) == state for file, state in loaded.states.items()):
        return
    for name, _ in _own_modules(project):
        if name not in loaded.others:
            del sys.modules[name]
    loaded.states.clear()


def _loaded(project: Path) -> _Loaded:
    if project not in _LOADED:
        _LOADED[project] = _Loaded(frozenset(name for name, _ in _own_modules(project)))
    return _LOADED[project]


def _own_modules(project: Path) -> list[tuple[str, str]]:
    """Yield the name and file of each loaded module of a project, except the running program and evalkit."""
    root = f"{project}{os.sep}"
    files = {name: getattr(module, "__file__", None) for name, module in list(sys.modules.items())}
    inside = [(name, file) for name, file in files.items() if isinstance(file, str) and file.startswith(root)]
    return [
        (name, file)
        for name, file in inside
        if _is_own(Path(file), project) and name.partition(".")[0] not in ("__main__", "evalkit")
    ]


def _state(file: str) -> Stamp | None:
    try:
        return stamp_of(os.stat(file))
    except OSError:
        return None


def _import(name: str, project: Path, place: str) -> ModuleType:
    _put_on_path(project)
    import_from_source(project)
    _forget_edited(name, project)
    try:
        module = importlib.import_module(name)
    except BaseException as error:  # also what an extension raises when it panics, and `pytest.skip`
        at = raised_at(error, project)
        what = f"importing {name} failed: {f'{at}: ' if at else ''}{type(error).__name__}: {one_line(error)}"
        is_missing = isinstance(error, ModuleNotFoundError) and f"{name}.".startswith(f"{error.name}.")
        near = _elsewhere(name, project) if is_missing else None
        hint = (
            f"write `{near}`, the path from" if near else f"see that `python -c '{_import_statement(name)}'` works in"
        )
        fix = f"{hint} the project's root, {project}"
        raise InputError(Problem(place, what, fix)) from None
    ours = project_file(name, project)
    if ours and module.__file__ and ours.resolve() != Path(module.__file__).resolve():
        what = f"another module called {name} is loaded already, from {module.__file__}"
        raise InputError(Problem(place, what, f"rename {ours}"))
    note_loaded(project)
    return module


def _elsewhere(name: str, project: Path) -> str | None:
    """Return the name, from the project's root, of a module that is called `name` from one of its folders."""
    file = Path(*name.split(".")).with_suffix(".py")
    folders = sorted(each for each in project.iterdir() if each.name.isidentifier() and os.path.isfile(each / file))
    return f"{folders[0].name}.{name}" if folders else None


def _import_statement(name: str) -> str:
    if all(part.isidentifier() for part in name.split(".")):
        return f"import {name}"
    return f'import importlib; importlib.import_module("{name}")'


def _put_on_path(project: Path) -> None:
    if (entry := str(project)) not in sys.path:
        sys.path.insert(0, entry)
    importlib.invalidate_caches()


def project_file(module: str, project: Path) -> Path | None:
    """Locate the source of a module in a project; `None` if it does not exist."""
    path = project.joinpath(*module.split("."))
    candidates = (path / "__init__.py", path.with_suffix(".py"))
    return next((candidate for candidate in candidates if candidate.is_file()), None)
