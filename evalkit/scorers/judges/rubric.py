"""Rubrics: Markdown texts that say how a judge grades.

```
---
name: correctness
version: 1
scale: [1, 5]          # or: pass_fail
---
Compare {{answer}} with {{reference}} ...
```
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

Scale = tuple[int, int] | Literal["pass_fail"]

MAX_BYTES = 64 * 1024
PARTS = ("question", "answer", "reference", "contexts")
SLOT = re.compile(r"\{\{\s*([^{}]*?)\s*\}\}")
FRONT_MATTER = re.compile(r"---[ \t]*\n(.*?)\n---[ \t]*\n(.*)", re.DOTALL)
KEYS = frozenset({"name", "version", "scale"})
PROJECT_MARKS = (".git", "pyproject.toml")


@dataclass(frozen=True)
class Rubric:
    """A rubric that was read and found sound.

    Attributes:
        name: Name in its front matter.
        version: Version in its front matter.
        scale: Lowest and highest level, or `pass_fail`.
        text: The body, with `{{answer}}` and its like.
        parts: The parts of a case that the body names.
        sha256: Digest of the whole file, front matter included.
    """

    name: str
    version: str
    scale: Scale
    text: str
    parts: frozenset[str]
    sha256: str

    def system_text(self) -> str:
        """The body with each slot written as the name of the block that holds the part."""
        return SLOT.sub(lambda slot: slot.group(1).upper(), self.text)


def read_rubric(root: Path, name: str) -> Rubric:
    """Read a rubric file.

    Args:
        root: Folder that `name` is relative to.
        name: Path of the file; it may not leave the project that `root` belongs to.

    Raises:
        ValueError: `rubric: what; mend`.
    """
    file = _resolve(root, name)
    try:
        with file.open("rb") as handle:
            content = handle.read(MAX_BYTES + 1)
    except OSError as error:
        raise ValueError(f"rubric: {name!r} cannot be read ({error.strerror}); check the path") from None
    if len(content) > MAX_BYTES:
        raise ValueError(f"rubric: {name!r} is longer than {MAX_BYTES} bytes; shorten it")
    return parse_rubric(content, name)


def _resolve(root: Path, name: str) -> Path:
    if "\0" in name or "\\" in name:
        raise ValueError("rubric: a path with NUL or backslash; write it with /")
    folder = root.resolve()
    above = (folder, *folder.parents)
    project = next((up for up in above if any((up / mark).exists() for mark in PROJECT_MARKS)), folder)
    file = (folder / name).resolve()
    if not file.is_relative_to(project):
        raise ValueError(f"rubric: {name!r} leaves the project; move the file into it")
    return file


def parse_rubric(content: bytes, source: str) -> Rubric:
    """Read a rubric from the bytes of its file.

    Raises:
        ValueError: `rubric: what; mend`.
    """
    try:
        text = content.decode("utf-8-sig").replace("\r\n", "\n")
    except UnicodeDecodeError as error:
        raise ValueError(f"rubric: {source}: not UTF-8 at byte {error.start}; save it as UTF-8") from None
    found = FRONT_MATTER.fullmatch(text)
    if not found:
        raise ValueError(f"rubric: {source}: no front matter; start with ---, name:, version:, scale:, ---")
    head, body = _front_matter(found.group(1), source), found.group(2).strip()
    return Rubric(
        name=str(head["name"]),
        version=str(head["version"]),
        scale=read_scale(head["scale"], f"rubric: {source}: scale"),
        text=body,
        parts=_parts(body, source),
        sha256=hashlib.sha256(content).hexdigest(),
    )


def _front_matter(text: str, source: str) -> dict[str, Any]:
    import yaml

    try:
        head = yaml.safe_load(text)
    except (yaml.YAMLError, RecursionError):
        raise ValueError(f"rubric: {source}: the front matter is no YAML; write `key: value` lines") from None
    if not isinstance(head, dict) or set(head) != KEYS:
        raise ValueError(f"rubric: {source}: the front matter needs exactly the keys {', '.join(sorted(KEYS))}; fix it")
    return head


def read_scale(value: Any, place: str) -> Scale:
    """Check a scale: `pass_fail`, or the lowest and the highest level as whole numbers.

    Raises:
        ValueError: `<place>: what; mend`.
    """
    if value == "pass_fail":
        return "pass_fail"
    levels = tuple(value) if isinstance(value, list | tuple) else ()
    if len(levels) != 2 or not all(type(level) is int for level in levels) or levels[0] >= levels[1]:
        raise ValueError(f"{place}: no scale; write pass_fail, or [lowest, highest] such as [1, 5]")
    return levels[0], levels[1]


def _parts(body: str, source: str) -> frozenset[str]:
    named = frozenset(SLOT.findall(body))
    unknown = sorted(named - set(PARTS))
    if unknown:
        slots = ", ".join(f"{{{{{part}}}}}" for part in PARTS)
        raise ValueError(f"rubric: {source}: unknown slot {{{{{unknown[0]}}}}}; choose from {slots}")
    if "answer" not in named:
        raise ValueError(f"rubric: {source}: never names the answer; write {{{{answer}}}} where it is meant")
    return named
