"""Find the commit that a pull request is merged into, and read its files."""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from evalkit.disk.files import MAX_GIT_TEXT_BYTES
from evalkit.disk.paths import PROJECT_MARKS
from evalkit.errors import InputError
from evalkit.store.git import LFS, PREFIX, commit_of, git, split, too_large

TARGET_VARIABLES = ("GITHUB_BASE_REF", "CI_MERGE_REQUEST_TARGET_BRANCH_NAME")
"""Environment variables in which CI names the branch that a pull request is merged into."""
_USUAL = ("main", "master")
_SHORT = 7
_MAX_GREP = 200
_POINTER_BYTES = 1_024
_PIECE_BYTES = 1 << 20
_SHA256_HEX = 64
NOT_THERE = "it is not in that commit"
_MISSING = "missing"
_WHY_NOT = {
    _MISSING: NOT_THERE,
    "symlink": "it is a link that leaves the repository",
    "tree": "it is a folder",
}
_NOWHERE = "it is a link that leads nowhere"


@dataclass(frozen=True)
class Base:
    """A commit of the project's repository."""

    commit: str
    """Full hash."""
    shown: str
    """Display name, such as `origin/main@9f2c1ab`."""
    root: Path
    """The project's root; paths are relative to it."""
    prefix: str
    """Path of the root inside the repository: empty, or with a trailing slash."""
    is_head: bool
    """Whether this commit is checked out, so that only uncommitted changes differ from it."""

    def read(self, names: Collection[str]) -> Mapping[str, bytes]:
        """Read the named files of the commit; a path that leaves the repository counts as absent.

        For a file in Git LFS, return the file on disk if it is the same one, else the pointer.

        Args:
            names: paths relative to the project's root.

        Raises:
            InputError: a file is larger than `MAX_GIT_TEXT_BYTES`.
        """
        found: dict[str, bytes] = {}
        for name, (blob, size) in self._blobs(names).items():
            if size > MAX_GIT_TEXT_BYTES:
                raise too_large(f"{self.shown}:{name}", size, MAX_GIT_TEXT_BYTES)
            same = self._is_on_disk(name, blob, size)
            found[name] = (self.root / name).read_bytes() if same else git(self.root, "cat-file", "blob", blob)
        return found

    def differing(self, names: Collection[str]) -> list[str]:
        """List the named files of the commit that were changed or deleted on disk."""
        return sorted(name for name, blob in self._blobs(names).items() if not self._is_on_disk(name, *blob))

    def holding(self, names: Collection[str]) -> list[str]:
        """List the named files that the commit has."""
        return sorted(self._blobs(names))

    def copy(self, name: str, target: Path) -> str:
        """Write one file of the commit to `target`; return why it cannot be read, or an empty text."""
        kind, blob, size = self._look([name]).get(name, (_MISSING, "", 0))
        if kind != "blob":
            return _WHY_NOT.get(kind, _NOWHERE)
        git(self.root, "cat-file", "blob", blob, into=target)
        pointer = size <= _POINTER_BYTES and target.read_bytes().startswith(LFS)
        return "it is kept in Git LFS, and the one here differs" if pointer else ""

    def tracks(self, name: str) -> bool:
        """Return True if git tracks a file or folder on disk, or its link target."""
        real = os.path.relpath(os.path.realpath(self.root / name), self.root)
        try:
            return bool(git(self.root, "ls-files", "-z", "--", *{name, real}))
        except InputError:  # outside the repository
            return False

    def deleted(self) -> list[str]:
        """List the files of the commit below the project's root that are not on disk any more."""
        what = ("--name-only", "--no-renames", "--diff-filter=D", "--no-ext-diff", "--relative", "-z")
        listed = git(self.root, "diff", *what, self.commit, "--", ".")
        return [name for name in listed.decode("utf-8", "replace").split("\0") if name]

    def root_of(self, name: str) -> str:
        """Return the repository folder that is the project root of a file in the commit; empty for the top."""
        above = [str(folder) for folder in PurePosixPath(self.prefix + name).parents][:-1]
        marks = [(folder, f"{folder}/{mark}") for folder in above for mark in PROJECT_MARKS]
        found = self._at([mark for _, mark in marks])
        return next((folder for (folder, _), (kind, _, _) in zip(marks, found, strict=True) if kind != _MISSING), "")

    def files_with(self, text: str) -> list[str]:
        """Return the paths of at most 200 files below the project's root that contain a text."""
        try:
            listed = git(self.root, "grep", "-l", "-z", "-I", "-F", "-e", text, self.commit)
        except InputError:  # git ends with 1 if nothing is found
            return []
        paths = [entry.partition(":")[2] for entry in listed.decode("utf-8", "replace").split("\0") if entry]
        return paths[:_MAX_GREP]

    def _blobs(self, names: Collection[str]) -> dict[str, tuple[str, int]]:
        """Name -> (id, bytes) of the files in the commit, also behind links."""
        return {name: (blob, size) for name, (kind, blob, size) in self._look(names).items() if kind == "blob"}

    def _look(self, names: Collection[str]) -> dict[str, tuple[str, str, int]]:
        """Map each name to its entry in the commit: kind, id, bytes."""
        paths = {name: path for name in names if (path := self._path(name)) is not None}
        return dict(zip(paths, self._at(list(paths.values())), strict=True))

    def _at(self, paths: Sequence[str]) -> list[tuple[str, str, int]]:
        """Return kind, id and bytes at each path of the repository; links inside it are followed."""
        if not paths:
            return []
        asked = "".join(f"{self.commit}:{path}\n" for path in paths).encode()
        told = git(self.root, "cat-file", "--batch-check", "--follow-symlinks", given=asked)
        found, at = list[tuple[str, str, int]](), 0
        for _ in paths:
            end = told.index(b"\n", at)
            line, at = told[at:end], end + 1
            if match := re.fullmatch(rb"([0-9a-f]+) (\w+) (\d+)", line):
                found.append((match[2].decode(), match[1].decode(), int(match[3])))
            elif match := re.fullmatch(rb"(symlink|dangling|loop|notdir) (\d+)", line):
                found.append((match[1].decode(), "", 0))
                at += int(match[2]) + 1  # where the link leads, on lines of its own
            else:
                found.append((_MISSING, "", 0))
        return found

    def _path(self, name: str) -> str | None:
        """Return the path from the top of the repository, `None` if a commit cannot hold that name."""
        if name.startswith("/") or "\n" in name or "\0" in name:
            return None
        parts: list[str] = []
        for part in PurePosixPath(self.prefix + name).parts:
            if part == ".." and not parts:
                return None
            parts = parts[:-1] if part == ".." else [*parts, part]
        path = "/".join(parts)
        try:
            path.encode()
        except UnicodeEncodeError:  # half of a character
            return None
        return path or None

    def _is_on_disk(self, name: str, blob: str, size: int) -> bool:
        """Return True if the file on disk equals the commit's, or the one its Git LFS pointer names."""
        file = self.root / name
        if not file.is_file():
            return False
        if file.stat().st_size == size:
            algorithm = hashlib.sha256 if len(blob) == _SHA256_HEX else hashlib.sha1
            return _hashed(file, algorithm(b"blob %d\0" % size)) == blob
        pointer = git(self.root, "cat-file", "blob", blob) if size <= _POINTER_BYTES else b""
        stands_for = re.search(rb"oid sha256:([0-9a-f]{64})", pointer) if pointer.startswith(LFS) else None
        return stands_for is not None and _hashed(file, hashlib.sha256()) == stands_for[1].decode()


def _hashed(file: Path, digest: Any) -> str:
    with file.open("rb") as content:
        while piece := content.read(_PIECE_BYTES):
            digest.update(piece)
    return str(digest.hexdigest())


def find_base(root: Path, env: Mapping[str, str], asked: str | None, named: str | None) -> Base | None:
    """Find the commit that a change is compared with; `None` if there is none.

    The first of: the target branch that CI names, the ref of `--baseline git:REF:PATH`, the remote's default branch,
    the ref of the suite's own `git:` baseline, and a remote or local branch called main or master.

    Args:
        root: the project's root.
        env: the environment.
        asked: value of `--baseline`, `None` without it.
        named: baseline in the suite's gate, `None` if it compares with nothing.

    Raises:
        InputError: `asked` or `named` is a `git:` reference to a missing commit.
    """
    try:
        prefix, head = git(root, "rev-parse", "--show-prefix", "HEAD").decode("utf-8", "replace").split("\n")[:2]
    except (InputError, ValueError):
        return None
    refs = _refs(root, target_branch(env))
    for shown, commit in _candidates(root, env, refs, asked, named):
        return Base(commit, f"{shown}@{commit[:_SHORT]}", root, prefix, commit == head)
    return None


def target_branch(env: Mapping[str, str]) -> str | None:
    """Return the branch that a pull request is merged into, as named by CI."""
    return next((env[name] for name in TARGET_VARIABLES if env.get(name)), None)


def _candidates(
    root: Path, env: Mapping[str, str], refs: Mapping[str, tuple[str, str]], asked: str | None, named: str | None
) -> Iterator[tuple[str, str]]:
    target = target_branch(env)
    usual = [f"refs/{where}/{name}" for where in ("remotes/origin", "heads") for name in _USUAL]
    if target is not None:
        yield from (refs[ref] for ref in (f"refs/remotes/origin/{target}", f"refs/heads/{target}") if ref in refs)
    if asked and asked.startswith(PREFIX):
        yield split(asked)[0], commit_of(asked, root)
    if "refs/remotes/origin/HEAD" in refs:
        yield refs["refs/remotes/origin/HEAD"]
    if named and named.startswith(PREFIX):
        yield split(named)[0], commit_of(named, root)
    yield from (refs[ref] for ref in usual if ref in refs)


def _refs(root: Path, target: str | None) -> dict[str, tuple[str, str]]:
    """Map the full name of each branch that may be the base to (display name, commit)."""
    names = ["refs/remotes/origin/HEAD"]
    names += [f"refs/{w}/{b}" for w in ("remotes/origin", "heads") for b in (*_USUAL, *([target] if target else []))]
    shape = "--format=%(refname) %(objectname) %(symref)"
    listed = git(root, "for-each-ref", shape, *names).decode("utf-8", "replace")
    found: dict[str, tuple[str, str]] = {}
    for line in filter(None, listed.split("\n")):
        name, commit, symbolic = line.split(" ", 2)
        shown = (symbolic or name).removeprefix("refs/remotes/").removeprefix("refs/heads/")
        found[name] = (shown, commit)
    return found
