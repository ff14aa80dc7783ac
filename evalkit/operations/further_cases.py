"""Run the cases that a whole run calls besides those of its golden set: held-out ones, and all by the reference."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from pathlib import Path

from evalkit.formats.manifest import Manifest
from evalkit.gate.assess import Terms
from evalkit.golden.held_out import read_held
from evalkit.golden.stored_lock import lockable
from evalkit.operations.held_run import held_of, open_before, run_held
from evalkit.operations.reference_run import reference_notice, reference_of, run_reference
from evalkit.operations.run import Request
from evalkit.runner.engine import Stop
from evalkit.runner.prepare import Prepared
from evalkit.runner.session import Watcher
from evalkit.store.folder import RunFolder
from evalkit.text.numbers import plural


async def run_further(  # noqa: PLR0913 - what a run depends on
    prepared: Prepared,
    terms: Terms,
    request: Request,
    folder: RunFolder,
    watcher: Watcher,
    stop: Stop,
    env: Mapping[str, str],
) -> Terms:
    """Return the terms with the figures of the held-out cases and the run of the reference system.

    Raises:
        InputError: there are problems in the held-out cases, or in a stored run.
        StoreError: the disk failed.
        Interrupted: the user stopped the run.
    """
    held = await run_held(prepared.suite, request, folder, watcher, stop, env)
    reference = await run_reference(prepared, request, folder, watcher, stop, env)
    before = open_before(held, prepared.suite.root, prepared.score_keys)
    return dataclasses.replace(terms, held=held, held_before=before, reference=reference)


def with_further(terms: Terms, folder: RunFolder, root: Path, manifest: Manifest) -> Terms:
    """Return the terms with what a stored run kept of these.

    Raises:
        InputError: it is damaged.
    """
    held, reference = held_of(folder), reference_of(folder, root, manifest)
    before = open_before(held, root, manifest.score_keys)
    return dataclasses.replace(terms, held=held, held_before=before, reference=reference)


def further_cases(prepared: Prepared) -> Iterator[str]:
    """Yield the held-out cases, and those of the reference system, that a whole run of one system runs first.

    Raises:
        InputError: the held-out cases cannot be read.
    """
    suite = prepared.suite
    file = suite.golden_file
    if file is not None and lockable(file.name) and not prepared.held_back and (held := read_held(file)):
        times = "" if suite.options.repeat == 1 else f", {suite.options.repeat} times each"
        yield f"{plural(len(held), 'held-out case')}, run first{times}"
    if notice := reference_notice(prepared):
        yield notice
