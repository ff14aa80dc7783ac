"""The guide to environment variables is complete."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from evalkit.cli.run import ENV_PREFIX

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "environment.md"
VARIABLE = re.compile(r"[A-Z][A-Z0-9]*(_[A-Z0-9]+)+")
OTHER_CAPITALS = {
    "ACTION_SOURCE",  # placeholders of the starter workflow
    "BASELINE_FOLDER",
    "PROJECT_FOLDER",
    "SAVED_FOLDER",
    "BOT_FILE",
    "BASELINE_NAME",
    "MAIN_BRANCH",
    "COMMENT_SOURCE",
    "SUITE_FILE",
    "MIN_RARER_LABELS",  # names that a module offers
    "ONE_FILE",
    "CHAT_MODEL",  # types and states of MLflow's spans
    "STATUS_CODE_ERROR",
    "SYSTEM_URL",  # named in an imported suite, in place of a secret
    "O_BINARY",  # flags of the operating system
    "O_NONBLOCK",
    "READ_ONLY",  # a value of DEEPEVAL_FILE_SYSTEM
    "XDG_SESSION_ID",  # known not to be a secret
}


def strings(node: ast.AST) -> Iterator[str]:
    """Yield the string constants below a node."""
    for each in ast.walk(node):
        if isinstance(each, ast.Constant) and isinstance(each.value, str):
            yield each.value


def is_environment(node: ast.expr) -> bool:
    """Return True for `env`, `self.env` and `os.environ`."""
    return (isinstance(node, ast.Name) and node.id in ("env", "environ")) or (
        isinstance(node, ast.Attribute) and node.attr in ("env", "environ")
    )


def variables_of(source: str) -> set[str]:
    """Return the environment variables that a module names."""
    found = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and VARIABLE.fullmatch(node.value):
            found.add(node.value)
        if isinstance(node, ast.Subscript) and is_environment(node.value):
            found.update(strings(node.slice))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and is_environment(node.func.value):
            found.update(text for text in strings(node) if text.isupper())
    return found - OTHER_CAPITALS


def variables_in_code() -> set[str]:
    """Return every environment variable that evalkit reads or sets by name."""
    files = [file for file in (ROOT / "evalkit").rglob("*.py") if "starter" not in file.parts]
    return set().union(*(variables_of(file.read_text(encoding="utf-8")) for file in files))


def test_every_variable_that_evalkit_reads_or_sets_is_in_the_guide() -> None:
    """A variable that a module starts to read has to be explained, and one that is gone may not stay in the guide."""
    page = PAGE.read_text(encoding="utf-8")
    code = variables_in_code() | {"COLUMNS"}  # the console library reads the width
    assert {"EVALKIT_CACHE_KEY", "NO_COLOR", "GITHUB_BASE_REF", "CI", "PATH", "HOME"} <= code
    assert [name for name in sorted(code) if f"`{name}`" not in page] == []
    named = {name for name in re.findall(r"`([A-Z][A-Z0-9_]+)`", page) if not name.endswith("_")}
    assert sorted(named - code) == []
    assert f"`{ENV_PREFIX}_`" in page


@pytest.mark.parametrize("source", ['env.get("NEW")', 'os.environ["NEW"]', 'KEYS = ("A_NEW",)', 'env["NEW"]'])
def test_the_search_finds_a_new_variable(source: str) -> None:
    """The completeness test would notice a variable however a module reads it."""
    assert variables_of(source) & {"NEW", "A_NEW"}
