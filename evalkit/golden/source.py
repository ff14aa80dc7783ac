"""Describe the source of a golden set and the settings for reading it."""

from __future__ import annotations

import codecs
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from difflib import get_close_matches
from pathlib import Path, PurePosixPath
from typing import Literal, get_args

from evalkit.formats.yaml_flow import flow
from evalkit.golden.names import KNOWN_FIELDS

SourceKind = Literal["prompts", "corpus", "trained_on"]
"""Texts that the system knows, in which cases may have leaked."""
SOURCES: tuple[SourceKind, ...] = get_args(SourceKind)
SearchedFiles = Mapping[SourceKind, Sequence[Path]]
SEPARATORS = {",": "commas", ";": "semicolons", "\t": "tabs", "|": "bars"}
"""Separator of a CSV file -> its name in messages."""
WORKBOOKS = (".xlsx", ".xlsm")
_WITHOUT_ENCODING = (*WORKBOOKS, ".parquet", ".arrow", ".feather")
_SEPARATED = (".csv", ".tsv")
_NO_TEXT = {"idna", "mbcs", "oem", "punycode", "raw_unicode_escape", "undefined", "unicode_escape"}
"""Codecs that decode something other than the text of a file."""
_PLACE = ("path", "url", "hub", "trained_on", "prompts", "corpus")
"""Settings that locate the rows; the others say how they are read."""
_SEPARATOR_OF_LISTS = 20
"""Maximum number of characters of a separator of list items."""


@dataclass(frozen=True, kw_only=True)
class GoldenSource:
    """The source of a golden set: a file, a remote file, or a data set of a hub."""

    path: str | None = None
    """JSON Lines (`.jsonl`, `.jsonl.gz`), CSV, TSV, Excel (`.xlsx`), JSON, YAML, Parquet or Arrow, relative to the
    suite."""
    url: str | None = None
    """A remote file of the same kinds (http or https), fetched and cached by `datasets`."""
    hub: str | None = None
    """Name of a data set on a hub, read through `datasets`."""
    split: str = "test"
    revision: str | None = None
    """Commit of the hub data set; without it a run cannot be reproduced."""
    make_ids: bool = False
    """Whether to make ids from the content of rows without an id."""
    trained_on: tuple[str, ...] = ()
    """Training data or prompt examples of the system or a judge: files of the same kinds as `path`."""
    prompts: tuple[str, ...] = ()
    """System prompts and few-shot files of the system: files, folders, or patterns such as `prompts/*.yaml`."""
    corpus: tuple[str, ...] = ()
    """Documents that the system retrieves from: folders, files, or patterns."""
    columns: Mapping[str, str] = field(default_factory=dict)
    """Field -> the column that holds it: `{input: Question, cohorts.topic: Theme}`."""
    lists: str | Mapping[str, str] | None = None
    """Separator of the items in cells of list fields, such as `";"`, or one for each field: `{required: ";"}`."""
    sheet: str | None = None
    """Name of the sheet of a workbook; default: the only one that is not empty."""
    separator: str | None = None
    """Separator of a CSV file, if its header does not show it: `,`, `;`, `|` or a tab."""
    encoding: str | None = None
    """Encoding of a text file that is not UTF-8 and has no byte order mark, such as `cp1252`."""

    def __post_init__(self) -> None:
        """Reject a source that names nothing or several things, and settings that cannot apply."""
        given = [one for one in (self.path, self.url, self.hub) if one is not None]
        if len(given) != 1 or not given[0].strip():
            raise ValueError("path: give exactly one of `path`, `url` and `hub`; write `golden: cases.jsonl`")
        if self.url is not None and not self.url.startswith(("http://", "https://")):
            raise ValueError("url: not an http or https URL; write `path` for a file of the project")
        self._check_columns()
        self._check_lists()
        for one in (self.lists or {}).values() if isinstance(self.lists, Mapping) else [self.lists]:
            if one is not None and (not one or len(one) > _SEPARATOR_OF_LISTS):
                raise ValueError(f'lists: {one!r} cannot separate items; write `lists: ";"`')
        if self.separator is not None and self.separator not in SEPARATORS:
            raise ValueError(f'separator: {self.separator!r} is not a separator; write ",", ";", "|" or "\\t"')
        if self.encoding is not None and not _is_text_encoding(self.encoding):
            raise ValueError(f"encoding: {self.encoding!r} is not known; write one such as cp1252 or utf-16")
        kind = _kind(given[0])
        if self.sheet is not None and kind not in WORKBOOKS:
            raise ValueError("sheet: only a workbook (.xlsx) has sheets; remove the key")
        if self.encoding is not None and kind in _WITHOUT_ENCODING:
            raise ValueError(f"encoding: {kind} files state their own encoding; remove the key")
        if self.separator is not None and kind not in _SEPARATED:
            raise ValueError("separator: only a CSV file has one; remove the key")

    def _check_lists(self) -> None:
        """Reject a field of `lists` with the misspelt name of a known field."""
        for name in self.lists if isinstance(self.lists, Mapping) else ():
            near = [] if name in KNOWN_FIELDS else get_close_matches(name.lower(), KNOWN_FIELDS, n=1, cutoff=0.8)
            if near:
                raise ValueError(f"lists: {name!r} is not a field; did you mean `{near[0]}`?")

    def _check_columns(self) -> None:
        twice = [column for column, n in Counter(self.columns.values()).items() if n > 1]
        if twice:
            raise ValueError(f"columns: {twice[0]!r} is named for two fields; name each column once")
        for name, column in self.columns.items():
            if not name.strip() or not column.strip():
                raise ValueError("columns: an empty name; write `columns: {input: Question}`")
            near = [] if name in KNOWN_FIELDS else get_close_matches(name.lower(), KNOWN_FIELDS, n=1, cutoff=0.85)
            if near:
                raise ValueError(f"columns: {name!r} is not a field; did you mean `{near[0]}`?")

    def line(self, **changes: object) -> str:
        """Return the line of a suite that states this source with some settings changed: text to copy."""
        given: dict[str, object] = {}
        for each in fields(self):
            value = changes.get(each.name, getattr(self, each.name))
            if value not in (None, (), {}, False, each.default):
                given[each.name] = value
        if list(given) == ["path"]:
            return f"golden: {flow(self.path)}"
        return f"golden: {flow(given)}"

    def reads_like(self, other: GoldenSource) -> bool:
        """Return whether the rows of one file are the same cases with both settings."""
        names = (each.name for each in fields(self) if each.name not in _PLACE)
        return all(getattr(self, name) == getattr(other, name) for name in names)

    def separator_of(self, name: str) -> str | None:
        """Return the separator of items in a cell of a list field, `None` if there is none."""
        return self.lists.get(name) if isinstance(self.lists, Mapping) else self.lists


@dataclass(frozen=True, kw_only=True)
class Reading:
    """The meaning of columns in the rest of a suite."""

    cohorts: tuple[str, ...] = ()
    """Cohorts to report by; a column with such a name is a cohort."""
    replays: bool = False
    """Whether the system replays answers of the golden rows, so that `answer` is a stored answer."""
    lists: frozenset[str] = frozenset()
    """The user's own fields that a scorer reads as lists of texts."""
    converses: bool | None = None
    """Whether the suite has conversations, whose rows have `turns` or `user`; `None` if no suite is known."""
    plays_user: bool = True
    """Whether rows with `user` can be run: a model plays the user, or the conversations are stored."""
    slots: Mapping[str, str] = field(default_factory=dict)
    """Slot, such as `person` of `{{person}}` -> word that fills it; empty if the suite fills none."""


def _kind(name: str) -> str:
    """Return the suffix of a file or URL, without that of a compressed file."""
    return PurePosixPath(name.partition("?")[0].removesuffix(".gz")).suffix.lower()


def _is_text_encoding(name: str) -> bool:
    try:
        found = codecs.lookup(name)
    except (LookupError, ValueError):
        return False
    return bool(getattr(found, "_is_text_encoding", True)) and found.name.replace("-", "_") not in _NO_TEXT
