"""The journal and the run folder: nothing that was written is lost, nothing that was damaged is believed."""

import hashlib
import random
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evalkit.baselines.find import find_baseline
from evalkit.disk.json_files import to_json
from evalkit.errors import InputError, StoreError
from evalkit.formats.rows import decode_row, encode_row, row_key
from evalkit.store.chain import Damage
from evalkit.store.folder import RunFolder, new_run_folder
from evalkit.store.index import sorted_rows
from evalkit.store.journal import Journal, read_rows
from evalkit.store.stored_run import load_run
from evalkit.types import Case, Failure, Message, Output, Row, Score, ToolCall, Unscored, Usage

text = st.text(st.characters(exclude_categories=()), max_size=12)
some_text = st.text(st.characters(exclude_categories=()), min_size=1, max_size=12)
usage = st.builds(
    Usage, input_tokens=st.none() | st.integers(0, 9), cost_usd=st.none() | st.floats(0, 1), model=st.none() | text
)
case = st.builds(
    Case,
    id=some_text,
    input=some_text | st.lists(st.builds(Message, text, text), min_size=1, max_size=2).map(tuple),
    reference=st.lists(text, max_size=2).map(tuple),
    contexts=st.lists(text, max_size=2).map(tuple),
    cohorts=st.dictionaries(text, text, max_size=2),
    cluster=st.none() | st.text(min_size=1, max_size=3),
    fields=st.dictionaries(text, text | st.booleans(), max_size=2),
    digest=some_text,
)
output = st.builds(
    Output,
    text=text,
    contexts=st.none() | st.lists(text, max_size=2).map(tuple),
    usage=st.none() | usage,
    tool_calls=st.none()
    | st.lists(st.builds(ToolCall, text, st.dictionaries(text, text, max_size=1)), max_size=2).map(tuple),
    latency_s=st.none() | st.floats(0, 10),
    replayed=st.booleans(),
)
grade = st.builds(Score, st.just("m"), st.floats(0, 1), st.none() | st.booleans(), text, usage=st.none() | usage)
unknown = st.builds(Unscored, st.just("m"), text, text)
ends = st.one_of(
    st.fixed_dictionaries({"output": output}),
    st.fixed_dictionaries({"failure": st.builds(Failure, text, text)}),
    st.fixed_dictionaries({"skipped": text}),
)
row = st.builds(
    lambda end, **parts: Row(**end, **parts),
    ends,
    case=case,
    repeat=st.integers(0, 3),
    scores=st.dictionaries(st.just("m"), grade | unknown, max_size=1),
    scored_by=st.sampled_from(["", "0123456789ab"]),
)


ABSURD = {
    "tokens": Output(text="a", usage=Usage(input_tokens=10**400)),
    "more tokens": Output(text="a", usage=Usage(output_tokens=2**63)),
    "cost": Output(text="a", usage=Usage(cost_usd=1e308)),
    "latency": Output(text="a", latency_s=1e308),
    "time to the first token": Output(text="a", ttft_s=1e300),
    "tokens below 0": Output(text="a", usage=Usage(input_tokens=-1)),
}


@pytest.mark.parametrize("what", ABSURD)
def test_a_stored_row_with_an_absurd_figure_is_run_again(what: str) -> None:
    """An earlier version has kept such rows; sums over them would overflow."""
    kept = Row(case=Case(id="a", input="q", digest="d"), repeat=0, output=ABSURD[what])
    assert decode_row(encode_row(kept)) is None
    judged = Score("m", 1.0, usage=ABSURD[what].usage)
    graded = Row(case=kept.case, repeat=0, output=Output(text="a"), scores={"m": judged})
    assert (decode_row(encode_row(graded)) is None) == (ABSURD[what].usage is not None)


@given(row)
def test_a_row_survives_the_journal(given_row: Row) -> None:
    """Lone surrogates, U+2028 and NUL included; one row is one line."""
    line = encode_row(given_row)
    assert line.count(b"\n") == 1
    assert line.isascii()
    assert decode_row(line) == given_row
    assert row_key(line) == (given_row.case.id, given_row.case.digest, given_row.repeat)


def sealed(body: bytes) -> bytes:
    """A line whose checksum fits, whatever it holds."""
    digest = hashlib.blake2b(body, digest_size=16).hexdigest().encode()
    return b'{"sum":"' + digest + b'","row":' + body + b"}\n"


def body_of(row: Row) -> bytes:
    """What stands under `row` in the line of a row."""
    line = encode_row(row)
    return line[line.index(b'"row":') + 6 : -2]


HALF = "half \ud83d of a character"


@pytest.mark.parametrize("answer", ["said", HALF])
def test_rows_of_another_version_are_told_apart(answer: str) -> None:
    """Rows without a version are the first one's; a later one is refused in words, and not read as damage."""
    body = body_of(a_row("a", answer))
    assert decode_row(sealed(body.replace(b'"v":1,', b""))) == a_row("a", answer)
    assert row_key(sealed(body.replace(b'"v":1,', b""))) == ("a", "a", 0)
    with pytest.raises(InputError, match="format 2, this evalkit reads 1; upgrade"):
        decode_row(sealed(body.replace(b'"v":1', b'"v":2')))


SPOILT = {
    "a repeat below 0": (b'"repeat":0', b'"repeat":-1'),
    "a repeat beyond all counting": (b'"repeat":0', b'"repeat":2147483648'),
    "a repeat of text": (b'"repeat":0', b'"repeat":"0"'),
    "a conversation of nothing": (b'"input":"q"', b'"input":[]'),
    "an id that is a number": (b'"id":"a"', b'"id":1'),
    "a severity of its own": (b'"severity":"medium"', b'"severity":"grave"'),
    "a score that is yes": (b'"value":1.0', b'"value":true'),
    "a score that is text": (b'"value":1.0', b'"value":"1.0"'),
    "a score of NaN": (b'"value":1.0', b'"value":NaN'),
    "a score beyond all numbers": (b'"value":1.0', b'"value":1e999'),
    "a grade that says nothing": (b'"value":1.0', b'"message":"m"'),
    "passed by a number": (b'"passed":true', b'"passed":1'),
    "a latency below words": (b'"latency_s":0.5', b'"latency_s":"soon"'),
    "no id": (b'"id":"a",', b""),
    "an id of nothing": (b'"id":"a"', b'"id":""'),
    "no digest": (b'"digest":"a",', b""),
    "a digest of nothing": (b'"digest":"a"', b'"digest":""'),
    "no kind": (b'"kind":"golden",', b""),
    "no severity": (b',"severity":"medium"', b""),
    "a question of nothing": (b'"input":"q"', b'"input":""'),
    "two ends": (b'"scores":', b'"failure":{"kind":"k","message":""},"scores":'),
    "an answer that was left out": (b'"scores":', b'"skipped":"why","scores":'),
    "no end": (b'"output":', b'"outptu":'),
    "a grade and why there is none": (b'"value":1.0', b'"value":1.0,"unscored":"k"'),
}


@pytest.mark.parametrize("answer", ["said", HALF])
@pytest.mark.parametrize("spoilt", SPOILT)
def test_a_line_that_no_run_writes_is_no_row(spoilt: str, answer: str) -> None:
    """A checksum that fits proves nothing about the types."""
    whole = replace(
        a_row("a"), output=Output(text=answer, latency_s=0.5), scores={"m": Score("m", 1.0, passed=True, reason="why")}
    )
    before, after = SPOILT[spoilt]
    body = body_of(whole)
    assert body.count(before) == 1
    assert decode_row(sealed(body)) == whole
    assert decode_row(sealed(body.replace(before, after))) is None


def a_row(name: str, answer: str = "said", repeat: int = 0) -> Row:
    """A small row."""
    return Row(case=Case(id=name, input="q", digest=name), repeat=repeat, output=Output(text=answer))


def journal_of(folder: Path, count: int) -> Path:
    """A journal of so many rows."""
    path = folder / "rows.jsonl"
    with Journal(path) as journal:
        for i in range(count):
            journal.append(a_row(f"c{i:02d}"))
    return path


def test_every_truncation_gives_exactly_the_whole_rows(tmp_path: Path) -> None:
    """Cut anywhere, the complete rows are read, the torn one is named, and appending goes on cleanly."""
    data = journal_of(tmp_path, 4).read_bytes()
    cut = tmp_path / "cut.jsonl"
    for size in range(len(data)):
        cut.write_bytes(data[:size])
        damaged: list[Damage] = []
        whole = data[:size].count(b"\n")
        assert [one.case.id for one in read_rows(cut, damaged)] == [f"c{i:02d}" for i in range(whole)]
        assert [damage.torn for damage in damaged] == ([True] if size > data.rfind(b"\n", 0, size) + 1 else [])
    cut.write_bytes(data[:-5])
    with Journal(cut) as journal:
        journal.append(a_row("new"))
    assert [one.case.id for one in read_rows(cut)] == ["c00", "c01", "c02", "new"]


def test_no_flipped_bit_is_believed(tmp_path: Path) -> None:
    """A row with any bit changed is left out and named; the others stand."""
    path = journal_of(tmp_path, 3)
    data = path.read_bytes()
    intact = list(read_rows(path))
    rng = random.Random(7)
    for _ in range(300):
        place, bit = rng.randrange(len(data)), rng.randrange(8)
        changed = bytearray(data)
        changed[place] ^= 1 << bit
        path.write_bytes(bytes(changed))
        damaged: list[Damage] = []
        rows = list(read_rows(path, damaged))
        assert damaged
        assert all(one in intact for one in rows)


def test_rows_come_back_in_one_order(tmp_path: Path) -> None:
    """Any order of writing reads the same; the last row of a case and repeat counts; reading twice is the same."""
    rows = [a_row("b"), a_row("a", repeat=1), a_row("a"), a_row("b", "again")]
    found = []
    for turn, order in enumerate([rows, [rows[i] for i in (2, 0, 1, 3)]]):
        path = tmp_path / f"{turn}.jsonl"
        with Journal(path) as journal:
            for one in order:
                journal.append(one)
        reader = sorted_rows(path)
        found += [list(reader()), list(reader())]
    assert all(one == found[0] for one in found)
    assert [(one.case.id, one.repeat, one.output and one.output.text) for one in found[0]] == [
        ("a", 0, "said"), ("a", 1, "said"), ("b", 0, "again"),
    ]  # fmt: skip


def test_a_full_disk_says_where_and_how_much(tmp_path: Path) -> None:
    """A write that the system refuses is a store error with path and bytes."""
    full = Path("/dev/full")
    if not full.exists():
        pytest.skip("no /dev/full on this system")
    link = tmp_path / "rows.jsonl"
    link.symlink_to(full)
    with (
        pytest.raises(StoreError, match=r"rows.jsonl: No space left on device.* \d+ bytes needed"),
        Journal(link) as journal,
    ):
        journal.append(a_row("a"))


def test_json_has_no_number_for_an_unknown() -> None:
    """NaN and infinity are refused, never written."""
    for value in (float("nan"), float("inf")):
        with pytest.raises(ValueError, match="not JSON compliant"):
            to_json({"value": value})


def test_folders_are_refused_in_words(tmp_path: Path) -> None:
    """No run folder, a full one, nothing to resume, and a baseline that is none."""
    (tmp_path / "note").write_text("x", encoding="utf-8")
    with pytest.raises(InputError, match="is not empty"):
        new_run_folder(tmp_path, resume=False)
    with pytest.raises(InputError, match="no run to resume"):
        new_run_folder(tmp_path / "new", resume=True)
    with pytest.raises(InputError, match=r"no manifest\.json in it"):
        RunFolder(tmp_path).manifest()
    assert find_baseline("main", tmp_path) is None
    with pytest.raises(InputError, match="no run there"):
        find_baseline("some/folder", tmp_path)
    (tmp_path / "manifest.json").write_text('{"format": 99}', encoding="utf-8")
    with pytest.raises(InputError, match="format 99, this evalkit reads 1"):
        RunFolder(tmp_path).manifest()


def test_the_stored_baseline_of_this_project_can_be_read() -> None:
    """A baseline of an earlier version, whose metrics say less, is still a run."""
    stored = load_run(RunFolder(Path(__file__).parents[2] / "reports" / "baselines" / "main"))
    assert "keywords" in [metric.name for metric in stored.frame.metrics]
