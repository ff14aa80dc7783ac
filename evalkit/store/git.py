"""Read files of a commit (`git:REF:PATH`) without a checkout, a shell or a hook."""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from evalkit.disk.temporary import temporary_folder
from evalkit.errors import InputError, Problem

PREFIX = "git:"
MAX_BYTES = 2_000_000_000
"""Size limit of one file of a baseline, which is written to disk."""
_REF = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_./+@~^-]*")
LFS = b"version https://git-lfs.github.com/spec/"
_LINK = "120000"
"""Mode of a symbolic link."""
_TIMEOUT_S = 60
_NO_GIT = "not found on this machine"
_NO_SURPRISES = {
    "GIT_TERMINAL_PROMPT": "0",
    "GIT_OPTIONAL_LOCKS": "0",
    # A partial clone would fetch missing objects, but only configured endpoints may be contacted.
    "GIT_NO_LAZY_FETCH": "1",
    "GIT_NO_REPLACE_OBJECTS": "1",
    "LC_ALL": "C",
}


def git(folder: Path, *words: str, given: bytes = b"", into: Path | None = None) -> bytes:
    """Run git in `folder` with `given` as input, and return its output, which is empty if it goes `into` a file.

    Raises:
        InputError: git failed, with its own message, or is not installed.
    """
    command = ["git", "-C", str(folder), "--literal-pathspecs", *words]
    env = {**os.environ, **_NO_SURPRISES}
    try:
        with into.open("wb") if into else nullcontext(subprocess.PIPE) as out:
            ended = subprocess.run(  # noqa: S603
                command, env=env, input=given, stdout=out, stderr=subprocess.PIPE, check=False, timeout=_TIMEOUT_S
            )
    except (FileNotFoundError, NotADirectoryError):  # the latter where the PATH names a file
        raise InputError(Problem("git", _NO_GIT, "install git, or name a folder")) from None
    except subprocess.TimeoutExpired:
        raise InputError(Problem("git", f"no answer within {_TIMEOUT_S} s", "try it by hand")) from None
    if ended.returncode:
        said = ended.stderr.decode("utf-8", "replace").strip().partition("\n")[0]
        raise InputError(Problem("git", said or f"exit code {ended.returncode}", "try it by hand"))
    return ended.stdout or b""


def head_commit(folder: Path) -> str | None:
    """Return the commit that is checked out in `folder`, `None` if there is none."""
    try:
        return git(folder, "rev-parse", "--verify", "HEAD").decode().strip()
    except InputError:
        return None


def split(reference: str) -> tuple[str, str]:
    """Split `git:REF:PATH` into ref and path.

    Raises:
        InputError: git could read one of them as something else, or the path leaves the repository.
    """
    ref, found, path = reference.removeprefix(PREFIX).partition(":")
    parts = PurePosixPath(path).parts
    problem = None
    if not found or not path:
        problem = "expected git:REF:PATH"
    elif not is_ref(ref):
        problem = f"{ref!r} is not a branch, tag or commit"
    elif path.startswith(("/", "-", ":")) or ".." in parts or not path.isprintable() or "\\" in path:
        problem = f"{path!r} is not a path inside the repository"
    if problem:
        fix = "write it like git:origin/main:reports/baselines/main"
        raise InputError(Problem(reference, problem, fix))
    return ref, PurePosixPath(path).as_posix()


def is_ref(text: str) -> bool:
    """Return True for a plain branch, tag or commit name that git cannot read as anything else."""
    return bool(_REF.fullmatch(text)) and ".." not in text and "@{" not in text and not text.endswith((".lock", "/"))


def commit_of(reference: str, root: Path) -> str:
    """Resolve a reference to the full hash of its commit.

    Raises:
        InputError: there is no such commit here.
    """
    ref, _ = split(reference)
    try:
        return git(root, "rev-parse", "--verify", "--quiet", "--end-of-options", f"{ref}^{{commit}}").decode().strip()
    except InputError as error:
        said = error.problems[0].what
        if said == _NO_GIT:
            raise
        what = f"no commit {ref!r} here" if said.startswith("exit code") else f"git says: {said}"
        fix = "fetch it first: `git fetch origin BRANCH`, in a workflow `fetch-depth: 0` of actions/checkout"
        raise InputError(Problem(reference, what, fix)) from None


def folder_at(reference: str, root: Path, names: Sequence[str]) -> Path | None:
    """Copy the named files that exist at `git:REF:PATH` to a temporary folder; `None` if the path does not exist.

    It lasts as long as the process.

    Raises:
        InputError: git does not know the reference, or a file cannot be read.
    """
    there = list(_entries(reference, root, as_folder=True))
    if not there:
        return None
    target = temporary_folder("evalkit-git-")
    for entry in there:
        if entry.path.name in names and entry.is_file:
            _copy(entry, root, target, f"{reference}/{entry.path.name}")
    return target


def file_at(reference: str, root: Path) -> Path:
    """Copy the file at `git:REF:PATH` to a temporary folder; it lasts as long as the process.

    Raises:
        InputError: git does not know the reference, or there is no such file that can be read.
    """
    entry = next(_entries(reference, root, as_folder=False), None)
    if entry is None or not entry.is_file:
        what = "no such file in that commit" if entry is None else "not a file"
        raise InputError(Problem(reference, what, "name a file as `git ls-files` lists it"))
    return _copy(entry, root, temporary_folder("evalkit-git-"), reference)


@dataclass(frozen=True)
class _Entry:
    """What a commit holds at one path."""

    path: PurePosixPath
    blob: str
    size: str
    is_file: bool


def _entries(reference: str, root: Path, *, as_folder: bool) -> Iterator[_Entry]:
    commit, (_, path) = commit_of(reference, root), split(reference)
    wanted = f"{path}/" if as_folder else path
    listed = git(root, "ls-tree", "-z", "-l", "--full-tree", commit, "--", wanted).decode("utf-8", "replace")
    for entry in filter(None, listed.split("\0")):
        facts, _, whole = entry.partition("\t")
        mode, kind, blob, size = facts.split()
        yield _Entry(PurePosixPath(whole), blob, size, kind == "blob" and mode != _LINK)


def _copy(entry: _Entry, root: Path, folder: Path, place: str) -> Path:
    """Write a file of a commit into a folder.

    Raises:
        InputError: it is too large, or in Git LFS.
    """
    if int(entry.size) > MAX_BYTES:
        raise too_large(place, int(entry.size), MAX_BYTES)
    file = folder / entry.path.name
    git(root, "cat-file", "blob", entry.blob, into=file)
    with file.open("rb") as written:
        pointer = written.read(len(LFS)) == LFS
    if pointer:
        raise InputError(Problem(place, "a Git LFS pointer, not the file", "keep it in git itself"))
    return file


def too_large(place: str, size: int, limit: int) -> InputError:
    """Build the error for a file that is too large to read."""
    return InputError(Problem(place, f"{size:,} bytes, at most {limit:,} are read", "keep a smaller file in git"))
