"""Read rubrics: Markdown texts that tell a judge how to grade.

```
---
name: correctness
version: 1
scale: [1, 5]          # or: pass_fail, criteria, pairwise
---
Compare {{answer}} with {{reference}} ...
```

A scale of `turns` gives a verdict on each turn of a {{conversation}}, of the assistant or, with `of: user`, of the
user; with `from_turn: 2` the first turn is left out. A scale of `requests` lists what the user asks for and whether it
is met.
A scale of `criteria` lists them in the front matter (`criteria: {id: "what has to hold", ...}`): the judge says of each
whether it is met. `examples: [id, ...]` names the cases that the text shows as examples, so that their labels do not
count for the judge. A `pairwise` rubric compares {{first}} with {{second}} instead of grading {{answer}}. A suite may
also write the text itself; without front matter, its scale is an option of the judge.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from evalkit.disk.files import Unfit, read_file
from evalkit.disk.paths import inside_project
from evalkit.errors import InputError
from evalkit.text.values import not_utf8

Scale = tuple[int, int] | Literal["pass_fail", "criteria", "pairwise", "turns", "requests"]
Speaker = Literal["assistant", "user"]

WORDS = ("pass_fail", "criteria", "pairwise", "turns", "requests")
MAX_BYTES = 64 * 1024
MAX_LEVELS = 101
"""Maximum number of levels, such as 0 to 100; the schema of a judge's reply lists each."""
PARTS = ("question", "answer", "reference", "contexts", "conversation", "goal", "state", "tools")
PAIR_PARTS = ("question", "first", "second", "reference", "contexts")
SLOT = re.compile(r"\{\{\s*([^{}]*?)\s*\}\}")
FRONT_MATTER = re.compile(r"---[ \t]*\n(.*?)\n---[ \t]*\n(.*)", re.DOTALL)
KEYS = frozenset({"name", "version", "scale"})
TURN_KEYS = frozenset({"of", "from_turn"})
"""Additional keys for a scale of `turns`."""
CRITERION = re.compile(r"[a-z][a-z0-9_]{0,39}")
SHIPPED = Path(__file__).with_name("rubrics")
"""Rubrics that come with the package; a suite names them without a path: `rubric: correctness`."""


IN_SUITE = "the text in the suite"
NO_SLOT = "Grade {{answer}} as the answer to {{question}}."
"""Added to a rubric in a suite that names no part of the case."""


@dataclass(frozen=True)
class Rubric:
    """A valid rubric.

    Attributes:
        name: Name in its front matter.
        version: Version in its front matter.
        scale: Lowest and highest level, `pass_fail`, `criteria`, `pairwise`, `turns` or `requests`.
        text: The body, with placeholders such as `{{answer}}`.
        parts: The parts of a case that the body names.
        sha256: Digest of the whole file, front matter included.
        criteria: Criterion -> what has to hold, for a scale of `criteria`.
        of: Whose turns are judged, for a scale of `turns`.
        from_turn: First turn that is judged, counted from 1.
        examples: Ids of the cases that the body shows as examples.
    """

    name: str
    version: str
    scale: Scale
    text: str
    parts: frozenset[str]
    sha256: str
    criteria: Mapping[str, str] = field(default_factory=dict)
    of: Speaker = "assistant"
    from_turn: int = 1
    examples: tuple[str, ...] = ()

    def system_text(self) -> str:
        """Return the body and its criteria, each slot written as the name of the block that holds the part."""
        listed = "".join(f"\n- {name}: {text}" for name, text in self.criteria.items())
        text = f"{self.text}\n{listed}" if listed else self.text
        return SLOT.sub(lambda slot: slot.group(1).upper(), text)


def read_rubric(root: Path, name: str, scale: Any = None) -> Rubric:
    """Read a rubric: a file, a shipped one, or the text itself.

    Args:
        root: Folder that `name` is relative to.
        name: Name of a shipped rubric, path of a file inside the project of `root`, or the rubric's text (see
            `is_text`).
        scale: Scale of a text without front matter; pass or fail if it is `None`.

    Raises:
        ValueError: `rubric: what; fix`.
    """
    if is_text(root, name):
        return _of_text(name, scale)
    file = _shipped(name) or _resolve(root, name)
    try:
        content = read_file(file, MAX_BYTES)
    except Unfit as error:
        raise ValueError(f"rubric: {name!r}: {error.strerror}; name a short Markdown file") from None
    except OSError as error:
        raise ValueError(f"rubric: {name!r} cannot be read ({error.strerror}); check the path") from None
    return parse_rubric(content, name)


def rubric_path(root: Path, name: str) -> Path | None:
    """Return the user's own file of a rubric; `None` for a shipped one and for a text in the suite.

    Raises:
        ValueError: `rubric: what; fix`.
    """
    return None if is_text(root, name) or _shipped(name) else _resolve(root, name)


def is_text(root: Path, name: str) -> bool:
    """Return whether `rubric:` holds the rubric itself.

    It does if it has a line break, or if it has a space, names no file and does not end in `.md`. A single word is
    always a name.
    """
    if "\n" in name:
        return True
    if not re.search(r"\s", name.strip()) or name.strip().lower().endswith(".md"):
        return False
    try:
        return not (root / name).is_file()
    except (OSError, ValueError):  # too long for the name of a file
        return True


def _of_text(text: str, scale: Any) -> Rubric:
    """Read a rubric written in the suite, with or without front matter."""
    content = text.encode("utf-8", "surrogatepass")
    if len(content) > MAX_BYTES:
        raise ValueError(f"rubric: {IN_SUITE} is longer than {MAX_BYTES:,} bytes; shorten it")
    if text.startswith("---"):
        return parse_rubric(content if text.endswith("\n") else content + b"\n", IN_SUITE)
    if not text.strip():
        raise ValueError(f"rubric: {IN_SUITE} is blank; write what the judge has to look for")
    checked = read_scale("pass_fail" if scale is None else scale, "scale")
    if checked in ("criteria", "pairwise", "turns", "requests"):
        raise ValueError(f"rubric: {IN_SUITE} has no front matter; start it with ---, name:, version:, scale:, ---")
    body = text.strip() if SLOT.search(text) else f"{text.strip()}\n\n{NO_SLOT}"
    return Rubric(
        name=IN_SUITE,
        version="",
        scale=checked,
        text=body,
        parts=_parts(body, checked, IN_SUITE),
        sha256=hashlib.sha256(content).hexdigest(),
    )


def _shipped(name: str) -> Path | None:
    """Return the packaged file if the name is neither a path nor a file name."""
    if "/" in name or "." in name or "\0" in name or " " in name:
        return None
    known = sorted(file.stem for file in SHIPPED.glob("*.md"))
    if name not in known:
        raise ValueError(f"rubric: no shipped rubric {name!r}; choose from {', '.join(known)}, or write a path")
    return SHIPPED / f"{name}.md"


def _resolve(root: Path, name: str) -> Path:
    try:
        return inside_project(root, name)
    except ValueError as error:
        raise ValueError(f"rubric: {error}") from None


def parse_rubric(content: bytes, source: str) -> Rubric:
    """Read a rubric from the bytes of its file.

    Raises:
        ValueError: `rubric: what; fix`.
    """
    try:
        text = content.decode("utf-8-sig").replace("\r\n", "\n")
    except UnicodeDecodeError as error:
        raise ValueError(f"rubric: {source}: {not_utf8(error)}; save it as UTF-8") from None
    found = FRONT_MATTER.fullmatch(text)
    if not found:
        raise ValueError(f"rubric: {source}: no front matter; start with ---, name:, version:, scale:, ---")
    head, body = _front_matter(found.group(1), source), found.group(2).strip()
    scale = read_scale(head["scale"], f"rubric: {source}: scale")
    criteria = _criteria(head.get("criteria"), scale, source)
    return Rubric(
        name=str(head["name"]),
        version=str(head["version"]),
        scale=scale,
        text=body,
        parts=_parts("\n".join([body, *criteria.values()]), scale, source),
        sha256=hashlib.sha256(content).hexdigest(),
        criteria=criteria,
        examples=_examples(head.get("examples", []), source),
        **_turns(head, scale, source),
    )


def _turns(head: Mapping[str, Any], scale: Scale, source: str) -> dict[str, Any]:
    """Return the keys of a scale of `turns`."""
    given = {key: head[key] for key in TURN_KEYS if key in head}
    if given and scale != "turns":
        raise ValueError(f"rubric: {source}: {min(given)}: this scale has no turns; write `scale: turns`, or remove it")
    if given.get("of", "user") not in ("assistant", "user"):
        raise ValueError(f"rubric: {source}: of: {given['of']!r} is not heard; write `of: assistant` or `of: user`")
    first = given.get("from_turn", 1)
    if type(first) is not int or first < 1:
        raise ValueError(f"rubric: {source}: from_turn: {first!r} is not a turn; write 1, or 2 to leave out the first")
    return given


def _front_matter(text: str, source: str) -> dict[str, Any]:
    from evalkit.formats.yaml_text import parse

    try:
        # The line of the opening --- counts, so that places are those of the file.
        head = dict(parse(f"\n{text}".encode(), source).value)
    except InputError as error:
        problem = error.problems[0]
        raise ValueError(f"rubric: {problem.place}: {problem.what}; {problem.fix}") from None
    if set(head) - {"criteria", "examples", *TURN_KEYS} != KEYS:
        raise ValueError(f"rubric: {source}: the front matter needs exactly the keys {', '.join(sorted(KEYS))}; fix it")
    for key in ("name", "version"):
        if not isinstance(head[key], str | int | float) or not str(head[key]).strip():
            raise ValueError(f"rubric: {source}: {key}: expected a text; write one such as `{key}: correctness`")
    return head


def _examples(value: Any, source: str) -> tuple[str, ...]:
    if not isinstance(value, list) or not all(isinstance(each, str) and each.strip() for each in value):
        raise ValueError(f"rubric: {source}: examples: not a list of ids; write the ids of cases, or remove it")
    return tuple(value)


def _criteria(value: Any, scale: Scale, source: str) -> dict[str, str]:
    place = f"rubric: {source}: criteria"
    if scale != "criteria":
        if value is not None:
            raise ValueError(f"{place}: this scale has none; write `scale: criteria`, or remove them")
        return {}
    if not isinstance(value, dict) or not value:
        raise ValueError(f"{place}: none given; write `criteria:` and below it lines of `id: what has to hold`")
    for name, text in value.items():
        if not isinstance(name, str) or not CRITERION.fullmatch(name):
            fix = "write lower-case letters, digits and _, such as cites_source"
            raise ValueError(f"{place}: {name!r} is not an id; {fix}")
        if not isinstance(text, str) or not text.strip():
            raise ValueError(f"{place}: {name} says nothing; write what has to hold, as one text")
    return dict(value)


def read_scale(value: Any, place: str) -> Scale:
    """Check a scale: one of the words, or the lowest and the highest level as whole numbers.

    Raises:
        ValueError: `<place>: what; fix`.
    """
    if value in WORDS:
        return value  # type: ignore[no-any-return]
    levels = tuple(value) if isinstance(value, list | tuple) else ()
    if len(levels) != 2 or not all(type(level) is int for level in levels) or levels[0] >= levels[1]:
        raise ValueError(f"{place}: not a scale; use {', '.join(WORDS)} or [lowest, highest] such as [1, 5]")
    if levels[1] - levels[0] >= MAX_LEVELS:
        raise ValueError(f"{place}: more than {MAX_LEVELS} levels; write one such as [1, 5], or [0, 10]")
    return levels[0], levels[1]


def _parts(text: str, scale: Scale, source: str) -> frozenset[str]:
    named = frozenset(SLOT.findall(text))
    allowed = PAIR_PARTS if scale == "pairwise" else PARTS
    unknown = sorted(named - set(allowed))
    if unknown:
        slots = ", ".join(f"{{{{{part}}}}}" for part in allowed)
        raise ValueError(f"rubric: {source}: unknown slot {{{{{unknown[0]}}}}}; choose from {slots}")
    for part in _graded(scale, named):
        if part not in named:
            raise ValueError(f"rubric: {source}: does not use the {part}; write {{{{{part}}}}} where it belongs")
    return named


def _graded(scale: Scale, named: Collection[str]) -> tuple[str, ...]:
    """Return the parts that a rubric must name: an answer, or a conversation in its place."""
    if scale == "pairwise":
        return ("first", "second")
    whole = scale in ("turns", "requests") or ("conversation" in named and "answer" not in named)
    return ("conversation",) if whole else ("answer",)
