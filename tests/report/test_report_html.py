"""The HTML file: what is in it, and what must never be."""

from __future__ import annotations

import base64
import gzip
import hashlib
import json
import re
import tracemalloc
from collections.abc import Iterator
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
import report_samples
from jinja2 import FileSystemLoader

from evalkit.report.columns import CHANGES, CHUNK, FLAGS, VERDICTS
from evalkit.report.html import write_html
from evalkit.report.records import release_decision_markdown
from evalkit.report.shortened import Shortener
from evalkit.report.view import View, build_view
from evalkit.report.write import prepare_reports
from evalkit.results import Decision
from evalkit.types import Case, Output, Row, Score


class Page(HTMLParser):
    """Every tag with its attributes, and the text of the raw ones."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.raw: dict[str, list[str]] = {"script": [], "style": []}
        self.shown: list[str] = []
        self._open: str | None = None
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Remember a tag."""
        self.tags.append((tag, dict(attrs)))
        self._open = tag if tag in self.raw else None

    def handle_data(self, data: str) -> None:
        """Remember its text."""
        if self._open:
            self.raw[self._open].append(data)
        else:
            self.shown.append(data)

    def handle_endtag(self, tag: str) -> None:
        """Leave a raw element."""
        self._open = None


@pytest.fixture
def page(report_file: Path) -> Page:
    """The parsed report of the hand-made run."""
    return Page(report_file.read_text(encoding="utf-8"))


def blocks(path: Path) -> dict[str, Any]:
    """The data blocks, opened."""
    found = re.findall(r'<script type="text/plain" id="([\w-]+)">([^<]*)</script>', path.read_text(encoding="utf-8"))
    texts = {name: gzip.decompress(base64.b64decode(text)).decode() for name, text in found}
    words = [f"{word} " for word in json.loads(texts["words"])]
    record = {"record": texts.pop("record")}
    longer = {
        name: re.sub("[\ue000-\uf8ff]", lambda code: words[ord(code[0]) - 0xE000], text) for name, text in texts.items()
    }
    return {name: json.loads(text) for name, text in longer.items()} | record


def test_nothing_but_our_own_script_and_style_may_run(page: Page) -> None:
    """The policy allows the inlined script and style by their hashes, and nothing else."""
    policy = next(tag["content"] for _, tag in page.tags if tag.get("http-equiv") == "Content-Security-Policy")
    assert policy is not None
    rules = {rule.split()[0]: rule.split()[1:] for rule in policy.split(";")}
    assert rules["default-src"] == ["'none'"]
    assert rules["form-action"] == rules["base-uri"] == ["'none'"]

    def hashes(texts: list[str]) -> list[str]:
        return [f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'" for text in texts]

    kinds = [tag.get("type") for name, tag in page.tags if name == "script"]
    run = [text for kind, text in zip(kinds, page.raw["script"], strict=True) if kind is None]
    assert len(run) == 2
    assert rules["script-src"] == hashes(run)
    assert rules["style-src"] == hashes(page.raw["style"])


def test_no_handler_style_or_address_is_in_the_markup(page: Page) -> None:
    """No element has an event handler, an inline style or an address outside of the file."""
    for name, attributes in page.tags:
        assert not [key for key in attributes if key.startswith("on") or key == "style"], (name, attributes)
        for key in ("href", "src", "action", "data", "srcdoc", "formaction"):
            address = attributes.get(key)
            assert address is None or address.startswith("#") or address == "data:,", (name, attributes)


def test_hostile_text_is_never_markup(report_file: Path, page: Page) -> None:
    """Texts from data are escaped in the head and packed in the data blocks."""
    text = report_file.read_text(encoding="utf-8")
    assert report_samples.HOSTILE not in text
    assert "<img" not in text
    assert "\u202e" not in text
    assert "\x00" not in text
    assert any("</script><img src=x onerror=alert(1)>" in shown for shown in page.shown)


def test_the_head_reads_without_script(page: Page) -> None:
    """Verdict, gate, cohorts, worst cases, judges, errors and provenance are plain HTML."""
    shown = " ".join(" ".join(page.shown).split())
    for words in (
        "pass rate in domain=aml fell 90% → 50% (need ≥ 85%)",
        "40 pts [18, 61]",
        "the judge is not trusted here",
        "Worst new failures",
        "It should be reported within thirty days of the transaction.",
        "0.78 [0.66, 0.88]",
        "12 labels, all of one class",
        "no answer within 30 s",
        "golden_sets/compliance/cases.jsonl",
    ):
        assert words in shown, words
    headings = [name for name, _ in page.tags if name in ("h1", "h2", "table", "svg", "caption")]
    assert headings.count("h1") == 6  # one for each view that a script does not draw
    assert headings.count("table") >= 5


def test_every_drawing_has_words_and_a_table(page: Page) -> None:
    """Each drawing has a title and a description; histograms have their counts as a table."""
    names = [name for name, _ in page.tags]
    gates, cohorts, scores, measures = 5, 7, 3, 4
    assert names.count("svg") == names.count("desc") == gates + cohorts + scores + measures
    assert names.count("title") == 1 + names.count("svg")
    assert names.count("figure") == 1 + scores + measures
    assert "As a table" in page.shown


def plots_of(view: View, folder: Path, **changes: Any) -> str:
    """The drawings of a report whose cells by cohort are changed."""
    cohorts = tuple(
        replace(line, cells=tuple(each and replace(each, **changes) for each in line.cells)) for line in view.cohorts
    )
    path = folder / "report.html"
    write_html(path, replace(view, cohorts=cohorts), list, None)
    return "".join(re.findall(r'<div class="cards plots">.*?</div>', path.read_text(encoding="utf-8"), re.S))


def test_a_cohort_that_no_check_is_about_is_not_drawn_as_passed(tmp_path: Path, view: View) -> None:
    """A cohort of 0 % that nothing gates was green."""
    assert 'class="now pass"' in plots_of(view, tmp_path, outcome="pass")
    ungated = plots_of(view, tmp_path, outcome=None)
    assert 'class="now ungated"' in ungated and 'class="now pass"' not in ungated


def test_a_plot_without_figures_of_the_baseline_does_not_promise_them(tmp_path: Path, view: View) -> None:
    """A partial run is shown beside a baseline that it cannot be compared with."""
    assert "from the baseline to now" in plots_of(view, tmp_path)
    alone = plots_of(view, tmp_path, base="", base_value=None)
    assert "<figcaption>" in alone and "from the baseline to now" not in alone and ">Was<" not in alone


def test_the_index_lists_every_case_with_its_verdict(report_file: Path) -> None:
    """The index has a line for each row and for each case that was removed."""
    index = blocks(report_file)["index"]
    legend, rows = index["legend"], index["rows"]
    assert len(rows) == 41
    assert legend["verdicts"] == list(VERDICTS)
    assert legend["changes"] == list(CHANGES)
    named = [dict(zip(legend["columns"], row, strict=True)) for row in rows]
    counts = {name: sum(VERDICTS[row["verdict"]] == name for row in named) for name in VERDICTS}
    assert counts == {
        "failed": 7,
        "system_error": 2,
        "unscored": 2,
        "skipped": 1,
        "flaky": 0,
        "scored": 0,
        "passed": 28,
        "removed": 1,
    }
    first = named[0]
    assert (first["id"], CHANGES[first["change"]], first["marks"], first["values"]) == (
        "aml-0000",
        "new failure",
        "ffsf",
        [0.25, 0.0, 0.41, 2],
    )
    domains = dict(legend["cohorts"])["domain"]
    assert domains[first["cohorts"][0]] == "aml"


def whole(body: dict[str, Any]) -> dict[str, Any]:
    """The baseline's answer with what is the same now, as the page puts it together."""
    before = dict(body["before"])
    before["scores"] = list(before.get("scores", ()))
    kept = before.pop("kept", [])
    before["scores"] += [grade for grade in body.get("scores", ()) if kept == 1 or grade["metric"] in kept]
    if "output" in before:
        before["output"] = {"text": body.get("output", {}).get("text"), **before["output"]}
    return before


def test_bodies_hold_the_whole_case_and_its_baseline(report_file: Path) -> None:
    """Each row has its full text and, where there is one, the baseline's beside it."""
    found = blocks(report_file)
    columns = found["index"]["legend"]["columns"]
    now = {row.case.id: row for row in report_samples.candidate_rows()}
    old = {row.case.id: row for row in report_samples.baseline_rows()}
    for place, entry in enumerate(found["index"]["rows"]):
        line, body = dict(zip(columns, entry, strict=True)), found["rows-0"][place]
        row, before = now.get(line["id"]), old.get(line["id"])
        either = row or before
        assert either is not None
        assert body["contexts"] == list(either.case.contexts)
        assert (body.get("input") or line["question"]) == (
            either.case.input
            if isinstance(either.case.input, str)
            else [[m.role, m.content] for m in either.case.input]
        )
        assert body.get("output", {}).get("text") == (row.output.text if row and row.output else None)
        assert ("before" in body) is (before is not None)
        if before is None or before.output is None:
            continue
        shown = whole(body)
        assert shown["output"]["text"] == before.output.text
        assert {grade["metric"] for grade in shown["scores"]} == set(before.scores)
        for grade in shown["scores"]:
            score = before.scores[grade["metric"]]
            assert grade.get("value") == (score.value if isinstance(score, Score) else None)
    assert report_samples.HOSTILE in [body.get("output", {}).get("text") for body in found["rows-0"]]


def test_a_removed_case_is_shown_from_the_baseline(report_file: Path) -> None:
    """A case that is gone is listed in its place with its old text."""
    found = blocks(report_file)
    columns = found["index"]["legend"]["columns"]
    lines = [dict(zip(columns, entry, strict=True)) for entry in found["index"]["rows"]]
    place = next(at for at, line in enumerate(lines) if line["id"] == "aml-old")
    assert (VERDICTS[lines[place]["verdict"]], CHANGES[lines[place]["change"]]) == ("removed", "removed")
    body = found["rows-0"][place]
    assert (body.get("input") or lines[place]["question"]).startswith("When must a suspicious")
    assert "output" not in body
    assert "Report it to the financial" in body["before"]["output"]["text"]


def test_labels_are_beside_the_rows_that_they_are_about(report_file: Path) -> None:
    """A row says what raters and judge say of its answer; a label of another answer is of no row."""
    found = blocks(report_file)["index"]
    columns = found["legend"]["columns"]
    lines = [dict(zip(columns, entry, strict=True)) for entry in found["rows"]]
    labelled = {line["id"]: line["opinions"] for line in lines if line["opinions"]}
    assert labelled == {
        "aml-0000": [["correctness", "person", "fail", "fail"]],
        "privacy-0001": [["correctness", "person", "pass", "pass"]],
        "privacy-0013": [["correctness", "person", "pass", "fail"]],
        "consumer-0002": [["correctness", "author", "pass", "pass"]],
    }
    assert {line["id"] for line in lines if line["flags"] & 1 << FLAGS.index("labelled")} == set(labelled)


def test_words_come_back_as_they_were() -> None:
    """What is shortened with the words of earlier texts reads the same when they are put back."""
    shortener = Shortener()
    texts = [f"[{' '.join(f'word{i % 40}' for i in range(n, n + 300))}]" for n in range(30)] + ["", " ", "  a  b "]
    short = [shortener.shorten(text) for text in texts]
    words = [f"{word} " for word in shortener.words]
    for text, packed in zip(texts, short, strict=True):
        assert "".join(words[ord(c) - 0xE000] if "\ue000" <= c <= "\uf8ff" else c for c in packed) == f"{text} "
    assert len(short[20]) < len(texts[20]) / 3


def test_what_json_lacks_is_named(report_file: Path) -> None:
    """A NaN in a judge's reply reaches the page as its name, not as broken JSON."""
    found = blocks(report_file)
    place = next(at for at, entry in enumerate(found["index"]["rows"]) if entry[0] == report_samples.case(39).id)
    grades = {grade["metric"]: grade for grade in found["rows-0"][place]["scores"]}
    assert grades["correctness"]["details"] == {"reply": report_samples.HOSTILE, "odd": "nan"}


def many(count: int, chars: int = 4_000) -> Iterator[Row]:
    """Rows with long answers that do not compress."""
    for number in range(count):
        text = hashlib.shake_256(str(number).encode()).hexdigest(chars // 2)
        yield Row(case=Case(id=f"c{number:05d}", input="?"), output=Output(text=text))


@pytest.fixture
def bare_view() -> View:
    """A view of a run with no rows and no checks."""
    return build_view(
        report_samples.summary(), Decision(outcome="approved", checks=()), list, None, report_samples.manifest()
    )


def test_rows_are_cut_into_chunks(tmp_path: Path, bare_view: View) -> None:
    """Bodies come in chunks, in the order of the index."""
    write_html(tmp_path / "r.html", bare_view, lambda: many(2 * CHUNK + 1, 10), None)
    found = blocks(tmp_path / "r.html")
    assert [len(found[f"rows-{number}"]) for number in range(3)] == [CHUNK, CHUNK, 1]
    assert [entry[0] for entry in found["index"]["rows"]] == [row.case.id for row in many(2 * CHUNK + 1)]


def test_an_empty_run_has_a_report(tmp_path: Path, bare_view: View) -> None:
    """A run without rows still gives a whole file."""
    write_html(tmp_path / "r.html", bare_view, list, None)
    assert blocks(tmp_path / "r.html")["index"]["rows"] == []


def test_memory_does_not_grow_with_the_texts(tmp_path: Path, bare_view: View) -> None:
    """Writing sixteen megabytes of answers needs a fraction of that."""
    write_html(tmp_path / "warm.html", bare_view, list, None)
    tracemalloc.start()
    write_html(tmp_path / "r.html", bare_view, lambda: many(4_000), None)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert (tmp_path / "r.html").stat().st_size > 10_000_000
    assert peak < 8_000_000


def test_a_broken_write_leaves_the_old_report(tmp_path: Path, bare_view: View) -> None:
    """When rows cannot be read to the end, the file that was there stays, and nothing else is left."""
    path = tmp_path / "r.html"
    write_html(path, bare_view, list, None)
    old = path.read_bytes()

    def breaks() -> Iterator[Row]:
        yield from many(3)
        raise OSError("disk")

    with pytest.raises(OSError, match="disk"):
        write_html(path, bare_view, breaks, None)
    assert path.read_bytes() == old
    assert [entry.name for entry in tmp_path.iterdir()] == ["r.html"]


def test_the_same_run_gives_the_same_bytes(tmp_path: Path, view: View, report_file: Path) -> None:
    """Nothing in the file depends on when or where it is written."""
    rows, before = report_samples.stored_rows, report_samples.stored_baseline_rows
    record = release_decision_markdown(view, report_samples.manifest())
    write_html(tmp_path / "again.html", view, rows, before, labels=report_samples.labels(), record=record)
    assert (tmp_path / "again.html").read_bytes() == report_file.read_bytes()


@pytest.mark.parametrize("outcome", ["approved", "approved with conditions", "blocked", "no decision"])
def test_each_outcome_has_its_word(tmp_path: Path, view: View, outcome: Any) -> None:
    """The banner names the outcome in words, not by colour alone."""
    words = {"approved": "APPROVED", "blocked": "BLOCKED"}.get(outcome, outcome.upper())
    write_html(tmp_path / "r.html", replace(view, outcome=outcome, word=words), list, None)
    assert f"</span> {words}</p>" in (tmp_path / "r.html").read_text(encoding="utf-8")


def test_templates_are_compiled_ahead(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Once prepared, a report reads no template any more: that was done while calls were in flight."""
    prepare_reports()
    monkeypatch.setattr(FileSystemLoader, "get_source", None)
    rows = report_samples.stored_rows
    view = build_view(report_samples.summary(), report_samples.decision(), rows, None, report_samples.manifest())
    write_html(tmp_path / "report.html", view, rows, None)
    assert (tmp_path / "report.html").stat().st_size > 10_000
