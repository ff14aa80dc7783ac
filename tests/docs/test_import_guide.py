"""The guide to imports: its example runs as it says, and its tables are complete."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest
from typer.testing import CliRunner

from evalkit.cli.app import app
from evalkit.golden.source_file import MAX_DEPTH, MAX_JSON_BYTES, MAX_ROWS, MAX_YAML_BYTES
from evalkit.imports.formats import NAMES
from evalkit.imports.promptfoo_types import ASSERTIONS, Uncarried

PAGE = (Path(__file__).parents[2] / "docs" / "import.md").read_text(encoding="utf-8")


def block(language: str) -> str:
    """The first fenced block of a language."""
    found = re.search(rf"```{language}\n(.*?)```", PAGE, re.DOTALL)
    assert found is not None
    return found[1]


def test_the_example_runs_as_the_page_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The output of the import is the page's, and the run passes every case."""
    (tmp_path / "pyproject.toml").touch()
    (tmp_path / "promptfooconfig.yaml").write_text(block("yml"), encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    said = []
    for line in block("sh").splitlines():
        ended = CliRunner().invoke(app, shlex.split(line)[1:])
        assert ended.exit_code == 0, ended.output
        said.append(ended.output)
    assert said[0] == block("text")
    assert "failed 0" in said[1]


def test_every_format_and_every_assertion_is_on_the_page() -> None:
    """Those without a counterpart are listed as such."""
    assert all(f"| `{name}` |" in PAGE for name in NAMES)
    rest = PAGE.partition("The following types are not carried over")[2]
    table = PAGE.partition("## What becomes of promptfoo's assertions?")[2].partition("A case passes if")[0]
    for name, row in ASSERTIONS.items():
        assert f"`{name}`" in (rest if isinstance(row, Uncarried) else table), name


def test_the_limits_are_those_of_the_code() -> None:
    """Sizes, rows and levels."""
    json_mib, yaml_mib = MAX_JSON_BYTES >> 20, MAX_YAML_BYTES >> 20
    assert f"at most {json_mib} MiB (YAML {yaml_mib} MiB), {MAX_ROWS:,} rows and {MAX_DEPTH} levels" in PAGE
