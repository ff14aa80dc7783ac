"""Output streams: escape CI runner commands, redact secrets, and survive output that cannot be written."""

from __future__ import annotations

import codecs
import io
import os
import re
import threading
from collections.abc import Callable, Mapping
from typing import Any, TextIO

RUNNERS = ("GITHUB_ACTIONS", "TF_BUILD")
"""Variables of the runners (GitHub and those like it, Azure) that read commands out of what is printed."""
_COMMAND = re.compile(r"^([^\S\n]*):(?=:)|#(?=#(?:\[|vso\[))", re.MULTILINE)


class Listener:
    """Who reads standard output."""

    left = False
    """Whether output was dropped because its reader had gone."""


LISTENER = Listener()


class Tame:
    """A text stream on which no line begins with `::`, and `##[` never stands: the first sign shows as its number."""

    def __init__(self, stream: TextIO) -> None:
        """Write to `stream`."""
        self._stream = stream
        self._one_at_a_time = threading.Lock()
        self._blank = True
        """Whether nothing but white space stands on the line so far."""

    def write(self, text: str) -> int:
        """Write text, its commands made visible."""
        with self._one_at_a_time:  # a system may print in several threads
            before = "" if self._blank else "."
            self._stream.write(_COMMAND.sub(_named, before + text)[len(before) :])
            last = text.rpartition("\n")[2]
            self._blank = not last.strip() and (self._blank or "\n" in text)
        return len(text)

    def __getattr__(self, name: str) -> Any:
        """Everything else is the stream's own."""
        return getattr(self._stream, name)


class Unheard:
    """A stream for messages that goes on if nobody can be told any more: its reader left, or its disk is full."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        """Write text, or nothing from now on."""
        self._or_drop(lambda: self._stream.write(text))
        return len(text)

    def flush(self) -> None:
        """Send what was written, or drop it."""
        self._or_drop(self._stream.flush)

    def close(self) -> None:
        """Stay open: a system that closes its standard streams closes no one else's."""
        self.flush()

    def _or_drop(self, send: Callable[[], object]) -> None:
        try:
            send()
        except ValueError:
            self._stream = open(os.devnull, "w", encoding="utf-8")
        except OSError:
            os.dup2(os.open(os.devnull, os.O_WRONLY), self._stream.fileno())

    def __getattr__(self, name: str) -> Any:
        """Everything else is the stream's own."""
        return getattr(self._stream, name)


class Discreet:
    """A text stream that redacts secrets of the environment, whether evalkit, a system or a library writes them.

    What a child process, or C code, writes to the descriptor itself does not pass through here.
    """

    def __init__(self, stream: TextIO, env: Mapping[str, str]) -> None:
        self._stream, self._env = stream, env
        self._known: tuple[int, tuple[str, ...]] = (-1, ())

    def write(self, text: str) -> int:
        """Write text without secrets."""
        from evalkit.systems.secrets import redact

        self._stream.write(redact(text, self._secrets()))
        return len(text)

    def _secrets(self) -> tuple[str, ...]:
        """The secrets, searched again where variables were added since, as a `.env` file does."""
        from evalkit.systems.secrets import secrets_of

        if self._known[0] != len(self._env):
            self._known = (len(self._env), secrets_of(self._env))
        return self._known[1]

    def __getattr__(self, name: str) -> Any:
        """Everything else is the stream's own."""
        return getattr(self._stream, name)


def discreet(stream: TextIO, env: Mapping[str, str]) -> TextIO:
    """The stream without secrets of the environment; a closed one is `None` and stays so."""
    return Discreet(stream, env) if stream is not None else stream  # type: ignore[return-value]


def tamed(stream: TextIO, env: Mapping[str, str]) -> TextIO:
    """The stream as it is, or held back where a CI runner reads it; a closed one is `None` and stays so."""
    listened = stream is not None and any(env.get(name) for name in RUNNERS)
    return Tame(stream) if listened else stream  # type: ignore[return-value]


def spelled(stream: TextIO) -> TextIO:
    """The stream, on which a character beyond its encoding is spelled by its number as in JSON, and ends nothing."""
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
    """A stream whose failures end nothing; a closed one is `None` and stays so."""
    return Unheard(stream) if stream is not None else stream  # type: ignore[return-value]


def _named(found: re.Match[str]) -> str:
    return "<U+0023>" if found[0] == "#" else f"{found[1]}<U+003A>"
