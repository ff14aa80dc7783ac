"""What tells two states of a python system apart."""

from __future__ import annotations

import pytest

from evalkit.disk.sources import source_files
from evalkit.systems import SYSTEMS, PythonSystem, Shared, SystemConfig


@pytest.fixture
def project(tmp_path):
    """A project with a package, a suite's folder and what lies around."""
    files = {
        "fp_pkg/__init__.py": "",
        "fp_pkg/bots/bot.py": "def answer(input): return 'a'",
        "fp_pkg/bots/prompts/system.md": "Be brief.",
        "fp_pkg/bots/suite.yaml": "name: x",
        "fp_pkg/bots/cases.jsonl": "{}",
        "shared_code.py": "X = 1",
        "README.md": "hello",
        ".venv/lib/other.py": "",
        "env/pyvenv.cfg": "",
        "env/lib/other.py": "",
        "reports/r1/manifest.json": "{}",
        "reports/r1/rows.jsonl": "",
        "reports/r1/copy.py": "",
        "fp_pkg/bots/reports/manifest.json": "{}",
        "fp_pkg/bots/reports/rows.jsonl": "",
        "fp_pkg/bots/reports/summary.md": "",
        "fp_pkg/__pycache__/bot.py": "",
    }
    for name, text in files.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return Shared(root=tmp_path, project=tmp_path)


SYSTEM = PythonSystem(python="fp_pkg.bots.bot:answer")


def test_sources_and_prompts_count(project):
    """Python files of the project and prompts beside the callable are what answers depend on."""
    found = source_files(project.root / "fp_pkg/bots/bot.py", "fp_pkg.bots.bot", project.project)
    assert ["fp_pkg/__init__.py", "fp_pkg/bots/bot.py", "fp_pkg/bots/prompts/system.md", "shared_code.py"] == [
        name for name, _ in found
    ]


@pytest.mark.parametrize(
    ("name", "text", "changes"),
    [
        ("fp_pkg/bots/bot.py", "def answer(input): return 'b'", True),
        ("shared_code.py", "X = 2", True),
        ("fp_pkg/new.py", "", True),
        ("fp_pkg/bots/prompts/system.md", "Be long.", True),
        ("fp_pkg/bots/suite.yaml", "name: y", False),
        ("fp_pkg/bots/cases.jsonl", "{...}", False),
        ("README.md", "bye", False),
        ("reports/r1/copy.py", "x", False),
        ("fp_pkg/bots/reports/summary.md", "new", False),
        (".venv/lib/other.py", "x", False),
    ],
)
def test_the_fingerprint_follows_the_sources(name, text, changes, project):
    """A change of source or prompt is another system; suites, data, results and installed packages are not."""
    before = SYSTEM.fingerprint(project)
    (project.root / name).write_text(text, encoding="utf-8")
    after = SYSTEM.fingerprint(project)
    assert changes == (before != after)


def test_the_fingerprint_follows_the_configuration(project):
    """Arguments change it, a time-out does not, a version replaces it, and the folder's place is not part of it."""
    plain = SYSTEM.fingerprint(project)
    assert plain == PythonSystem(python=SYSTEM.python, timeout_s=1).fingerprint(project)
    assert plain != PythonSystem(python=SYSTEM.python, arguments={"model": "m"}).fingerprint(project)
    assert "v1" == PythonSystem(python=SYSTEM.python, version="v1").fingerprint(project)


def test_moved_sources_have_the_same_fingerprint(tmp_path):
    """Names count relative to the project, so that another checkout agrees."""
    names = []
    for folder in ("one", "two"):
        path = tmp_path / folder / "bot.py"
        path.parent.mkdir()
        path.write_text("x = 1", encoding="utf-8")
        names.append([name for name, _ in source_files(path, "bot", path.parent)])
    assert [["bot.py"], ["bot.py"]] == names


def test_an_installed_package_counts_whole(tmp_path):
    """Outside the project, the sources are those of the module's top package."""
    (tmp_path / "site" / "pkg" / "sub").mkdir(parents=True)
    for name in ("pkg/__init__.py", "pkg/sub/bot.py", "other.py"):
        (tmp_path / "site" / name).write_text("", encoding="utf-8")
    (tmp_path / "project").mkdir()
    site, project = tmp_path / "site", tmp_path / "project"
    assert ["__init__.py", "sub/bot.py"] == [
        name for name, _ in source_files(site / "pkg/sub/bot.py", "pkg.sub.bot", project)
    ]
    assert ["__init__.py", "sub/bot.py"] == [name for name, _ in source_files(site / "pkg/__init__.py", "pkg", project)]
    assert ["other.py"] == [name for name, _ in source_files(site / "other.py", "other", project)]


@pytest.mark.parametrize("name", ["math:sqrt", "no_such_module_at_all:answer", "fp_pkg.nowhere.bot:answer"])
def test_without_sources_there_is_no_fingerprint(name, project):
    """A compiled or absent module cannot be told apart from a changed one."""
    assert PythonSystem(python=name).fingerprint(project) is None


def test_every_system_keeps_the_contract():
    """Each key of `SYSTEMS` is the field that chooses it, and each configuration satisfies the protocol."""
    made = {
        "python": {"python": "m:f"},
        "http": {"http": "http://h"},
        "command": {"command": "bot"},
        "chat": {"chat": "m", "base_url": "http://h"},
        "replay": {},
    }
    assert made.keys() == SYSTEMS.keys()
    for name, options in made.items():
        system = SYSTEMS[name](**options)
        assert isinstance(system, SystemConfig)
        assert hasattr(system, name)
