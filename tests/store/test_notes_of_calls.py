"""The notes of begun calls are read line by line, and only those of open cases are kept."""

import os
import tracemalloc
from pathlib import Path

from evalkit.store.running import RUNNING, Running, deaths_in, noted_in


def test_deaths_are_counted_for_cases_that_are_not_done(tmp_path: Path) -> None:
    """A case counts once for each process that died after beginning it, and not for one that ended."""
    text = "\nbegin 1\na 0\nb 0\n\nbegin 2\na 0\nc 0\nend\n\nbegin 3\na 0\nb 1\n"
    (tmp_path / RUNNING).write_text(text, encoding="utf-8")
    expected = {("a", 0): 2, ("b", 0): 1, ("b", 1): 1}
    assert deaths_in(tmp_path) == expected
    with Running(tmp_path) as running:
        running.begins("d", 0)
        assert running.deaths(()) == expected
        assert running.deaths({("b", 0)}) == {("a", 0): 2, ("b", 1): 1}
        assert [key in running.noted for key in (("a", 0), ("c", 0), ("b", 1), ("d", 0))] == [True, True, True, False]
    assert ("d", 0) in noted_in(tmp_path)


def test_notes_of_a_huge_run_take_little_memory(tmp_path: Path) -> None:
    """A million calls leave 70 MB of notes, of which the last case is still found."""
    n = 20_000
    with (tmp_path / RUNNING).open("w", encoding="utf-8") as file:
        file.write("\nbegin 1\n")
        file.writelines(f"{number:064x} 0\n" for number in range(n))
    last = (f"{n - 1:064x}", 0)
    done = _AllBut(last)
    tracemalloc.start()
    try:
        with Running(tmp_path) as running:
            assert running.deaths(done) == {last: 1}
            assert len(running.noted) == n
            kept, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert kept / n < 40
    assert peak / n < 500  # a block of the file and its lines, whatever the size of the run


def test_a_line_over_two_blocks_is_read_whole(tmp_path: Path) -> None:
    """Blocks end anywhere; a line without an end is cut."""
    from evalkit.store import running

    lines = [f"{number:064x} {number % 3}" for number in range(5_000)]
    (tmp_path / "notes").write_text("\n".join(["begin 1", *lines, "x" * 5_000]), encoding="utf-8")
    fd = os.open(tmp_path / "notes", os.O_RDWR)
    try:
        for block_bytes in (1000, 1 << 20):
            running._BLOCK_BYTES = block_bytes
            read = list(running._lines(fd, os.fstat(fd).st_size))
            assert [" ".join(words) for words in read][:-1] == ["begin 1", *lines]
    finally:
        running._BLOCK_BYTES = 1 << 20
        os.close(fd)


class _AllBut:
    """The keys of all cases but one."""

    def __init__(self, key: tuple[str, int]) -> None:
        self._key = key

    def __contains__(self, key: object) -> bool:
        return key != self._key
