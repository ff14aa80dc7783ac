"""Write report.html: one file with a static head and case data that opens on demand."""

from __future__ import annotations

import base64
import functools
import hashlib
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote

from evalkit.disk.writing import replacing
from evalkit.report.columns import CHANGE_SLUGS
from evalkit.report.html_words import words_of
from evalkit.report.payload import write_payload
from evalkit.report.survey import Rows
from evalkit.report.view import View
from evalkit.text.escaping import visible
from evalkit.text.printable import clipped, one_line
from evalkit.trust.labels import Label

if TYPE_CHECKING:
    from jinja2 import Environment
    from markupsafe import Markup

_TEMPLATES = Path(__file__).parent / "templates"
_HALF = re.compile("[\ud800-\udfff]")
_INTERVAL = re.compile(r"(\[[−\d][−\d., ]*\])")
_BREAKABLE = re.compile(r"(?<=[/=_])")
"""Where a name may be broken over two lines."""
_OPTION = re.compile(r"--[a-z][a-z-]*")
_SCRIPTS = (
    *(
        "visible.js",
        "unpack.js",
        "data.js",
        "parts.js",
        "diff.js",
        "filters.js",
        "grid.js",
        "steps.js",
        "conversation.js",
        "case.js",
        "decision.js",
    ),
    "app.js",
)
"""Scripts, joined in this order into one scope; each view adds itself to `routes` and `setUps`."""
_DATA_MARK = "<!--data-->"
_TEXT_CHARS = 1_200
_GIST_CHARS = 110


def write_html(
    path: Path,
    view: View,
    rows: Rows,
    baseline_rows: Rows | None,
    *,
    labels: Sequence[Label] = (),
    record: str = "",
) -> None:
    """Write the report file; rows are streamed, so memory does not grow with their texts.

    Args:
        path: target file; an older one is replaced once the new one is complete.
        view: data for the head of the page.
        rows: the candidate's rows, sorted by case id and repeat, walked once.
        baseline_rows: the baseline's rows, sorted in the same way, walked once, `None` if there is no baseline.
        labels: raters' labels of answers, which link the cells of a confusion matrix to cases.
        record: the release decision as Markdown, which the form on the page completes.
    """
    head, _, tail = _page(view).partition(_DATA_MARK)
    with replacing(path) as file:
        file.write(head)
        write_payload(file, view, rows, baseline_rows, labels, record)
        file.write(tail)


def compile_templates() -> None:
    """Compile the templates in advance, which takes most of the time for a small report."""
    for name in environment().list_templates(extensions=["j2"]):
        if "/" not in name:  # in folders stand those of other pages
            environment().get_template(name)


@functools.cache
def environment() -> Environment:
    """Return the environment of all pages: texts are escaped, and characters that hide or reorder are shown."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    made = Environment(
        loader=FileSystemLoader(_TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=lambda value: visible(value) if type(value) is str else value,
    )
    made.filters["gist"] = lambda text: one_line(text, _GIST_CHARS)
    made.filters["clipped"] = lambda text: clipped(text, _TEXT_CHARS)
    # Like jinja's own filter, but for lone surrogates too: the id of a stored row may hold one (`whole` in parts.js).
    made.filters["urlencode"] = lambda text: quote(_HALF.sub("\ufffd", text), safe="/")
    made.filters["held"] = _held
    made.filters["command"] = _command
    made.filters["parts"] = _BREAKABLE.split
    made.filters["slug"] = lambda change: CHANGE_SLUGS[change]
    return made


def _held(figures: str) -> Markup:
    """Mark figures so that an interval is not split over two lines."""
    from markupsafe import Markup, escape

    held = Markup('<span class="nb">{}</span>')
    parts = _INTERVAL.split(visible(figures))
    return Markup().join(held.format(part) if place % 2 else escape(part) for place, part in enumerate(parts))


def _command(words: str) -> Markup:
    """Return a command whose options are not split at their dashes."""
    from markupsafe import Markup, escape

    held = Markup('<span class="nb">{}</span>')
    return Markup(" ").join(held.format(w) if _OPTION.fullmatch(w) else escape(w) for w in visible(words).split(" "))


def _page(view: View) -> str:
    """Render everything but the data."""
    from markupsafe import Markup

    assets = {"style": read_asset("report.css"), "theme": read_asset("theme.js"), "script": joined_script(_SCRIPTS)}
    return (
        environment()
        .get_template("report.html.j2")
        .render(
            view=view,
            policy=policy_of(assets),
            **{name: Markup(text) for name, text in assets.items()},  # noqa: S704 - our own files
            **words_of(view, Markup),
        )
    )


def policy_of(assets: Mapping[str, str]) -> str:
    """Return the content security policy: only the page's own script and style run, and nothing is fetched.

    Args:
        assets: the texts of the page's `style`, `theme` (the first script) and `script`.
    """
    scripts = " ".join(_hash(assets[name]) for name in ("theme", "script"))
    return (
        f"default-src 'none'; script-src {scripts}; style-src {_hash(assets['style'])}; img-src data:; "
        "base-uri 'none'; form-action 'none'; require-trusted-types-for 'script'; trusted-types 'none'"
    )


def _hash(text: str) -> str:
    """Return the hash of a script or style, as a content security policy names it."""
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


def joined_script(names: Sequence[str]) -> str:
    """Join scripts in one scope; they do nothing if theme.js found that the cases cannot be unpacked."""
    parts = "\n".join(map(read_asset, names))
    able = 'if (!document.documentElement.classList.contains("js")) return;'
    return f'"use strict";\n(() => {{\n{able}\n{parts}\n}})();'


def read_asset(name: str) -> str:
    """Return a script or style of the pages."""
    return (_TEMPLATES / name).read_text(encoding="utf-8").strip()
