"""Write the blind labelling page as one HTML file."""

from __future__ import annotations

import base64
import dataclasses
import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from evalkit.disk.writing import replacing
from evalkit.text.escaping import visible

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

_TEMPLATES = Path(__file__).parent / "templates"


@dataclass(frozen=True, kw_only=True)
class Item:
    """One answer to label, with the texts that a rater reads but without the judge's verdict."""

    case_id: str
    answer_sha256: str
    inclusion_probability: float
    input: str
    """The question; for a chat, the last one."""
    reference: tuple[str, ...]
    contexts: tuple[str, ...]
    answer: str
    conversation: tuple[tuple[str, str], ...] = ()
    """(who, what) of each message and tool of a conversation, shown instead of the input; empty for a question."""
    parts: tuple[tuple[str, str], ...] = ()
    """(title, text) of the other parts of the case that the judge sees: the goal and the state."""


@dataclass(frozen=True, kw_only=True)
class Queue:
    """Answers of one run for one judge, in the order in which they are read."""

    run_id: str
    scorer: str
    rubric: str
    """The judge's rubric; empty if it has none."""
    rubric_sha256: str | None
    labels: tuple[str, ...]
    """The scale, from worst to best: `fail` and `pass`, or the levels."""
    seed: int
    items: tuple[Item, ...]


def write_label_page(path: Path, queue: Queue) -> None:
    """Write the page; it opens from disk, sends nothing, and keeps entries in the browser until they are exported.

    Args:
        path: target file; an older one is replaced once the new one is complete.
        queue: the answers; the file contains neither the judge's scores nor other runs.
    """
    write_keyboard_page(path, queue, "labels")


def write_keyboard_page(path: Path, queue: DataclassInstance, name: str) -> None:
    """Write a page that shows the items of a queue one by one.

    Args:
        path: target file; an older one is replaced once the new one is complete.
        queue: what the page shows, a dataclass with `items`.
        name: folder of its template and script.
    """
    from jinja2 import Environment, FileSystemLoader, StrictUndefined
    from markupsafe import Markup

    loader = FileSystemLoader(_TEMPLATES / name)
    environment = Environment(
        loader=loader,
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        finalize=lambda value: visible(value) if type(value) is str else value,
    )
    style = (_TEMPLATES / "labels" / "labels.css").read_text(encoding="utf-8")
    scripts = (_TEMPLATES / "visible.js", _TEMPLATES / name / f"{name}.js")
    script = "".join(file.read_text(encoding="utf-8") for file in scripts)
    policy = (
        f"default-src 'none'; script-src {_hash(script)}; style-src {_hash(style)}; base-uri 'none'; "
        "form-action 'none'; require-trusted-types-for 'script'; trusted-types 'none'"
    )
    page = environment.get_template(f"{name}.html.j2").render(
        queue=queue,
        policy=policy,
        style=Markup(style),  # noqa: S704 - our own file
        script=Markup(script),  # noqa: S704 - our own file
        data=base64.b64encode(json.dumps(_record(queue)).encode()).decode(),
    )
    with replacing(path) as file:
        file.write(page)


def _record(queue: DataclassInstance) -> dict[str, Any]:
    """Return the queue with its own key, so that a browser does not mix its entries with those of other queues."""
    record = dataclasses.asdict(queue)
    return {**record, "id": hashlib.sha256(json.dumps(record).encode()).hexdigest()[:32]}


def _hash(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"
