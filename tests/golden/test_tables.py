"""Parquet, Arrow and hub data sets."""

import contextlib
import datetime
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


def test_a_type_that_is_no_json_is_named(tmp_path: Path) -> None:
    """A timestamp column is refused with its place and fix, not guessed at."""
    file = write(tmp_path, ".parquet", [{"id": "a", "input": "q", "at": datetime.datetime(2024, 1, 1)}])  # noqa: DTZ001
    with pytest.raises(InputError, match=r"cases.parquet:1 at: a value of type datetime; store it as text"):
        cases_of(file)


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
