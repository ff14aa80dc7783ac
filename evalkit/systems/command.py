"""Test a program: one process for each call."""

from __future__ import annotations

import asyncio
import json
import os
import re
import shlex
import shutil
import signal
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from evalkit.disk.bytecode import remove_bytecode
from evalkit.disk.sources import source_files
from evalkit.disk.temporary import temporary_folder
from evalkit.errors import Problem
from evalkit.formats.fields import parse_json
from evalkit.formats.messages import input_of
from evalkit.formats.options import LATER
from evalkit.systems.base import Answer, CallFailed, Shared, check_seconds, inside, timed
from evalkit.systems.fingerprint import config_hash
from evalkit.systems.output import to_output
from evalkit.systems.process import handed_on
from evalkit.systems.secrets import secrets_of
from evalkit.systems.tool_errors import check_tool_error
from evalkit.text.values import not_utf8, one_line
from evalkit.types import Case, Failure, Output

TOLD = ("message", "session", "turn", "resume")
"""Keys about a conversation that a program gets besides the messages."""
_SHOWN_STDERR = 1 << 13
_DESCRIBED = re.compile(r"""\s*\{\s*"text"\s*:""")
"""The beginning of an object that describes an answer, even if the rest of it cannot be read."""
_HELD_OPEN = (
    "the command had ended, but a process that it started holds standard output open, so its answer may be incomplete; "
    "start that process with `>/dev/null 2>&1`"
)


@dataclass(frozen=True, kw_only=True)
class CommandSystem:
    """Start a program for each case, in the suite's folder and without a shell.

    The program reads one JSON object {id, input, contexts, cohorts, kind} from its standard input; in a conversation,
    {message, session, turn, resume} too. Its output is the answer: a JSON object with `text` (and contexts, usage,
    tool_calls, trajectory, messages, state, stop, interrupt, fault, done, ttft_s), or else plain text. An exit code
    other than 0 is a failure. At the timeout the whole process group is killed. The program gets the environment of the
    run without the files and tokens of a CI runner.
    """

    command: str | tuple[str, ...]
    """Program and arguments: a list, or one line that is split like a shell does and run without a shell."""
    fields: tuple[str, ...] = ()
    """Additional fields of the row to send. Default: none, because a row also holds the expectations."""
    max_bytes: int = 10_000_000
    """Maximum number of bytes that the program may print."""
    timeout_s: float = 60.0
    version: str | None = None
    """Your name for this state of the program; it replaces the hash of its files."""
    files: tuple[str, ...] = ()
    """Additional files that answers depend on, such as `tone/*.md`, if the program does not name them in full."""
    tool_error: str | None = field(default=None, metadata=LATER)
    """Pattern (RE2) of the tool results that are errors, such as `^Error`, for tools that report them as plain text."""

    def __post_init__(self) -> None:
        try:
            argv = self.argv
        except ValueError as error:
            raise ValueError(f"command: {one_line(error)}; close the quotes, or write a list") from None
        if not argv or not argv[0] or any("\0" in part for part in argv):
            raise ValueError("command: no program; write `[python, bot.py]`")
        if "reference" in self.fields:
            raise ValueError("fields: a system is never shown the `reference`; remove it")
        if self.max_bytes < 1:
            raise ValueError(f"max_bytes: expected at least 1, got {self.max_bytes}; write a number such as 10000000")
        check_seconds("timeout_s", self.timeout_s)
        check_tool_error(self.tool_error)

    @property
    def argv(self) -> tuple[str, ...]:
        """Program and arguments."""
        return tuple(shlex.split(self.command)) if isinstance(self.command, str) else self.command

    def problems(self, shared: Shared) -> list[Problem]:
        """Check that the program exists and can be executed."""
        if _program(self.argv[0], shared):
            return []
        fix = "install it, or write its path from the suite's folder"
        return [Problem("system.command", f"no program {self.argv[0]!r} that can be run", fix)]

    def sources(self, shared: Shared) -> list[tuple[str, Path]]:
        """Return the project files that the command names, and the files that these depend on, as (name, path)."""
        waiting = [path for part in self.argv if (path := _project_file(part, shared))]
        found: dict[str, Path] = {}
        seen: set[Path] = set()
        while waiting:
            path = waiting.pop()
            if path not in seen:
                seen.add(path)
                new = source_files(path, path.stem, shared.project, self.files, shared.inputs)
                found.update(new)
                waiting += [each for _, each in new if each.suffix == ".py" and path.suffix != ".py"]
        return sorted(found.items())

    def fingerprint(self, shared: Shared) -> str | None:
        """Return a hash of the command and of its sources."""
        if self.version is not None:
            return self.version
        return config_hash(self, ("timeout_s", "version", "max_bytes", "files"), self.sources(shared))

    def open(self, shared: Shared) -> AbstractAsyncContextManager[Answer]:
        """Return the function that gives answers; nothing is held between calls."""
        return self._open(shared)

    @asynccontextmanager
    async def _open(self, shared: Shared) -> AsyncIterator[Answer]:
        argv = (_program(self.argv[0], shared) or self.argv[0], *self.argv[1:])
        if not remove_bytecode(path for _, path in self.sources(shared)):
            elsewhere = {"PYTHONPYCACHEPREFIX": str(temporary_folder("evalkit-bytecode-"))}
            shared = replace(shared, env={**shared.env, **elsewhere})

        async def answer(case: Case, repeat: int) -> Output | Failure:
            during = TOLD if shared.converses else ()
            request = json.dumps(_request(case, (*self.fields, *during))).encode()
            code, printed, errors = await _run(argv, shared, request, self.max_bytes)
            return _output(printed) if code == 0 else _exit_failure(code, errors)

        yield timed(answer, self.timeout_s, secrets_of(shared.env), self.tool_error)


def _program(name: str, shared: Shared) -> str | None:
    if os.sep in name:
        path = shared.root / name
        return str(path.absolute()) if path.is_file() and os.access(path, os.X_OK) else None
    return shutil.which(name, path=shared.env.get("PATH", os.defpath))


def _project_file(part: str, shared: Shared) -> Path | None:
    try:
        path = inside(shared, part)
        return path if path is not None and path.is_file() else None
    except OSError:  # an argument that is too long to be a path
        return None


def _request(case: Case, fields: tuple[str, ...]) -> dict[str, Any]:
    for name in fields:
        if name not in case.fields:
            raise CallFailed("missing_field", f"the command is to be sent `{name}`, which this row does not have")
    return {
        "id": case.id,
        "input": input_of(case),
        "contexts": list(case.contexts),
        "cohorts": dict(case.cohorts),
        "kind": case.kind,
        **{name: case.fields[name] for name in fields},
    }


class _Call(asyncio.SubprocessProtocol):
    """Collects the output of one process, and signals when it has exited and when its pipes are closed too."""

    def __init__(self, max_bytes: int) -> None:
        loop = asyncio.get_running_loop()
        self.exited: asyncio.Future[None] = loop.create_future()
        self.done: asyncio.Future[None] = loop.create_future()
        self.printed = bytearray()
        self.errors = b""
        self._max_bytes = max_bytes

    def pipe_data_received(self, fd: int, data: bytes) -> None:
        if fd == 2:
            said = self.errors + data
            # A word that is cut in two may be half a secret.
            self.errors = said if len(said) <= _SHOWN_STDERR else b"".join(said[-_SHOWN_STDERR:].split(maxsplit=1)[-1:])
        elif len(self.printed) + len(data) <= self._max_bytes:
            self.printed += data
        elif not self.done.done():
            what = f"it printed more than max_bytes ({self._max_bytes}); raise it if this is meant"
            self.done.set_exception(CallFailed("too_large", what))

    def process_exited(self) -> None:
        if not self.exited.done():
            self.exited.set_result(None)

    def connection_lost(self, exc: Exception | None) -> None:
        if not self.done.done():
            self.done.set_result(None)


async def _run(argv: tuple[str, ...], shared: Shared, request: bytes, max_bytes: int) -> tuple[int, bytes, bytes]:
    """Return the exit code, the output, and the end of standard error."""
    transport, call = await _start(argv, shared, max_bytes)
    try:
        _feed(transport, request)
        await call.done
        return transport.get_returncode() or 0, bytes(call.printed), call.errors
    except BaseException as error:
        if call.exited.done():
            error.add_note(_HELD_OPEN)
        _kill_group(transport)
        await call.exited
        raise
    finally:
        transport.close()  # lets go of pipes that a process which left the group still holds


async def _start(argv: tuple[str, ...], shared: Shared, max_bytes: int) -> tuple[asyncio.SubprocessTransport, _Call]:
    starting = asyncio.ensure_future(
        asyncio.get_running_loop().subprocess_exec(
            lambda: _Call(max_bytes),
            *argv,
            cwd=shared.root,
            env=handed_on(shared.env),
            start_new_session=True,  # its children share its process group, and can be killed with it
        )
    )
    try:
        return await asyncio.shield(starting)
    except asyncio.CancelledError:
        # The program may already run: a cancelled start would end it without the processes that it started.
        with suppress(OSError):
            transport, call = await starting
            _kill_group(transport)
            await call.exited
            transport.close()
        raise


def _feed(transport: asyncio.SubprocessTransport, request: bytes) -> None:
    # A program that does not read its input closes the pipe; its answer still counts.
    pipe = transport.get_pipe_transport(0)
    if isinstance(pipe, asyncio.WriteTransport):
        pipe.write(request)
        pipe.write_eof()


def _kill_group(transport: asyncio.SubprocessTransport) -> None:
    with suppress(ProcessLookupError, PermissionError):
        if hasattr(os, "killpg"):
            os.killpg(transport.get_pid(), signal.SIGKILL)
        else:
            transport.kill()


def _exit_failure(code: int, errors: bytes) -> Failure:
    lines = [line for line in errors.decode("utf-8", "replace").splitlines() if line.strip()]
    message = one_line(lines[-1]) if lines else "nothing on standard error"
    return Failure(f"exit_{code}" if code > 0 else f"signal_{-code}", message)


def _output(printed: bytes) -> Output | Failure:
    try:
        text = printed.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        what = f"the command's output is {not_utf8(error)}"
        return Failure("bad_output", f"{what}; print UTF-8, in Python with PYTHONIOENCODING=utf-8")
    if not text.strip():
        return Failure("bad_output", 'the command printed nothing; print {"text": ""} for an empty answer')
    if text.lstrip().startswith("{"):
        try:
            value = parse_json(text)
        except ValueError as error:
            if _DESCRIBED.match(text):
                what = f"the command printed an object with `text` that is not JSON ({one_line(error)})"
                return Failure("bad_output", f"{what}; print the whole object, in Python with json.dumps")
        else:
            # An object without `text` is an answer in JSON, not a description of one.
            if "text" in value:
                return to_output(value)
    return Output(text=text.rstrip("\r\n"))
