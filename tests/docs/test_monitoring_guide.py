"""The guide to monitoring: its commands run as it says, and its tables are complete."""

from __future__ import annotations

import json
import re
import shlex
import time
from dataclasses import fields
from pathlib import Path

import pytest
from typer.testing import CliRunner

from evalkit.cli.app import app
from evalkit.monitor.calls import AMOUNTS
from evalkit.monitor.settings import MonitorOptions, SampleOptions, load_monitor
from evalkit.testing import FakeModel

PAGE = (Path(__file__).parents[2] / "docs" / "monitoring.md").read_text(encoding="utf-8")


def blocks(language: str) -> list[str]:
    """Fenced blocks of a language."""
    return re.findall(rf"```{language}\n(.*?)```", PAGE, re.DOTALL)


def write_logs(folder: Path) -> None:
    """3,000 calls of yesterday in sessions of three, and a line that is cut off."""
    folder.mkdir()
    start = time.time() // 86_400 * 86_400 - 86_400
    with (folder / "calls.jsonl").open("w", encoding="utf-8") as log:
        for i in range(3_000):
            row = {
                "trace_id": f"t{i}",
                "started_at": start + i * 28,
                "question": "When?",
                "answer": "At noon.",
                "docs": [],
            }
            row |= {"chat": f"s{i // 3}", "topic": ("cards", "loans")[i % 2], "seconds": 0.5, "cost": 0.001}
            log.write(json.dumps(row) + "\n")
        log.write('{"trace_id": \n')
    rating = json.loads(blocks("json")[0]) | {"at": start + 80_000}
    (folder.parent / "ratings.jsonl").write_text(json.dumps(rating) + "\n", encoding="utf-8")


def test_the_commands_run_as_the_page_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Logs are taken with the counts of the page, up to the size of the sample, and the series is made again."""
    (tmp_path / "pyproject.toml").touch()
    write_logs(tmp_path / "logs")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("JUDGE_API_KEY", "key-for-tests")
    with FakeModel() as model:
        text = blocks("yml")[0].replace("http://127.0.0.1:8080/v1", model.base_url)
        (tmp_path / "monitor.yaml").write_text(text, encoding="utf-8")
        commands = [line for block in blocks("sh") for line in block.splitlines() if "monitor take" in line]
        said = []
        for line in commands:
            if "--follow" not in line:
                ended = CliRunner().invoke(app, shlex.split(line)[1:])
                assert ended.exit_code == 0, ended.output
                said.append(ended.stdout)
    assert len(said) == len(commands) - 1
    shown = blocks("text")[0].splitlines()
    assert said[0].splitlines()[0] == shown[0]
    assert re.sub(r"\d+", "N", said[0].splitlines()[1]) == re.sub(r"\d+", "N", shown[1])
    assert said[1].splitlines()[1] == "feedback: 1 counted, 0 double, 0 refused"
    assert said[2] == "made the series again from 2 batches\n"


def test_every_key_is_on_the_page(tmp_path: Path) -> None:
    """Of the file, of the sample, and the fields of a call."""
    assert all(f"`{each.name}`" in PAGE for each in fields(MonitorOptions))
    assert all(f"| `{each.name}` |" in PAGE for each in fields(SampleOptions))
    assert all(f"`{name}`" in PAGE or f"{name}:" in PAGE for name in AMOUNTS)
    (tmp_path / "monitor.yaml").write_text(blocks("yml")[0], encoding="utf-8")
    assert load_monitor(tmp_path / "monitor.yaml").name == "support-prod"
