"""Bad input is told with place and fix, all at once, before any call; a golden file holds every message."""

import os
from pathlib import Path

import pytest
from bad_lab import Counting, Lab, Ran, server
from bad_table import ALSO, TABLE, Bad

MESSAGES = Path(__file__).with_name("messages.txt")
CALLED = {72, 76, 80, 81, 83, 44}


def met(bad: Bad, root: Path) -> tuple[Lab, Ran]:
    """The spoilt project, and the command that met it."""
    lab = Lab(root / "project" if root.name != "project" else root)
    bad.spoil(lab)
    with server() as address:
        suite = lab.root / "suite.yaml"
        suite.write_bytes(suite.read_bytes().replace(b"SERVER", address.encode()))
        ran = lab.run(*bad.words)
        clean = ran._replace(err=ran.err.replace(address, "SERVER"), out=ran.out.replace(address, "SERVER"))
    return lab, clean


def told(bad: Bad, ran: Ran) -> list[str]:
    """The lines that name the input: all of stderr, or the warnings of an input that is allowed."""
    if bad.code not in (2, 5):
        return [line.strip() for line in ran.out.splitlines() if line.startswith("  warning")]
    lines = ran.err.splitlines()
    wrong_flag = [line for line in lines if line.startswith("Error: ")]
    return wrong_flag or lines


def stored_messages() -> dict[str, list[str]]:
    """Title -> lines of the golden file."""
    found: dict[str, list[str]] = {}
    for line in MESSAGES.read_text(encoding="utf-8").splitlines() if MESSAGES.exists() else ():
        if line and not line.startswith(" "):
            found[line] = current = []
        elif line:
            current.append(line[4:])
    return found


STORED = stored_messages()


def title(bad: Bad) -> str:
    """How the golden file heads a bad input."""
    return f"{bad.number} {bad.title}: exit {bad.code}"


@pytest.mark.parametrize("bad", [*TABLE, *ALSO], ids=lambda bad: f"{bad.number}-{bad.title.replace(' ', '-')}")
def test_a_bad_input_is_told(tmp_path: Path, bad: Bad) -> None:
    """Its exit code, its message word for word, no traceback, and no call of the system where it is refused."""
    lab, ran = met(bad, tmp_path)
    assert ran.code == bad.code, ran
    assert "Traceback" not in ran.err
    assert bad.code == 2 or bad.because or bad.code == 5
    if bad.number not in CALLED:
        assert lab.calls() == []
        assert Counting.asked == 0
        assert not (lab.root / "run").exists()
    lines = told(bad, ran)
    if os.environ.get("EVALKIT_UPDATE_GOLDEN"):
        STORED[title(bad)] = lines
        wanted = {title(each): STORED.get(title(each), []) for each in (*TABLE, *ALSO)}
        blocks = ["\n".join([head, *(f"    {line}" for line in said)]) for head, said in wanted.items()]
        MESSAGES.write_text("\n\n".join(blocks) + "\n", encoding="utf-8")
    assert lines == STORED[title(bad)]
    assert bad.said in " ".join(ran.out.split())
    assert lines or bad.said


def test_the_table_has_every_number_once() -> None:
    """1 to 88."""
    assert [bad.number for bad in TABLE] == list(range(1, 89))
