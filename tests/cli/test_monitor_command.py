"""`evalkit monitor take` as a command: what it prints, its exit codes, and flags that do not go together."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from evalkit.cli.app import app
from evalkit.cli.child_process import _then
from evalkit.errors import InputError

MONITOR = "name: shop\nlogs: {format: jsonl, input: question, output: answer}\nscorers: [{length: {max: 12}}]\n"
ROW = {"id": "a", "at": "2026-09-01T10:00:00Z", "question": "When?", "answer": "At noon."}


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project with a monitor and a log of one call."""
    (tmp_path / "pyproject.toml").touch()
    (tmp_path / "monitor.yaml").write_text(MONITOR, encoding="utf-8")
    (tmp_path / "a.jsonl").write_text(json.dumps(ROW) + "\n", encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_counts_are_printed_as_lines_and_as_json(project: Path) -> None:
    """One sentence, or one object a look."""
    first = CliRunner().invoke(app, ["monitor", "take", "monitor.yaml", "a.jsonl"])
    assert (first.exit_code, first.stdout.splitlines()[0]) == (0, "read 1 row: 1 scored, 0 refused, 0 double")
    again = CliRunner().invoke(app, ["monitor", "take", "monitor.yaml", "-", "--json"], input=json.dumps(ROW))
    assert json.loads(again.stdout)["n_double"] == 1
    made = CliRunner().invoke(app, ["monitor", "take", "monitor.yaml", "--rebuild"])
    assert made.stdout == "made the series again from 2 batches\n"


def test_many_refused_rows_are_no_figures(project: Path) -> None:
    """Exit 3, with file, line and fix on standard error; control characters are escaped."""
    (project / "a\x1b.jsonl").write_text(json.dumps(ROW) + '\n{"id": 5}\n', encoding="utf-8")
    ended = CliRunner().invoke(app, ["monitor", "take", "monitor.yaml", "a\x1b.jsonl"])
    assert ended.exit_code == 3
    assert "refused" in ended.stderr
    assert ".jsonl:2: at: missing; write ISO 8601" in ended.stderr
    assert "\x1b" not in ended.output


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ([], "LOGS: no logs given"),
        (["a.jsonl", "--rebuild"], "--rebuild: no log is read"),
        (["--feedback", "a.jsonl", "--rebuild"], "leave out the logs and all other flags"),
        (["--rebuild", "--engine", "dask"], "leave out the logs and all other flags"),
        (["-", "--feedback", "-"], "-: standard input is read once"),
        (["a.jsonl", "--feedback", "-", "--follow"], "--follow: standard input ends"),
        (["-", "--follow"], "--follow: standard input ends"),
        (["none.jsonl"], "none.jsonl: no such file or folder"),
    ],
)
def test_bad_words_are_refused(project: Path, words: list[str], said: str) -> None:
    """Exit 2, and nothing is written."""
    ended = CliRunner().invoke(app, ["monitor", "take", "monitor.yaml", *words])
    assert isinstance(ended.exception, InputError) or ended.exit_code == 2
    assert said in (str(ended.exception) + ended.output)
    assert not (project / "monitors").exists()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["run", "suite.yaml"], "finished cases are kept, continue with --resume"),
        (["monitor", "take", "m.yaml"], "finished batches are kept; run the command again"),
        (["monitor", "thresholds", "m.yaml"], "nothing was written; run the command again"),
        (["monitor", "status", "m.yaml"], "run the command again"),
        ([], "run the command again"),
    ],
)
def test_a_command_that_was_ended_names_only_flags_that_it_has(words: list[str], said: str) -> None:
    """`--resume` is one of `run` and `score`."""
    assert _then(words) == said


def test_feedback_is_counted_and_refused_in_words(project: Path) -> None:
    """Exit 3 if more than a tenth is refused; what waits for its call is said."""
    lines = [
        {"id": "a", "at": ROW["at"], "good": True, "action": "stop"},
        {"id": "a", "at": ROW["at"], "thumb": "up"},
        {"id": "b", "at": ROW["at"], "thumb": "up"},
    ]
    said = "\n".join(map(json.dumps, lines))
    ended = CliRunner().invoke(app, ["monitor", "take", "monitor.yaml", "a.jsonl", "--feedback", "-"], input=said)
    assert ended.exit_code == 3
    assert "feedback: 1 counted, 0 double, 1 refused\n" in ended.stdout
    assert "waiting for their calls: 1; take the logs of these calls within 48 hours" in ended.stdout
    assert "<stdin>:1: action: not an action of the guard; write `pass`, `warn` or `block`" in ended.stderr


def test_rows_that_fail_alike_are_one_line(project: Path) -> None:
    """With the first place, their number, and what to write in the monitor."""
    (project / "a.jsonl").write_text((json.dumps({**ROW, "id": None}) + "\n") * 30, encoding="utf-8")
    ended = CliRunner().invoke(app, ["monitor", "take", "monitor.yaml", "a.jsonl"])
    said = "a.jsonl:1: id: missing; name the column of the id under `logs: {id: ...}` "
    said += "(19 more rows refused for the same reason)"
    assert ended.stderr.splitlines() == [f"refused {said}", "refused 10 more rows"]


def test_each_log_that_cannot_be_read_is_named(project: Path) -> None:
    """Also if several have the same fault; rows of another log are another line."""
    (project / "monitor.yaml").write_text(MONITOR.replace("jsonl", "parquet"), encoding="utf-8")
    logs = project / "logs"
    logs.mkdir()
    for name in ("a", "b"):
        (logs / f"{name}.parquet").write_bytes(b"no")
    ended = CliRunner().invoke(app, ["monitor", "take", "monitor.yaml", "logs"])
    assert ended.exit_code == 3
    assert sorted(line.partition(":")[0] for line in ended.stderr.splitlines()) == [
        "refused logs/a.parquet",
        "refused logs/b.parquet",
    ]


def test_the_commands_are_listed_in_the_order_of_their_use() -> None:
    """Options name what they take."""
    words = CliRunner().invoke(app, ["monitor", "--help"]).output.split()
    names = ["take", "reference", "status", "compare", "incident", "thresholds"]
    assert sorted(names, key=words.index) == names
    said = CliRunner().invoke(app, ["monitor", "thresholds", "--help"]).output
    assert "<float>" not in said
    assert "--by COHORT" in said


@pytest.mark.parametrize("flag", ["--html", "--markdown", "--prom"])
@pytest.mark.parametrize("target", ["monitor.yaml", "sub/../monitor.yaml", "link.html", "monitors/shop/batches.jsonl"])
def test_a_status_is_not_written_over_the_monitor(project: Path, flag: str, target: str) -> None:
    """Exit 2; neither its file nor what it took is replaced."""
    CliRunner().invoke(app, ["monitor", "take", "monitor.yaml", "a.jsonl"])
    (project / "sub").mkdir()
    (project / "link.html").hardlink_to(project / "monitor.yaml")
    before = (project / target).read_bytes()
    ended = CliRunner().invoke(app, ["monitor", "status", "monitor.yaml", flag, target])
    assert isinstance(ended.exception, InputError)
    assert f"{flag} {target}: " in str(ended.exception)
    assert (project / target).read_bytes() == before


def test_an_empty_monitor_names_the_keys_of_a_monitor(project: Path) -> None:
    """Not those of a suite."""
    (project / "monitor.yaml").write_text("", encoding="utf-8")
    ended = CliRunner().invoke(app, ["monitor", "take", "monitor.yaml", "a.jsonl"])
    assert "the file is empty; start with `name:`, `logs:`, `scorers:`" in str(ended.exception)
