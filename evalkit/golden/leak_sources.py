"""Read the texts in which cases may have leaked: prompts, few-shot files, folders of documents, training data."""

from __future__ import annotations

import codecs
import glob
import os
import re
import sys
import unicodedata
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from html.parser import HTMLParser
from pathlib import Path
from types import MappingProxyType
from typing import Any

from evalkit.disk.files import Unfit
from evalkit.errors import InputError, Problem
from evalkit.golden.encoding import MAX_LINE_BYTES, OtherKind, Undecodable, open_text
from evalkit.golden.header import RawTable
from evalkit.golden.leakage import LeakedCase, LeakIndex, Leaks
from evalkit.golden.read import GoldenSet
from evalkit.golden.rows import training_rows
from evalkit.golden.source import WORKBOOKS, GoldenSource, SearchedFiles

_ESCAPED = (".json", ".jsonl", ".ndjson", ".yaml", ".yml", ".toml", ".py")
_PAGES = (".html", ".htm")
_TEMPLATES = (".j2", ".jinja", ".jinja2", ".prompt", ".prompty", ".tmpl", ".mustache", ".xml")
_TABLES = (".parquet", ".arrow", ".feather")
_TEXTS = (".txt", ".md", ".markdown", ".rst", *_TEMPLATES)
KINDS = (*_TEXTS, *_PAGES, *_ESCAPED, ".csv", ".tsv", *_TABLES, *WORKBOOKS)
"""Files of a folder that are read; a file that is named itself is read as text if it is of another kind."""
_ESCAPE = re.compile(
    r"\\(?:u([0-9a-fA-F]{4})|U([0-9a-fA-F]{8})|x([0-9a-fA-F]{2})|([0-3][0-7]{2})"
    r"|N\{([A-Za-z0-9 -]+)\}|([nrtbf])|(.))"
)
_TAG = re.compile(r"</?[a-zA-Z][^<>]*>")
_PAGE_CHARS = 4 << 20
"""Characters of a page that are parsed at once."""
Fault = Callable[[str, str], Any]
"""Called with what is wrong and the fix."""


def files_of(pattern: str, base: Path, root: Path, fault: Fault) -> Iterator[Path]:
    """Yield the files that a path, a folder or a pattern with `*` names, in order.

    Of a folder, every file of its subfolders, also of linked ones, that is of a kind evalkit reads, but hidden ones.

    Args:
        pattern: as a suite has it.
        base: folder that it is relative to.
        root: root of the project, which no file may leave.
        fault: called if it names no file, one outside the project, or a folder that cannot be read.
    """
    if "\0" in pattern or "\\" in pattern:
        fault("a path with NUL or backslash", "write it with /")
        return
    n_found = 0
    for path in _named(pattern, base):
        inner = _inside(path, root, fault) if path.is_dir() else [path] if path.is_file() else []
        for file in inner:
            if not (path.is_dir() and _is_left_out(file)):
                n_found += 1
                if not _is_within(file, root):
                    by = "" if file == path else f" by the link {file.relative_to(path).as_posix()!r}"
                    fault(f"{pattern!r} leaves the project {root.name}/{by}", "copy the file into the project")
                    return
                yield Path(os.path.realpath(file))
    if not n_found:
        fault(f"no file {pattern!r} that can be searched", f"check the path; of a folder, {', '.join(KINDS)} are read")


def n_left_out(patterns: Iterable[str], base: Path, root: Path) -> int:
    """Return the number of files in the folders that paths or patterns name that are of kinds evalkit does not read."""
    folders = (path for pattern in patterns for path in _named(pattern, base) if path.is_dir())
    files = (file for folder in folders for file in _inside(folder, root, lambda what, fix: None))
    return len({os.path.realpath(file) for file in files if _is_left_out(file)})


def _named(pattern: str, base: Path) -> Iterable[Path]:
    whole = str(base / pattern)
    return map(Path, sorted(glob.glob(whole, recursive=True)) if glob.has_magic(pattern) else [whole])


def _inside(folder: Path, root: Path, fault: Fault) -> list[Path]:
    """Return the files of a folder that are not hidden, in order; a link to a folder outside the project is one."""
    found, visited = list[Path](), set[str]()

    def unreadable(error: OSError) -> None:
        name = Path(error.filename).relative_to(folder.parent).as_posix()
        fault(f"the folder {name!r} cannot be read: {error.strerror}", "check its permissions")

    for at, folders, files in os.walk(folder, onerror=unreadable, followlinks=True):
        inner = [Path(at, name) for name in sorted(folders) if not name.startswith(".")]
        outside = [path for path in inner if path.is_symlink() and not _is_within(path, root)]
        visited.add(os.path.realpath(at))
        new = [path for path in inner if path not in outside and os.path.realpath(path) not in visited]
        visited.update(map(os.path.realpath, new))
        folders[:] = [path.name for path in new]
        found += [*outside, *(Path(at, name) for name in files if not name.startswith("."))]
    return sorted(found)


def _is_within(path: Path, root: Path) -> bool:
    return Path(os.path.realpath(path)).is_relative_to(root)


def _is_left_out(file: Path) -> bool:
    """Return whether a file of a folder is of a kind that is not read; a pipe or a device is left out too."""
    return not file.is_dir() and (_kind(file) not in KINDS or (file.exists() and not file.is_file()))


def find_leaks(
    golden: GoldenSet,
    files: SearchedFiles,
    root: Path,
    canary: str = "",
    examples: Mapping[Path, Collection[str]] = MappingProxyType({}),
) -> Leaks:
    """Search files for the cases of a golden set.

    The set is read once, if there is a file at all; the files are streamed.

    Args:
        golden: the checked set.
        files: kind of source -> its files.
        root: root of the project, to which names in messages are relative.
        canary: string of the set that no file may hold.
        examples: file -> ids of the cases that it says it shows, which are no finding there.

    Raises:
        InputError: prompts or training data that cannot be read. A file of a corpus is listed in `unread`.
    """
    if not any(files.values()):
        return Leaks(found=(), n_cases=golden.n_cases, n_short=0)
    index = LeakIndex(golden.open(), canary)
    found, unread, problems = list[LeakedCase](), list[str](), list[Problem]()
    for source, each in files.items():
        for file in each:
            shown = file.relative_to(root).as_posix()
            try:
                leaks = index.search(lines_of(file, shown), source, shown)
                found += (leak for leak in leaks if leak.case_id not in examples.get(file, ()))
            except InputError as error:
                if source == "corpus":
                    unread += [str(problem) for problem in error.problems]
                else:
                    problems += error.problems
    if problems:
        raise InputError(problems)
    order = {case_id: at for at, case_id in enumerate(index.ids)}
    found.sort(key=lambda leak: order[leak.case_id])
    searched = {source: len(each) for source, each in files.items()}
    return Leaks(
        found=tuple(found), n_cases=index.n_cases, n_short=index.n_short, searched=searched, unread=tuple(unread)
    )


def lines_of(file: Path, shown: str, *, unseen: bool = True) -> Iterator[tuple[int, str]]:
    """Yield the text of a file by lines, with their numbers; of a table, by rows.

    Tags of HTML are left out. What a page does not show comes after its text, or is left out if not `unseen`. Escapes
    in strings of JSON, YAML, TOML and Python are resolved. None of these is parsed, so that a template is searched too.

    Raises:
        InputError: it cannot be read.
    """
    kind = _kind(file)
    problems: list[Problem] = []
    if kind in _TABLES:
        from evalkit.golden.tables import read_table

        rows = read_table(GoldenSource(path=file.name), file, RawTable(shown, "typed"))
        yield from ((number, "\n".join(_strings(row))) for number, row in rows)
    elif kind in WORKBOOKS:
        yield from ((number, "\n".join(_strings(row))) for number, row in training_rows(file, shown, problems.append))
    elif kind in _PAGES:
        yield from _page(_text_lines(file, shown), unseen=unseen)
    elif kind in _ESCAPED:
        yield from ((number, _unescaped(line)) for number, line in _text_lines(file, shown))
    else:
        yield from _text_lines(file, shown)
    if problems:
        raise InputError(problems)


def _text_lines(file: Path, shown: str) -> Iterator[tuple[int, str]]:
    number = 1
    fix = "save the file as UTF-8"
    decoder = codecs.getincrementaldecoder("utf-8")()
    try:
        with open_text(file) as opened:
            for line in iter(lambda: opened.readline(MAX_LINE_BYTES), b""):
                ends = line.endswith(b"\n")
                yield number, decoder.decode(line, final=ends)
                number += ends
            decoder.decode(b"", final=True)
    except UnicodeDecodeError:
        raise InputError(Problem(f"{shown}:{number}", "not UTF-8", fix)) from None
    except Undecodable as error:
        raise InputError(Problem(f"{shown}:{error.line}", str(error), fix)) from None
    except OtherKind as error:
        raise InputError(Problem(shown, str(error), error.fix)) from None
    except Unfit as error:
        raise InputError(Problem(shown, str(error.strerror), "name a text file")) from None
    except OSError as error:
        raise InputError(Problem(shown, f"cannot be read: {error.strerror}", "check its permissions")) from None


def _unescaped(line: str) -> str:
    """Return a line with its escapes resolved, as far as they separate or spell words."""
    if "\\" not in line:
        return line
    text = _ESCAPE.sub(_escaped, line)
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def _escaped(found: re.Match[str]) -> str:
    *of_16, of_8, name, space, letter = found.groups()
    if name:
        try:
            return unicodedata.lookup(name)
        except KeyError:
            return found[0]
    if space or letter:
        return letter or " "
    code = int(of_8, 8) if of_8 else int("".join(filter(None, of_16)), 16)
    return chr(code) if code <= sys.maxunicode else found[0]


class _Page(HTMLParser):
    """Collects the text of a page between its tags, and beside it what the page does not show."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.found: list[tuple[int, str]] = []
        self.unseen: list[tuple[int, str]] = []
        """Lines of scripts, styles, comments and attributes."""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        for _, value in attrs:
            self._add(self.unseen, value or "")

    def handle_data(self, data: str) -> None:
        if self.cdata_elem is None:
            self._add(self.found, data)
        else:
            self._add(self.unseen, _unescaped(data))

    def handle_comment(self, data: str) -> None:
        self._add(self.unseen, data)

    def handle_decl(self, decl: str) -> None:
        self._add(self.unseen, decl)

    def handle_pi(self, data: str) -> None:
        self._add(self.unseen, data)

    def unknown_decl(self, data: str) -> None:
        self._add(self.unseen, data)

    def close(self) -> None:
        if self.cdata_elem is not None:  # the parser drops a script without an end
            self.feed(f"</{self.cdata_elem}>")
        super().close()

    def _add(self, lines: list[tuple[int, str]], text: str) -> None:
        first = self.getpos()[0]
        lines += [(first + at, line) for at, line in enumerate(text.split("\n"))]


def _page(lines: Iterable[tuple[int, str]], *, unseen: bool) -> Iterator[tuple[int, str]]:
    page, held, size = _Page(), list[str](), 0
    for _, line in lines:
        held.append(line)
        size += len(line)
        if size >= _PAGE_CHARS:  # the parser reads what is open, such as a comment, again with each piece
            page.feed("".join(held))
            held, size = [], 0
            yield from page.found
            page.found = []
    page.feed("".join(held))
    page.close()
    yield from page.found
    if not unseen:
        return
    yield from page.unseen
    yield from ((number, _TAG.sub(" ", line)) for number, line in page.unseen)


def _strings(value: Any) -> Iterator[str]:
    """Yield every text in a value of JSON, in order."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping | list | tuple):
        for each in value.values() if isinstance(value, Mapping) else value:
            yield from _strings(each)


def _kind(file: Path) -> str:
    return Path(file.name.removesuffix(".gz")).suffix.lower()
