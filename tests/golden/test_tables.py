"""Parquet, Arrow and hub data sets."""

import contextlib
import datetime
import decimal
import functools
import http.server
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet
import pytest

from evalkit.errors import InputError
from evalkit.golden.read import GoldenSource, open_golden
from evalkit.types import Case

ROWS = [
    {
        "id": 7,
        "input": "007",
        "reference": ["NA", "null"],
        "cohorts": {"domain": "a", "tier": None},
        "due": "2024-01-01",
    },
    {"id": 8, "input": "true", "reference": [], "cohorts": {"domain": None, "tier": "x"}, "due": None},
]


def cases_of(file: Path) -> list[Case]:
    """Cases of a table."""
    return list(open_golden(GoldenSource(path=file.name), file, file.name).open())


def write(tmp_path: Path, suffix: str, rows: list[dict[str, Any]]) -> Path:
    """A table of rows."""
    table = pa.Table.from_pylist(rows)
    file = tmp_path / f"cases{suffix}"
    if suffix == ".parquet":
        pyarrow.parquet.write_table(table, file)
    else:
        with pa.OSFile(str(file), "wb") as sink, pa.ipc.new_stream(sink, table.schema) as writer:
            writer.write_table(table)
    return file


def write_columns(tmp_path: Path, suffix: str, columns: dict[str, Any]) -> Path:
    """A table of one case with these columns beside."""
    table = pa.table({"id": ["a"], "input": ["q"], **columns})
    file = tmp_path / f"cases{suffix}"
    with pa.OSFile(str(file), "wb") as sink:
        if suffix == ".parquet":
            pyarrow.parquet.write_table(table, sink)
        else:
            with pa.ipc.new_stream(sink, table.schema) as writer:
                writer.write_table(table)
    return file


@pytest.mark.parametrize("suffix", [".parquet", ".arrow"])
def test_text_stays_text(tmp_path: Path, suffix: str) -> None:
    """No date, number, boolean or missing value is made of a text; null keys are absent; ids become text."""
    first, second = cases_of(write(tmp_path, suffix, ROWS))
    assert (first.id, first.input, first.reference) == ("7", "007", ("NA", "null"))
    assert first.cohorts == {"domain": "a"}
    assert first.fields == {"due": "2024-01-01"}
    assert (second.input, second.reference, second.cohorts, second.fields) == ("true", (), {"tier": "x"}, {})


def test_the_same_rows_have_the_same_digest_in_every_format(tmp_path: Path) -> None:
    """A golden set may change its format and keep its baseline."""
    parquet, arrow = (cases_of(write(tmp_path, suffix, ROWS)) for suffix in (".parquet", ".arrow"))
    assert [case.digest for case in parquet] == [case.digest for case in arrow]


DAY = datetime.date(2024, 1, 31)
COLUMNS: dict[str, tuple[Any, Any]] = {
    "decimal": (pa.array([decimal.Decimal("9.80")]), "9.80"),
    "day": (pa.array([DAY]), "2024-01-31"),
    "time": (pa.array([datetime.time(1, 2)]), "01:02:00"),
    "timestamp": (pa.array([datetime.datetime(2024, 1, 31, 1)]), "2024-01-31T01:00:00"),  # noqa: DTZ001
    "nested": (pa.array([[{"a": {"b": [DAY]}}]]), [{"a": {"b": ["2024-01-31"]}}]),
    "dictionary": (pa.array(["a"]).dictionary_encode(), "a"),
    "nothing": (pa.nulls(1), None),
    "a number that is none": (pa.array([float("nan")]), None),
    "map": (pa.array([[("a", 1)]], pa.map_(pa.string(), pa.int64())), [["a", 1]]),
    "large list": (pa.array([["x"]], pa.large_list(pa.string())), ["x"]),
    "unsigned": (pa.array([2**63], pa.uint64()), 2**63),
}


@pytest.mark.parametrize("suffix", [".parquet", ".arrow"])
@pytest.mark.parametrize("name", COLUMNS)
def test_a_column_of_any_type_is_read_as_text_numbers_and_lists(tmp_path: Path, name: str, suffix: str) -> None:
    """Dates and decimals become text, nested or not; nothing is guessed, and no column is a reason to refuse."""
    array, value = COLUMNS[name]
    (case,) = cases_of(write_columns(tmp_path, suffix, {"x": array}))
    assert case.fields == ({} if value is None else {"x": value})


@pytest.mark.parametrize(
    ("array", "why"),
    [
        (pa.array([b"\xff"]), "a value of type bytes"),
        (pa.array([b"abc"], pa.binary(3)), "a value of type bytes"),
        (pa.array([datetime.timedelta(1)]), "a value of type timedelta"),
        (pa.array([float("inf")]), "inf is not a number that JSON can hold"),
        (pa.array([{"a": [b"x"]}]), "a value of type bytes"),
    ],
)
def test_a_column_that_cannot_be_read_is_left_out_with_a_word(tmp_path: Path, array: Any, why: str) -> None:
    """One warning a column; where the column is read, it is a problem with its place."""
    file = write_columns(tmp_path, ".parquet", {"x": array})
    golden = open_golden(GoldenSource(path=file.name), file, file.name)
    assert [str(each) for each in golden.warnings] == [
        f"cases.parquet:1 x: left out: {why}; store it as text if it is needed"
    ]
    assert next(golden.open()).fields == {}
    with pytest.raises(InputError, match=f"cases.parquet:1 reference: {why}; store it as text"):
        cases_of(write_columns(tmp_path, ".parquet", {"reference": array}))


def test_a_column_twice_is_named_or_left_out(tmp_path: Path) -> None:
    """Neither of the two is chosen."""
    arrays = [pa.array([each]) for each in ("a", "q", "x", "y")]
    file = tmp_path / "cases.parquet"
    pyarrow.parquet.write_table(pa.Table.from_arrays(arrays, names=["id", "input", "note", "note"]), file)
    golden = open_golden(GoldenSource(path=file.name), file, file.name)
    assert next(golden.open()).fields == {}
    assert "cases.parquet:1 note: left out: 2 columns have its name" in str(golden.warnings[0])
    pyarrow.parquet.write_table(pa.Table.from_arrays(arrays, names=["id", "input", "input", "note"]), file)
    with pytest.raises(InputError, match=r"cases.parquet: 2 columns are called 'input'; name each column once"):
        cases_of(file)


def test_a_feather_file_is_read_like_an_arrow_stream(tmp_path: Path) -> None:
    """Both forms of Arrow: a stream, and a file with random access."""
    stream = cases_of(write(tmp_path, ".arrow", ROWS))
    table = pa.Table.from_pylist(ROWS)
    for name in ("cases.arrow", "cases.feather"):
        with pa.OSFile(str(tmp_path / name), "wb") as sink, pa.ipc.new_file(sink, table.schema) as writer:
            writer.write_table(table)
        assert [case.digest for case in cases_of(tmp_path / name)] == [case.digest for case in stream]


def test_column_names_of_a_table_are_read_in_any_case(tmp_path: Path) -> None:
    """A data frame with the columns of a sheet."""
    (case,) = cases_of(write(tmp_path, ".parquet", [{"ID": 7, "Question": "q", "Ground Truth": "r", "Note": "n"}]))
    assert (case.id, case.input, case.reference, case.fields) == ("7", "q", ("r",), {"Note": "n"})


@pytest.mark.parametrize("suffix", [".parquet", ".arrow"])
def test_a_broken_table_is_named(tmp_path: Path, suffix: str) -> None:
    """Bytes that are no table end in an input error."""
    file = tmp_path / f"cases{suffix}"
    file.write_bytes(b"PAR1 nonsense")
    with pytest.raises(InputError, match="cannot be read as"):
        cases_of(file)


def test_a_hub_data_set_out_of_reach_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a connection the data set, the reason and the fix are told, without a traceback."""
    import datasets
    import huggingface_hub.constants

    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(datasets.config, "HF_HUB_OFFLINE", True)
    with pytest.raises(InputError, match=r"someone/nowhere: the data set cannot be opened: .*; check name"):
        open_golden(GoldenSource(hub="someone/nowhere"), None, "someone/nowhere")


@pytest.fixture
def served(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A folder with two remote sets behind a real HTTP server, and a cache of its own."""
    import datasets

    monkeypatch.setattr(datasets.config, "DOWNLOADED_DATASETS_PATH", tmp_path / "cache")
    folder = tmp_path / "served"
    folder.mkdir()
    write(folder, ".parquet", ROWS)
    (folder / "cases.jsonl").write_text('{"id": "a", "input": "007"}\n', encoding="utf-8")
    handler = functools.partial(http.server.SimpleHTTPRequestHandler, directory=str(folder))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()
        thread.join()


def test_remote_files_are_read_like_local_ones(served: str) -> None:
    """A remote file is fetched and read by the same readers, so nothing is inferred either."""
    for name, ids in (("cases.parquet", ["7", "8"]), ("cases.jsonl", ["a"])):
        url = f"{served}/{name}"
        golden = open_golden(GoldenSource(url=url), None, url)
        assert [case.id for case in golden.open()] == ids
        assert next(golden.open()).input == "007"
    with pytest.raises(InputError, match=r"nothing\.jsonl: cannot be fetched: .*; check the address"):
        open_golden(GoldenSource(url=f"{served}/nothing.jsonl"), None, f"{served}/nothing.jsonl")


@contextlib.contextmanager
def serving(reply: Callable[[http.server.BaseHTTPRequestHandler], None]) -> Iterator[str]:
    """A server that answers each GET with `reply`, and each HEAD with 405."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            with contextlib.suppress(OSError):  # the client has gone
                reply(self)

        def log_message(self, *words: object) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}/cases.jsonl"
        server.shutdown()


@pytest.mark.parametrize("declared", [True, False], ids=["says how long it is", "has no end"])
def test_a_remote_file_has_a_limit(declared: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file above the limit is not fetched, whether or not the server admits its length; nothing is left of it."""
    import datasets

    cache = tmp_path / "cache"
    monkeypatch.setattr(datasets.config, "DOWNLOADED_DATASETS_PATH", cache)
    monkeypatch.setattr("evalkit.golden.tables.MAX_FETCHED_BYTES", 3_000_000)

    def reply(request: http.server.BaseHTTPRequestHandler) -> None:
        request.send_response(200)
        if declared:
            request.send_header("Content-Length", "3000001")
        request.end_headers()
        while not declared:
            request.wfile.write(b" " * 100_000)

    with (
        serving(reply) as url,
        pytest.raises(InputError, match=r"not fetched: more than 3,000,000 bytes; name a smaller"),
    ):
        open_golden(GoldenSource(url=url), None, url)
    assert not cache.exists() or list(cache.iterdir()) == []


def test_a_remote_file_without_a_version_is_fetched_by_each_process(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A server that tells no versions may have another file under the same address."""
    import datasets

    from evalkit.golden.tables import fetch

    monkeypatch.setattr(datasets.config, "DOWNLOADED_DATASETS_PATH", tmp_path / "cache")
    text = ['{"id": "a", "input": "old"}\n']

    def reply(request: http.server.BaseHTTPRequestHandler) -> None:
        request.send_response(200)
        request.send_header("Content-Length", str(len(text[0])))
        request.end_headers()
        request.wfile.write(text[0].encode())

    with serving(reply) as url:
        assert [case.input for case in open_golden(GoldenSource(url=url), None, url).open()] == ["old"]
        text[0] = text[0].replace("old", "new")
        fetch.cache_clear()  # as in another process
        assert [case.input for case in open_golden(GoldenSource(url=url), None, url).open()] == ["new"]


def test_kind_severity_and_cohorts_of_a_table_are_read_as_in_a_sheet(tmp_path: Path) -> None:
    """A data frame made of a sheet has its names and words."""
    columns = {"Severity": ["Critical"], "kind": [" Golden"], "cohorts.topic": ["fees"]}
    (case,) = cases_of(write_columns(tmp_path, ".parquet", columns))
    assert (case.severity, case.kind, case.cohorts) == ("critical", "golden", {"topic": "fees"})


def test_json_text_in_a_column_of_lists_is_a_warning_with_the_type_to_store(tmp_path: Path) -> None:
    """The column's own type is text, so it is one text."""
    file = write_columns(tmp_path, ".parquet", {"required": ['["a", "b"]']})
    golden = open_golden(GoldenSource(path=file.name), file, file.name)
    (said,) = [str(each) for each in golden.warnings]
    assert "is read as one text, as the type of its column is text; if it is a list, store it as a list" in said


def test_numbers_that_pandas_made_of_ids_and_answers_are_their_text(tmp_path: Path) -> None:
    """A column of whole numbers with a gap is one of decimals; a workbook reads such cells as text too."""
    rows = [
        {"id": 1.0, "question": "q", "reference": 42},
        {"id": 2.0, "question": "r", "reference": 10**15},
    ]
    cases = cases_of(write(tmp_path, ".parquet", rows))
    assert [(case.id, case.reference) for case in cases] == [("1", ("42",)), ("2", ("1000000000000000",))]
    (case,) = cases_of(write_columns(tmp_path, ".parquet", {"reference": [0.05]}))
    assert case.reference == ("0.05",)


def test_an_id_that_is_no_whole_number_is_named(tmp_path: Path) -> None:
    """Nobody numbers cases so."""
    with pytest.raises(InputError, match=r"`id` is 1\.5"):
        cases_of(write(tmp_path, ".parquet", [{"id": 1.5, "question": "q"}]))
