"""Find the file paths that python source names, as patterns relative to the project; unknown parts become `*`.

Nothing is executed: `Path(__file__).parent / f"{name}.md"` in `bots/bot.py` gives `bots/*.md`.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Callable, Iterator, Sequence
from itertools import product
from pathlib import PurePosixPath
from posixpath import normpath

ANCHOR = "//"
"""Prefix of a path known from the project's root; other paths may begin in any folder."""
_UNKNOWN = ("*",)
_MOST = 16
_DEPTH = 5
_JOINS = frozenset("Path PurePath PosixPath join joinpath open".split())
_SAME = frozenset("resolve absolute expanduser abspath realpath fspath str".split())
_LISTS = frozenset("iterdir listdir scandir walk FileSystemLoader PackageLoader".split())
_IMPORTS = frozenset("import_module __import__".split())
_WRITES = frozenset("write_text write_bytes touch FileHandler RotatingFileHandler connect basicConfig".split())


class Module:
    """The path expressions of one module."""

    def __init__(self, tree: ast.Module, relative: PurePosixPath) -> None:
        """Collect the variables.

        Args:
            tree: syntax tree of its source.
            relative: its path in the project.
        """
        self._tree, self._relative = tree, relative
        self._variables: dict[str, list[ast.expr]] = {}
        for node in ast.walk(tree):
            targets: Sequence[ast.expr] = node.targets if isinstance(node, ast.Assign) else ()
            if isinstance(node, ast.AnnAssign | ast.NamedExpr):
                targets = (node.target,)
            value: ast.expr | None = getattr(node, "value", None)
            for target in targets:
                if value is None:
                    continue
                name = getattr(target, "id", getattr(target, "attr", ""))
                self._variables.setdefault(name, []).append(value)

    def imported(self) -> Iterator[str]:
        """Yield the files that the module may import: in the project's root, or beside it.

        evalkit itself does not count, even if the project holds its source, because it grades and is not graded.
        """
        beside = self._relative.parent.as_posix()
        for name in imports_of(self._tree, self._relative):
            if name.partition(".")[0] == "evalkit" and self._relative.parts[0] != "evalkit":
                continue
            path = name.replace(".", "/")
            packages = [f"{parent}/__init__.py" for parent in PurePosixPath(path).parents if parent.name]
            for place in (f"{path}.py", f"{path}/__init__.py", *packages):
                yield from (place, normpath(f"{beside}/{place}"))

    def loaded(self) -> Iterator[str]:
        """Yield the files of modules that are imported by a computed name; a wholly unknown name does not count."""
        for node in ast.walk(self._tree):
            if isinstance(node, ast.Call) and _name(node) in _IMPORTS and node.args:
                for name in filter(lambda name: name.strip("*."), self.paths(node.args[0])):
                    path = name.lstrip(".").replace(".", "/")
                    yield from (f"{path}.py", f"{path}/__init__.py")

    def read(self) -> Iterator[str]:
        """Yield the paths that the module names, including those it writes; docstrings do not count."""
        docs = {id(node.value) for node in ast.walk(self._tree) if isinstance(node, ast.Expr)}
        for node in ast.walk(self._tree):
            if isinstance(node, ast.Constant):
                if isinstance(node.value, str) and id(node) not in docs and "\n" not in node.value:
                    yield node.value
            elif isinstance(node, ast.JoinedStr | ast.BinOp):
                yield from self.paths(node)
            elif isinstance(node, ast.Call):
                yield from self.paths(node)
                if _name(node) in _LISTS:
                    yield from (f"{path}/**" for part in _target(node) for path in self.paths(part))

    def written(self) -> Iterator[str]:
        """Yield the paths that the module opens for writing; a database may also be read."""
        for node in ast.walk(self._tree):
            if isinstance(node, ast.Call) and (_name(node) in _WRITES or _opens_to_write(node)):
                yield from (path for part in _target(node) for path in self.paths(part))

    def paths(self, node: ast.expr, depth: int = _DEPTH) -> Sequence[str]:
        """Return the paths that an expression may evaluate to; `*` for unknown parts."""
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            return (node.value,)
        if isinstance(node, ast.JoinedStr):
            return ("".join(str(part.value) if isinstance(part, ast.Constant) else "*" for part in node.values),)
        if depth == 0:
            return _UNKNOWN
        if isinstance(node, ast.BinOp):
            return self._of_operation(node, depth)
        if isinstance(node, ast.Call):
            return self._of_call(node, depth)
        if isinstance(node, ast.Subscript):
            return self._of_parents(node, depth)
        if isinstance(node, ast.Attribute) and node.attr == "parent":
            return self._up(node.value, 1, depth)
        return self._of_variable(node, depth)

    def _of_operation(self, node: ast.BinOp, depth: int) -> Sequence[str]:
        if isinstance(node.op, ast.Div):
            return self._combined((node.left, node.right), _joined, depth)
        if isinstance(node.op, ast.Add):
            return self._combined((node.left, node.right), "".join, depth)
        if isinstance(node.op, ast.Mod) and isinstance(node.left, ast.Constant) and isinstance(node.left.value, str):
            return (re.sub(r"%[\w.]+", "*", node.left.value),)
        return _UNKNOWN

    def _of_call(self, node: ast.Call, depth: int) -> Sequence[str]:
        name = _name(node)
        receiver = [node.func.value] if isinstance(node.func, ast.Attribute) else []
        if name in _JOINS:
            parts = [*receiver, *node.args] if name == "joinpath" else node.args[:1] if name == "open" else node.args
            return self._combined(parts, _joined, depth)
        if name in _SAME:
            return self.paths((node.args or receiver or [node])[0], depth - 1)
        if name == "dirname" and node.args:
            return self._up(node.args[0], 1, depth)
        if name == "with_name" and node.args:
            folders = self._up(receiver[0], 1, depth) if receiver else _UNKNOWN
            return _cut(_joined((a, b)) for a, b in product(folders, self.paths(node.args[0], depth - 1)))
        if name in ("glob", "rglob", "iglob") and node.args:
            deep = ["**/"] if name == "rglob" else [""]
            found = [f"{deep[0]}{path}" for path in self.paths(node.args[0], depth - 1)]
            folders = self.paths(receiver[0], depth - 1) if receiver else _UNKNOWN
            return _cut(_joined((a, b)) for a, b in product(folders, found))
        if name == "format" and receiver:
            return [re.sub(r"\{[^{}]*\}", "*", path) for path in self.paths(receiver[0], depth - 1)]
        return _UNKNOWN

    def _of_parents(self, node: ast.Subscript, depth: int) -> Sequence[str]:
        at = node.slice.value if isinstance(node.slice, ast.Constant) else None
        if isinstance(node.value, ast.Attribute) and node.value.attr == "parents" and isinstance(at, int):
            return self._up(node.value.value, at + 1, depth)
        return _UNKNOWN

    def _of_variable(self, node: ast.expr, depth: int) -> Sequence[str]:
        name = getattr(node, "id", getattr(node, "attr", ""))
        if name == "__file__":
            return (ANCHOR + self._relative.as_posix(),)
        values = self._variables.get(name, ())
        return _cut(path for value in values for path in self.paths(value, depth - 1)) or _UNKNOWN

    def _up(self, node: ast.expr, levels: int, depth: int) -> Sequence[str]:
        found = []
        for path in self.paths(node, depth - 1):
            parts = path.removeprefix(ANCHOR).split("/")
            if path.startswith(ANCHOR) and levels <= len(parts):
                found.append(ANCHOR + "/".join(parts[:-levels]))
            else:
                found.append("*")
        return found or _UNKNOWN

    def _combined(self, parts: Sequence[ast.expr], how: Callable[[tuple[str, ...]], str], depth: int) -> Sequence[str]:
        return _cut(how(each) for each in product(*(self.paths(part, depth - 1) for part in parts))) or _UNKNOWN


def imports_of(tree: ast.Module, relative: PurePosixPath) -> Iterator[str]:
    """Yield the dotted names that a module may import; relative imports are resolved in the project."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            above = relative.parts[: -node.level] if node.level else ()
            base = ".".join((*above, *filter(None, [node.module])))
            yield from (".".join(filter(None, (base, name))) for name in ("", *(alias.name for alias in node.names)))


def _cut(paths: Iterator[str]) -> list[str]:
    found: dict[str, None] = {}
    for path in paths:
        found[path] = None
        if len(found) == _MOST:
            break
    return list(found)


def _joined(parts: tuple[str, ...]) -> str:
    """Join paths as `/` does; an unknown first part may be any folder."""
    whole = ""
    for part in parts:
        if part.startswith("/"):
            whole = part
        elif whole in ("", "*"):
            whole = part
        else:
            whole = f"{whole.removesuffix('/')}/{part}" if whole != ANCHOR else ANCHOR + part
    if whole.startswith(ANCHOR):
        plain = normpath(whole[len(ANCHOR) :] or ".")
        return ANCHOR if plain == "." else ANCHOR + plain
    return normpath(whole) if whole else ""


def _name(call: ast.Call) -> str:
    return call.func.attr if isinstance(call.func, ast.Attribute) else getattr(call.func, "id", "")


def _target(call: ast.Call) -> list[ast.expr]:
    """Return the candidate expressions for the file or folder that a call works on."""
    receiver = [call.func.value] if isinstance(call.func, ast.Attribute) else []
    named = [word.value for word in call.keywords if word.arg in ("file", "filename", "path", "searchpath")]
    first = [] if _name(call) in ("write_text", "write_bytes") else call.args[:1]
    return [*receiver, *first, *named]


def _opens_to_write(call: ast.Call) -> bool:
    if _name(call) != "open":
        return False
    given = [*call.args[0 if isinstance(call.func, ast.Attribute) else 1 :]]
    given += [word.value for word in call.keywords if word.arg == "mode"]
    modes = [each.value for each in given if isinstance(each, ast.Constant) and isinstance(each.value, str)]
    return any(re.fullmatch("[rwaxbt+]{1,4}", mode) and set(mode) & set("wax+") for mode in modes)
