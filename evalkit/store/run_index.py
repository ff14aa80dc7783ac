"""Index run folders, so that unchanged ones need not be read again."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from evalkit.disk.files import stamp_of

VERSION = 1
_TABLE = "CREATE TABLE IF NOT EXISTS runs (folder TEXT PRIMARY KEY, stamp TEXT NOT NULL, record TEXT NOT NULL)"
_BUSY_S = 2.0


class RunIndex:
    """Cache records by folder. It only saves reading, so any failure just disables it."""

    def __init__(self, file: Path | None) -> None:
        """Set the path of the index, `None` for no index; it is opened on entry."""
        self._file = file
        self._learnt: list[tuple[str, str, str]] = []
        self._base: sqlite3.Connection | None = None

    def __enter__(self) -> Self:
        """Open the index; an unreadable one is recreated, and without a path there is none."""
        if self._file is None:
            return self
        for _ in range(2):
            try:
                self._file.parent.mkdir(parents=True, exist_ok=True)
                self._base = sqlite3.connect(self._file, timeout=_BUSY_S)
                self._base.execute(_TABLE)
                return self
            except sqlite3.OperationalError:
                self._close()  # it cannot be opened, or another process has it: this time without
                break
            except sqlite3.DatabaseError:
                self._close()
                with suppress(OSError):
                    self._file.unlink(missing_ok=True)
            except OSError:
                break
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Write all new records at once, so that other readers do not wait."""
        if self._base is not None and self._learnt:
            with suppress(sqlite3.Error):
                self._base.executemany("INSERT OR REPLACE INTO runs VALUES (?, ?, ?)", self._learnt)
                self._base.commit()
        self._close()

    @staticmethod
    def stamp(files: Sequence[Path]) -> str:
        """Return a stamp that changes with any of the files: sizes and modification and change times."""
        known: list[object] = [VERSION]
        for file in files:
            try:
                known.append([file.name, *stamp_of(file.stat())])
            except OSError:
                known.append(file.name)
        return json.dumps(known)

    def get(self, folder: Path, stamp: str) -> Mapping[str, Any] | None:
        """Return the record of a folder, `None` if its files have changed since."""
        if self._base is None:
            return None
        try:
            query = "SELECT record FROM runs WHERE folder = ? AND stamp = ?"
            row = self._base.execute(query, (str(folder.resolve()), stamp)).fetchone()
            record = json.loads(row[0]) if row else None
        except (sqlite3.Error, ValueError, TypeError, RecursionError):
            return None
        return record if isinstance(record, dict) else None

    def put(self, folder: Path, stamp: str, record: Mapping[str, Any]) -> None:
        """Store the record of a folder."""
        self._learnt.append((str(folder.resolve()), stamp, json.dumps(record)))

    def _close(self) -> None:
        if self._base is not None:
            self._base.close()
            self._base = None
