"""Contexts are texts, or texts with an id, a score and a source, and are carried whole."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from evalkit.formats.contexts import context_records, read_contexts
from evalkit.formats.rows import decode_row, encode_row
from evalkit.golden.fields import to_case
from evalkit.report.bodies import body_of
from evalkit.systems.output import to_output
from evalkit.types import Case, Origin, Output, Row

FOUND = [
    {"id": "d1", "text": "Fees are free.", "score": 0.83, "source": "fees.pdf", "page": 4},
    {"id": "d2", "text": "Cards cost 9 EUR.", "score": -2},
    "A text alone.",
]


def test_contexts_are_read_whole() -> None:
    """Ids, scores, sources and other keys stay beside the texts, in order."""
    output = to_output({"text": "Free.", "contexts": FOUND})
    assert isinstance(output, Output)
    assert output.contexts == ("Fees are free.", "Cards cost 9 EUR.", "A text alone.")
    assert output.origins == (
        Origin(id="d1", score=0.83, source="fees.pdf", details={"page": 4}),
        Origin(id="d2", score=-2),
        Origin(),
    )
    assert context_records(output.contexts, output.origins) == FOUND


def test_rows_keep_them() -> None:
    """A row holds them as they were given, of the case as of the answer, and its line is stable."""
    case = to_case({"id": "c", "input": "q", "retrieved_contexts": FOUND}, "g:1", lambda what, fix: None)
    assert case is not None
    output = to_output({"text": "Free.", "contexts": FOUND})
    assert isinstance(output, Output)
    row = Row(case=case, output=output)
    line = encode_row(row)
    stored = json.loads(line)["row"]
    assert stored["case"]["contexts"] == stored["output"]["contexts"] == FOUND
    read = decode_row(line)
    assert read == row
    assert encode_row(read) == line
    again = to_output(stored["output"], stored=True)
    assert again == output


def test_rows_of_texts_keep_their_bytes() -> None:
    """Nothing is added to a row whose contexts are texts."""
    row = Row(case=Case(id="c", digest="d", input="q", contexts=("a",)), output=Output(text="t", contexts=("b", "")))
    line = encode_row(row)
    assert b'"contexts":["a"]' in line
    assert b'"contexts":["b",""]' in line
    assert b"origins" not in line
    assert decode_row(line) == row


def test_ids_without_texts_are_read() -> None:
    """A retriever that names its documents needs no texts."""
    assert read_contexts("contexts", [{"id": 7}, {"id": "d2", "text": None}]) == (
        ("", ""),
        (Origin(id="7"), Origin(id="d2")),
    )


@pytest.mark.parametrize(
    ("context", "message"),
    [
        (7, "contexts[0]: expected a text or {id, text, score}, got int 7"),
        ({"page_content": "x"}, "contexts[0]: expected a text or {id, text, score}"),
        ({"id": 1.5}, "contexts[0].id: expected a string"),
        ({"id": "d", "text": 3}, "contexts[0].text: expected a string"),
        ({"id": "d", "score": "high"}, "contexts[0].score: expected a finite number"),
        ({"id": "d", "score": float("nan")}, "contexts[0].score: expected a finite number"),
        ({"id": "d", "score": True}, "contexts[0].score: expected a finite number"),
        ({"id": "d", "source": []}, "contexts[0].source: expected a string"),
        ({"id": "d", "seen": {1, 2}}, "contexts[0].seen: JSON cannot hold"),
    ],
)
def test_what_cannot_be_read_is_named(context: Any, message: str) -> None:
    """An answer fails and a golden row is refused, with the place; nothing is guessed or dropped."""
    with pytest.raises(ValueError, match="contexts") as raised:
        read_contexts("contexts", [context])
    assert str(raised.value).startswith(message)
    said: list[str] = []
    assert to_case({"id": "c", "input": "q", "contexts": [context]}, "g:1", lambda what, fix: said.append(what)) is None
    assert said[0].startswith("`contexts[0]")


def test_the_page_of_a_case_shows_where_they_come_from() -> None:
    """Id, score and source stand above each text."""
    output = to_output({"text": "Free.", "contexts": FOUND})
    assert isinstance(output, Output)
    row = Row(case=Case(id="c", input="q"), output=output)
    body = body_of(row, None)
    assert isinstance(body, dict)
    assert body["output"]["origins"] == ["d1 · score 0.83 · fees.pdf", "d2 · score -2", ""]
    plain = body_of(replace(row, output=Output(text="t", contexts=("b",))), None)
    assert isinstance(plain, dict)
    assert "origins" not in plain["output"]
