"""What the tests of imports share: import a text, and look at what was written."""

from __future__ import annotations

import asyncio
import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

import evalkit
from evalkit.operations.import_ import FinishedImport, ImportRequest, import_source
from evalkit.types import Row


@dataclass(frozen=True)
class Import:
    """A finished import and its folder."""

    written: FinishedImport
    folder: Path

    @property
    def suite(self) -> Any:
        """The first suite."""
        return self.suites[0]

    @property
    def suites(self) -> list[Any]:
        """Every suite."""
        return [yaml.safe_load(file.read_text(encoding="utf-8")) for file in self.written.suites]

    @property
    def golden(self) -> list[dict[str, Any]]:
        """The golden rows."""
        return rows_of(self.folder / "golden.jsonl")

    @property
    def answers(self) -> list[dict[str, Any]]:
        """The stored outputs of the first system."""
        return rows_of(self.folder / "answers.jsonl")

    @property
    def counts(self) -> dict[str, tuple[int, int]]:
        """Part -> how many there are, and how many are carried over."""
        return {each.part: (each.found, each.carried) for each in self.written.counts}

    @property
    def losses(self) -> list[tuple[str, str]]:
        """Place and kind of every loss."""
        return [(loss.place, loss.what) for loss in self.written.losses]

    def read(self, name: str) -> str:
        """The text of a file."""
        return (self.folder / name).read_text(encoding="utf-8")

    def run(self, at: int = 0) -> dict[str, Row]:
        """The rows of a run of a suite, by case; with repeats, the last."""
        found = evalkit.run(self.written.suites[at], out=self.folder.parent / f"run-{at}", baseline="none")
        return {row.case.id: row for row in found.rows()}


def rows_of(file: Path) -> list[dict[str, Any]]:
    """The rows of a JSON Lines file."""
    return [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]


def import_file(source: Path, out: Path, **more: Any) -> Import:
    """Import a file."""
    written = asyncio.run(import_source(ImportRequest(source=source, out=out, **more), os.environ))
    return Import(written, out)


def import_text(folder: Path, name: str, content: Any, out: str = "out", **more: Any) -> Import:
    """Import a text, or a value as JSON, under a name."""
    (folder / "pyproject.toml").touch()
    text = content if isinstance(content, str) else json.dumps(content)
    (folder / name).write_text(text, encoding="utf-8")
    return import_file(folder / name, folder / out, **more)


def bytes_of(folder: Path) -> dict[str, bytes]:
    """Every file of a folder."""
    return {file.relative_to(folder).as_posix(): file.read_bytes() for file in folder.rglob("*") if file.is_file()}
