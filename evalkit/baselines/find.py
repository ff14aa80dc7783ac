"""Find a baseline by name, folder, archive or commit."""

from __future__ import annotations

import os
import zipfile
from pathlib import Path, PurePosixPath

from evalkit.disk.files import unpacked_limit
from evalkit.disk.temporary import temporary_folder
from evalkit.errors import InputError, Problem
from evalkit.store.folder import (
    BASELINES,
    DECISION,
    FORMER_ROWS,
    MANIFEST,
    OLD_ROWS,
    REPORTS,
    ROWS,
    SEAL,
    SUMMARY,
    SYSTEMS,
    TIMINGS,
    VARIANT_ROWS,
    RunFolder,
    is_name,
)
from evalkit.store.git import PREFIX, folder_at
from evalkit.store.history import newest_run

FILES = (MANIFEST, f"{ROWS}.gz", ROWS, OLD_ROWS, FORMER_ROWS, VARIANT_ROWS, SUMMARY, TIMINGS, DECISION, SEAL)
"""Files of a baseline; all other files of a commit or an archive are ignored."""
LATEST = "latest"
"""Name of the run in the project's `reports` that finished last, unless a baseline or a file has that name."""
NO_ANSWERS = "none of its rows has an answer, so nothing can be compared with it"
"""Reason why a run cannot be a baseline."""
MOST_MEMBERS = 10_000
_PIECE_BYTES = 1 << 20


def find_baseline(name: str, root: Path) -> RunFolder | None:
    """Find the run called `name`; `None` if there is none yet.

    Args:
        name: name of a saved baseline; a run folder, one of its files, or a zip of it; `git:REF:PATH`; or `latest`.
        root: the project.

    Raises:
        InputError: the name refers to something that is not a run, or to a missing commit.
    """
    if name.startswith(PREFIX):
        found = folder_at(name, root, FILES)
        return None if found is None else _sound(found, name, copied=True)
    path = place_of(name, root)
    if path is None:
        return None
    return _sound(_unpacked(path), name, copied=True) if path.is_file() else _sound(path, name)


def place_of(name: str, root: Path) -> Path | None:
    """Return the folder or archive that a name refers to, existing or not; `None` for an unknown name."""
    if is_name(name):
        saved = root / BASELINES / name
        for folder in (saved, saved.with_name(set_aside_name(name))):
            if os.path.lexists(folder / MANIFEST):
                return folder
        if not any(path.is_file() or (path / MANIFEST).is_file() for path in (Path(name), root / name)):
            return newest_run(root / REPORTS) if name == LATEST else None
    path = Path(name).absolute() if Path(name).is_absolute() or Path(name).exists() else root / name
    return path.parent if path.is_file() and not zipfile.is_zipfile(path) else path


def set_aside_name(name: str) -> str:
    """Return the folder that holds a baseline while another one replaces it in two steps."""
    return f".{name}.old"


def how_to_save(name: str) -> str:
    """Return the command that saves a baseline called `name`."""
    if name.startswith(PREFIX):
        return "save one with `evalkit baseline save RUN --name main`, and commit reports/baselines/main to that branch"
    return f"save one with `evalkit baseline save RUN --name {name}`"


def _sound(path: Path, name: str, *, copied: bool = False) -> RunFolder:
    if not os.path.lexists(path / MANIFEST) and not (path / SYSTEMS).is_file():
        fix = "name the folder of a run, or save a baseline with `evalkit baseline save RUN --name main`"
        raise InputError(Problem(name, "no run there", fix))
    return RunFolder(path, origin=name if copied else "")


def _unpacked(file: Path) -> Path:
    """Unpack the files of a run into a temporary folder by their base names; paths in the archive are ignored."""
    target = temporary_folder("evalkit-baseline-")
    try:
        with zipfile.ZipFile(file) as archive:
            for member in archive.infolist()[:MOST_MEMBERS]:
                name = PurePosixPath(member.filename).name
                if name in FILES and not (target / name).exists():
                    _copy(archive, member, target / name)
    except (OSError, RuntimeError, NotImplementedError, zipfile.BadZipFile) as error:
        raise InputError(Problem(str(file), f"cannot be unpacked: {error}", "fetch the artifact again")) from None
    return target


def _copy(archive: zipfile.ZipFile, member: zipfile.ZipInfo, target: Path) -> None:
    """Copy one member without trusting its stated length."""
    limit = left = unpacked_limit(Path(archive.filename or "").stat().st_size)
    with archive.open(member) as source, target.open("wb") as file:
        while piece := source.read(_PIECE_BYTES):
            left -= len(piece)
            if left < 0:
                what = f"unpacks to more than {limit} bytes"
                raise InputError(Problem(f"{archive.filename}/{target.name}", what, "fetch the artifact again"))
            file.write(piece)
