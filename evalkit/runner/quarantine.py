"""Run cases suspected of crashing the process in a disposable subprocess."""

from __future__ import annotations

import asyncio
import json
import os
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from evalkit.errors import EvalkitError, RunError
from evalkit.formats.rows import decode_row, encode_row
from evalkit.runner.chat_clients import Replies
from evalkit.runner.conversations import open_system
from evalkit.runner.engine import Stop, answered_and_graded, run_cases
from evalkit.runner.event_loop import run_to_end
from evalkit.runner.grading import grade_all
from evalkit.runner.prepare import prepare
from evalkit.runner.scoring import Scoring
from evalkit.store.row_keys import Key
from evalkit.suite.parse import load_suite
from evalkit.suite.systems import alone
from evalkit.types import Row

DEATHS = 2
"""Number of processes that died with a case in flight before it is isolated."""
_LINE_BYTES = 1 << 30
_REFUSED = 97


@dataclass(frozen=True)
class Quarantine:
    """Settings of the subprocess."""

    suite: Path
    concurrency: int
    replies: Replies
    env: Mapping[str, str]
    system: str = ""
    """Name of the system, if the suite has several."""

    async def ask(self, keys: Sequence[Key], on_row: Callable[[Row], object]) -> dict[Key, str]:
        """Run cases in a subprocess; if it dies, run each open case in a subprocess of its own.

        Args:
            keys: cases x repeats.
            on_row: called with each finished row.

        Returns:
            The cases that killed their process again, with how it ended.

        Raises:
            RunError: the other process could not begin.
        """
        left = set(keys)

        def taken(row: Row) -> None:
            left.discard((row.case.digest, row.repeat))
            on_row(row)

        code = await self._other_process(keys, taken)
        if not left:
            return {}
        if len(keys) == 1:
            return {keys[0]: f"signal {-code}" if code < 0 else f"exit code {code}"}
        killers: dict[Key, str] = {}
        for key in keys:
            killers |= await self.ask([key], on_row) if key in left else {}
        return killers

    async def _other_process(self, keys: Sequence[Key], on_row: Callable[[Row], None]) -> int:
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "evalkit.runner.quarantine",
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.DEVNULL,
            limit=_LINE_BYTES,
            env=dict(self.env),
            start_new_session=True,  # a Ctrl-C is ours to pass on
        )
        assert process.stdin is not None  # noqa: S101
        assert process.stdout is not None  # noqa: S101
        said = b""
        try:
            asked = {"suite": str(self.suite), "concurrency": self.concurrency, "replies": self.replies, "keys": keys}
            asked["system"] = self.system
            process.stdin.write(json.dumps(asked).encode() + b"\n")
            async for line in process.stdout:
                row = decode_row(line)
                if row is None:
                    said = line
                else:
                    on_row(row)
            code = await process.wait()
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()
        if code == _REFUSED:
            raise RunError(
                f"cannot run cases that may kill the process in a subprocess: {said.decode('utf-8', 'replace')}"
            )
        return code


def main() -> None:
    """Run the subprocess: read cases from standard input, write rows, and end with the parent."""
    asked = json.loads(sys.stdin.readline())
    rows = os.dup(1)
    os.dup2(2, 1)  # what the system prints is not a row
    threading.Thread(target=_die_with_parent, daemon=True).start()
    try:
        run_to_end(_ask(asked, rows))
    except EvalkitError as error:
        os.write(rows, " ".join(str(error).split()).encode("utf-8", "replace"))
        os._exit(_REFUSED)


def _die_with_parent() -> None:
    sys.stdin.read()
    os._exit(1)


async def _ask(asked: dict[str, Any], rows: int) -> None:
    suite = load_suite(Path(asked["suite"]))
    suite = alone(suite, asked["system"]) if asked["system"] else suite
    keys = {(digest, repeat) for digest, repeat in asked["keys"]}

    def keep(row: Row) -> list[Row]:
        line = encode_row(row)
        while line:
            line = line[os.write(rows, line) :]
        return [row]

    async with AsyncExitStack() as stack:
        prepared = await prepare(suite, os.environ, stack, replies=asked["replies"])
        answer = await stack.enter_async_context(open_system(suite.system, prepared))
        repeats = sorted({repeat for _, repeat in keys})
        digests = frozenset(digest for digest, _ in keys)
        cases = ((case, repeat) for case in prepared.golden.open(digests) for repeat in repeats)
        work = (each for each in cases if (each[0].digest, each[1]) in keys)
        make_row = answered_and_graded(answer, grade_all(prepared.graders, answer), Scoring(prepared.graders, {}).id)
        await run_cases(work, make_row, keep, concurrency=asked["concurrency"], stop=Stop())


if __name__ == "__main__":
    main()
