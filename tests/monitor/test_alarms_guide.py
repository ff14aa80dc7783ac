"""The commands of docs/monitoring.md run on a monitor as it describes, and the exit codes are those it promises."""

import itertools
import json
import re
import shlex
import time
from pathlib import Path

import pytest
from typer.testing import CliRunner
from watch_lab import Lab, look, make_lab, refer, trust_judge

from evalkit.cli.app import app
from evalkit.errors import StoreError
from evalkit.monitor.settings import load_monitor
from evalkit.report.monitor.prometheus import status_prometheus

GUIDE = (Path(__file__).parents[2] / "docs" / "monitoring.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"```(\w+)\n(.*?)```", GUIDE, re.DOTALL)
OWN = ("evalkit monitor reference ", "evalkit monitor status ", "evalkit monitor compare ")


def commands() -> list[str]:
    """The commands that look at what was taken."""
    lines = itertools.chain.from_iterable(text.splitlines() for kind, text in BLOCKS if kind == "sh")
    return [line for line in lines if line.startswith(OWN)]


def called(line: str) -> tuple[int, str]:
    """Exit code and output of a command line."""
    ended = CliRunner().invoke(app, shlex.split(line)[1:])
    assert ended.exception is None or isinstance(ended.exception, SystemExit), (line, ended.exception)
    return ended.exit_code, ended.output


@pytest.fixture
def guide(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Lab:
    """Six quiet weeks, then a week in which cards are worse; a canary in the last two weeks."""
    lab = make_lab(tmp_path, per_day=240, v2=0.0)
    text = lab.file.read_text().replace("cohorts: [topic]", "cohorts: [topic, version]")
    lab.file = lab.file.with_name("monitor.yaml")
    lab.file.write_text(text, encoding="utf-8")
    lab.add(35)
    lab.v2 = 0.3
    lab.add(7)
    lab.rates["cards"] = 0.78
    lab.add(7, texts=True)
    lab.close_day()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(time, "time", lambda: lab.now)
    return lab


@pytest.mark.slow
def test_the_commands_of_the_guide_run(guide: Lab) -> None:
    """Each does what the page says: a reference, an alarm, an arm that is no worse, files for other programs."""
    lines = commands()
    assert {line.split()[2] for line in lines} == {"reference", "status", "compare"}
    for line in lines:
        code, output = called(line)
        kind = line.split()[2]
        assert code == {"reference": 0, "status": 1, "compare": 0}[kind], (line, output)
        if kind == "compare":
            assert output.startswith("NO WORSE THAN THE MARGIN  version=v2 against version=v1\n")
        if kind == "status":
            assert output.startswith("ALARM  support: ")
    assert "evalkit_alarm" in Path("evalkit.prom").read_text(encoding="utf-8")
    assert Path("status.md").read_text(encoding="utf-8").startswith("# Alarm: support\n")
    page = Path("status.html").read_text(encoding="utf-8")
    assert "<title>ALARM: support – evalkit</title>" in page
    # Neither question, answer nor id of a call that failed, though the hash of its id is there.
    assert re.search(r'data-label="Such as"><code dir="auto">[0-9a-f]{16}</code>', page)
    assert "call-" not in page
    assert "about cards and accounts" not in page
    assert "an answer" not in page
    # The record of the same moment has the same alarms.
    code, output = called("evalkit monitor status monitor.yaml --json")
    record = json.loads(output)
    assert code == record["exit_code"] == 1
    assert [each["id"] for each in record["alarms"]] == [each.id for each in look(guide).alarms]


@pytest.mark.slow
def test_the_exit_codes_are_those_of_the_guide(quiet: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    """0 quiet, 2 bad input, 3 cannot say; all problems on stderr, with the fix."""
    monkeypatch.chdir(quiet.file.parent)
    monkeypatch.setattr(time, "time", lambda: quiet.now)
    assert called("evalkit monitor status support.yaml")[0] == 0
    for line, fix in (
        ("evalkit monitor status support.yaml --since 7", "write 7d"),
        ("evalkit monitor status support.yaml --webhook http://example.com/", "use https"),
        ("evalkit monitor status none.yaml", "none.yaml"),
        ("evalkit monitor reference support.yaml --from 2026-06-01 --to 2026-06-10", "--to 2026-06-14"),
        ("evalkit monitor compare support.yaml --arm version=v2 --against version=v1", "no cohort 'version'"),
    ):
        ended = CliRunner().invoke(app, shlex.split(line)[1:])
        said = ended.output + str(ended.exception)
        assert fix in said, line
    (quiet.folder / "reference.json").unlink()
    assert called("evalkit monitor status support.yaml")[0] == 3


def test_a_file_that_cannot_be_written_is_named(quiet: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    """With the fix, and without a traceback."""
    monkeypatch.chdir(quiet.file.parent)
    monkeypatch.setattr(time, "time", lambda: quiet.now)
    for flag in ("--html", "--markdown", "--prom"):
        ended = CliRunner().invoke(app, ["monitor", "status", "support.yaml", flag, "none/status"])
        assert isinstance(ended.exception, StoreError), flag
        assert str(ended.exception) == "none/status: No such file or directory; name a file that can be written"


def test_a_reference_is_printed_with_its_thresholds(quiet: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    """As the guide shows it, and as the file with --json."""
    monkeypatch.chdir(quiet.file.parent)
    monkeypatch.setattr(time, "time", lambda: quiet.now)
    line = "evalkit monitor reference support.yaml --from 2026-06-01 --to 2026-06-28 --years 40"
    _, output = called(line)
    shown = next(text for kind, text in BLOCKS if kind == "text" and text.startswith("reference "))
    assert [re.sub(r"[\d.]+", "N", each) for each in output.splitlines()] == [
        re.sub(r"[\d.]+", "N", each.replace("support-prod", "support")) for each in shown.splitlines()
    ]
    _, record = called(f"{line} --json")
    assert json.loads(record)["monitor"] == "support"


def test_the_monitor_of_the_guide_is_sound(tmp_path: Path) -> None:
    """Its YAML reads."""
    for kind, text in BLOCKS:
        if kind == "yaml" and text.startswith("name: "):
            (tmp_path / "pyproject.toml").touch()
            (tmp_path / "monitor.yaml").write_text(text, encoding="utf-8")
            assert load_monitor(tmp_path / "monitor.yaml").options.alarms.budget_usd_per_month in (None, 900)


def test_every_gauge_is_in_the_guide(quiet: Lab) -> None:
    """So is every field of an alarm's message that people need."""
    trust_judge(quiet)
    refer(quiet)
    names = set(re.findall(r"^# TYPE (\w+) gauge", status_prometheus(look(quiet)), re.MULTILINE))
    assert len(names) >= 9
    assert all(name in GUIDE for name in names if not name.startswith("evalkit_mean"))
    assert "`evalkit_mean...`" in GUIDE
