"""Cache judges' replies in SQLite beside the project."""

from __future__ import annotations

import hashlib
import hmac
import json
import sqlite3
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any, Self, TypeVar

from pydantic import BaseModel

from evalkit.llm.wire import ModelReply, Parsed, Token, find_value
from evalkit.types import Usage

try:
    import fcntl
except ImportError:  # no such locks on Windows: there replies are taken out beside a run, which asks again
    fcntl = None  # type: ignore[assignment]

T = TypeVar("T", bound=BaseModel)
FORMAT = 1
"""Version of the key's parts and of the stored format; it is part of each key."""

_SIGNED = b"evalkit reply 1"
_ATTEMPTS = 3
"""Number of attempts while other runs write to the cache."""

LOCK = "cache.lock"
"""Lock file beside the cache: shared by runs, held exclusively while replies are removed."""


class ReplyCache:
    """Cached model replies by key. A damaged, foreign or unreadable entry is a miss, never an error.

    Args:
        file: The database. Its folder is created, and kept out of version control. A file that is not a database is
            moved aside to `<name>.damaged`.
        clean: Removes secrets from a reply before it is stored.
        taken: Whether stored replies are used; if not, every question is asked again and the new reply replaces the old
            one.
        key: Key that replies are signed with; those signed with another key are a miss.
        problem: Why nothing is read or stored; empty if the cache works.

    Attributes:
        problem: Why nothing is stored; empty if replies are stored.
        n_foreign: Misses because a stored reply was not signed with this key.
    """

    def __init__(
        self,
        file: Path,
        clean: Callable[[Any], Any] = lambda reply: reply,
        *,
        taken: bool = True,
        key: bytes = b"",
        problem: str = "",
    ) -> None:
        self._file, self._key = file, key
        self._clean, self.taken = clean, taken
        self._db: sqlite3.Connection | None = None
        self._using = ExitStack()
        self.problem = problem
        self.n_foreign = 0

    def __enter__(self) -> Self:
        if self.problem:
            return self
        try:
            self._db = self._open()
        except (sqlite3.Error, UnicodeDecodeError, OSError) as error:
            self.problem = f"judges' replies are not kept in {self._file.name}: {error}"
        return self

    def __exit__(self, *_: object) -> None:
        if self._db is not None:
            self._db.close()
            self._db = None
        self._using.close()

    def get(self, key: str) -> dict[str, Any] | None:
        """Return the cached reply of a key, intact and signed with this cache's key, or `None`."""
        if self._db is None or not self.taken:
            return None
        try:
            found = self._found(self._db, key)
        except (sqlite3.Error, UnicodeDecodeError, OverflowError):
            return None
        reply = self._genuine(key, found)
        self.n_foreign += found is not None and reply is None
        return reply

    def put(self, key: str, reply: dict[str, Any]) -> dict[str, Any]:
        """Store a reply, unless another run has stored one in the meantime; then that one counts for both.

        If it cannot be written, it is not stored.

        Returns:
            The reply that counts: `reply` itself, or the other run's.
        """
        if self._db is None:
            return reply
        text = json.dumps(self._clean(reply))
        signed = (self._sum(key, text), text, time.time(), key)
        try:
            for _ in range(_ATTEMPTS if self.taken else 0):
                found = self._found(self._db, key)
                kept = self._genuine(key, found)
                if kept is not None:
                    return kept
                insert = "INSERT OR IGNORE INTO replies (sum, reply, kept_at, key) VALUES (?, ?, ?, ?)"
                update = "UPDATE replies SET sum = ?, reply = ?, kept_at = ? WHERE key = ? AND sum IS ?"
                done = (
                    self._db.execute(insert, signed) if found is None else self._db.execute(update, (*signed, found[0]))
                )
                if done.rowcount:
                    return reply
        except (sqlite3.Error, UnicodeDecodeError):
            pass  # what is there cannot be read: it is replaced
        with suppress(sqlite3.Error, UnicodeDecodeError):
            self._db.execute("INSERT OR REPLACE INTO replies (sum, reply, kept_at, key) VALUES (?, ?, ?, ?)", signed)
        return reply

    def flush(self) -> None:
        """Wait until the stored replies are on the disk; what cannot be written is a miss later."""
        if self._db is not None:
            with suppress(sqlite3.Error):
                self._db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()

    def _found(self, db: sqlite3.Connection, key: str) -> tuple[Any, Any] | None:
        found: tuple[Any, Any] | None = db.execute("SELECT sum, reply FROM replies WHERE key = ?", (key,)).fetchone()
        return found

    def _genuine(self, key: str, found: tuple[Any, Any] | None) -> dict[str, Any] | None:
        """Return the reply of a row if it was signed with this cache's key."""
        if found is None or not all(isinstance(part, str) for part in found):
            return None
        if not hmac.compare_digest(found[0].encode("utf-8", "replace"), self._sum(key, found[1]).encode()):
            return None
        reply: dict[str, Any] = json.loads(found[1])
        return reply

    def _sum(self, key: str, text: str) -> str:
        data = f"{key}{text}".encode("utf-8", "surrogatepass")
        return hashlib.blake2b(data, digest_size=16, key=self._key, person=_SIGNED).hexdigest()

    def _open(self) -> sqlite3.Connection:
        self._file.parent.mkdir(parents=True, exist_ok=True)
        ignored = self._file.with_name(".gitignore")
        if not ignored.exists():
            ignored.write_text("*\n", encoding="utf-8")
        self._using.enter_context(in_use(self._file))
        try:
            return connect(self._file)
        except sqlite3.OperationalError:
            raise
        except (sqlite3.DatabaseError, UnicodeDecodeError):
            self._file.replace(self._file.with_name(f"{self._file.name}.damaged"))
            return connect(self._file)


def key_of(parts: Iterable[Any]) -> str:
    """Return the hash of everything that changes a reply; the parts are JSON values."""
    return hashlib.sha256(json.dumps(list(parts), sort_keys=True).encode()).hexdigest()


@contextmanager
def in_use(file: Path, *, alone: bool = False) -> Iterator[bool]:
    """Lock the replies: shared for use, or exclusively with `alone`.

    Yields:
        Whether the lock is held; `alone` fails while another process uses the replies.
    """
    if fcntl is None:
        yield True
        return
    with file.with_name(LOCK).open("a") as held:
        free = True
        try:
            fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB if alone else fcntl.LOCK_SH)
        except BlockingIOError:
            free = False
        except OSError:
            pass  # a disk without locks: what is taken out beside a run is asked again
        yield free


def connect(file: Path) -> sqlite3.Connection:
    """Open the database; create or migrate it if necessary.

    Raises: sqlite3.Error: it is not a database, or cannot be written.
    """
    db = sqlite3.connect(file, timeout=5, isolation_level=None, check_same_thread=False)
    try:
        # Commits do not wait for the disk: replies lost in a power cut are asked again.
        db.execute("PRAGMA journal_mode = WAL")
        db.execute("PRAGMA synchronous = NORMAL")
        db.execute("CREATE TABLE IF NOT EXISTS replies (key TEXT PRIMARY KEY, sum TEXT, reply TEXT) WITHOUT ROWID")
        if "kept_at" not in {column[1] for column in db.execute("PRAGMA table_info(replies)")}:
            with suppress(sqlite3.OperationalError):  # another process was faster
                # The age of replies from an earlier version is unknown, so it is counted from today.
                db.execute(f"ALTER TABLE replies ADD COLUMN kept_at REAL NOT NULL DEFAULT {time.time()}")
    except (sqlite3.Error, UnicodeDecodeError):
        db.close()
        raise
    return db


def entry_of(reply: ModelReply | Parsed[Any]) -> dict[str, Any]:
    """Return the cached form of a reply: its text, its source, and its original usage."""
    tokens = reply.tokens if isinstance(reply, Parsed) else None
    return {
        "text": reply.text,
        "rung": reply.rung,
        "model": reply.model,
        "latency_s": reply.latency_s,
        "usage": {name: getattr(reply.usage, name) for name in ("input_tokens", "output_tokens", "cost_usd", "model")},
        "tokens": None if tokens is None else [[token.text, dict(token.alternatives)] for token in tokens],
    }


def reply_from(entry: Mapping[str, Any]) -> ModelReply:
    """Return the cached reply, with its original time and cost."""
    usage = Usage(**entry["usage"], cached=True)
    facts = {name: entry[name] for name in ("text", "rung", "model", "latency_s")}
    return ModelReply(usage=usage, **facts)


def parsed_from(entry: Mapping[str, Any], schema: type[T]) -> Parsed[T]:
    """Return the cached value, checked against its schema again.

    Raises:
        ValueError: It no longer fits the schema.
    """
    reply = reply_from(entry)
    tokens = None if entry["tokens"] is None else tuple(Token(text, shares) for text, shares in entry["tokens"])
    return Parsed(value=find_value(reply.text, schema), tokens=tokens, **vars(reply))
