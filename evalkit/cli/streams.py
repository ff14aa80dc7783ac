"""Wrap output streams: escape CI runner commands, redact secrets, and survive write errors."""

from __future__ import annotations

import codecs
import io
import os
import re
import threading
from collections.abc import Callable, Mapping
from typing import Any, TextIO

RUNNERS = ("GITHUB_ACTIONS", "TF_BUILD")
"""Environment variables of runners (GitHub and compatible ones, Azure) that execute commands in printed text."""
_COMMAND = re.compile(r"^([^\S\n]*):(?=:)|#(?=#(?:\[|vso\[))", re.MULTILINE)


class Listener:
    """The state of the reader of standard output."""

    left = False
    """Whether output was dropped because the reader had gone."""


LISTENER = Listener()


class Tame:
    """A text stream without runner commands: a leading `::` and any `##[` are escaped."""

    def __init__(self, stream: TextIO) -> None:
        """Write to `stream`."""
        self._stream = stream
        self._one_at_a_time = threading.Lock()
        self._blank = True
        """Whether the line so far is blank."""

    def write(self, text: str) -> int:
        """Write text with its commands escaped."""
        with self._one_at_a_time:  # a system may print in several threads
            before = "" if self._blank else "."
            self._stream.write(_COMMAND.sub(_named, before + text)[len(before) :])
            last = text.rpartition("\n")[2]
            self._blank = not last.strip() and (self._blank or "\n" in text)
        return len(text)

    def __getattr__(self, name: str) -> Any:
        """Delegate everything else to the stream."""
        return getattr(self._stream, name)


class Unheard:
    """A stream for messages that continues when its reader has left or its disk is full."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        """Write text; after a failure, write nothing."""
        self._or_drop(lambda: self._stream.write(text))
        return len(text)

    def flush(self) -> None:
        """Flush the text, or drop it."""
        self._or_drop(self._stream.flush)

    def close(self) -> None:
        """Stay open when a system closes its standard streams."""
        self.flush()

    def _or_drop(self, send: Callable[[], object]) -> None:
        try:
            send()
        except ValueError:
            self._stream = open(os.devnull, "w", encoding="utf-8")
        except OSError:
            os.dup2(os.open(os.devnull, os.O_WRONLY), self._stream.fileno())

    def __getattr__(self, name: str) -> Any:
        """Delegate everything else to the stream."""
        return getattr(self._stream, name)


class Discreet:
    """A text stream that redacts secrets of the environment from all text written to it.

    Output that a child process or C code writes to the descriptor itself does not pass through here.
    """

    def __init__(self, stream: TextIO, env: Mapping[str, str]) -> None:
        self._stream, self._env = stream, env
        self._known: tuple[int, tuple[str, ...]] = (-1, ())

    def write(self, text: str) -> int:
        """Write text with secrets redacted."""
        from evalkit.systems.secrets import redact

        self._stream.write(redact(text, self._secrets()))
        return len(text)

    def _secrets(self) -> tuple[str, ...]:
        """Return the secrets, collected again after variables were added, as by a `.env` file."""
        from evalkit.systems.secrets import secrets_of

        if self._known[0] != len(self._env):
            self._known = (len(self._env), secrets_of(self._env))
        return self._known[1]

    def __getattr__(self, name: str) -> Any:
        """Delegate everything else to the stream."""
        return getattr(self._stream, name)


def discreet(stream: TextIO, env: Mapping[str, str]) -> TextIO:
    """Wrap a stream to redact secrets of the environment; a closed one is `None` and stays so."""
    return Discreet(stream, env) if stream is not None else stream  # type: ignore[return-value]


def tamed(stream: TextIO, env: Mapping[str, str]) -> TextIO:
    """Wrap a stream that a CI runner reads, to escape commands; a closed one is `None` and stays so."""
    listened = stream is not None and any(env.get(name) for name in RUNNERS)
    return Tame(stream) if listened else stream  # type: ignore[return-value]


def spelled(stream: TextIO) -> TextIO:
    """Make a stream escape characters that its encoding lacks, as in JSON, instead of failing."""
    codecs.register_error("spelled", _spelled)
    if isinstance(stream, io.TextIOWrapper) and codecs.lookup(stream.encoding).name != "utf-8":
        stream.reconfigure(errors="spelled")
    return stream


def _spelled(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    units = error.object[error.start : error.end].encode("utf-16-be", "surrogatepass")
    return "".join(f"\\u{high:02x}{low:02x}" for high, low in zip(units[::2], units[1::2], strict=True)), error.end


def unheard(stream: TextIO) -> TextIO:
    """Wrap a stream so that its failures are ignored; a closed one is `None` and stays so."""
    return Unheard(stream) if stream is not None else stream  # type: ignore[return-value]


def _named(found: re.Match[str]) -> str:
    return "<U+0023>" if found[0] == "#" else f"{found[1]}<U+003A>"
