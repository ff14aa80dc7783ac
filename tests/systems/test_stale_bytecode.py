"""What runs is the source on disk, even where Python would trust the bytecode of an earlier one."""

from __future__ import annotations

import importlib
import os
import py_compile
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from evalkit.systems import CommandSystem, PythonSystem, ReplaySystem, Shared

OLD = 'WORD = "old"\n\n\ndef answer(input):\n    return WORD\n'
TIME = 1_700_000_000


def edited(file: Path, old: str = OLD) -> None:
    """Write a module, let Python compile it, and edit it so that its size and its time stay the same."""
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(old, encoding="utf-8")
    os.utime(file, (TIME, TIME))
    py_compile.compile(str(file), doraise=True)
    file.write_text(old.replace("old", "new"), encoding="utf-8")
    os.utime(file, (TIME, TIME))


@pytest.fixture
def shared(tmp_path, monkeypatch):
    """A project of its own, whose modules are forgotten after the test."""
    monkeypatch.setattr(sys, "path", [*sys.path])
    before = set(sys.modules)
    yield Shared(root=tmp_path, project=tmp_path, env=dict(os.environ), concurrency=1)
    for name in set(sys.modules) - before:
        del sys.modules[name]


def test_python_itself_would_run_the_old_code(tmp_path, monkeypatch):
    """The setting is the fault: a plain import gets the bytecode of the old source."""
    edited(tmp_path / "plain_import_of_stale.py")
    monkeypatch.syspath_prepend(tmp_path)
    assert importlib.import_module("plain_import_of_stale").WORD == "old"
    del sys.modules["plain_import_of_stale"]


@pytest.mark.parametrize(
    ("files", "call"),
    [
        (["stale_a.py"], "stale_a:answer"),
        (["stale_b/__init__.py"], "stale_b:answer"),
        (["stale_c/bot.py"], "stale_c.bot:answer"),
        (["my-bots/stale_d.py"], "my-bots.stale_d:answer"),
    ],
)
def test_a_python_system_is_imported_from_its_source(files, call, shared, ask, case):
    """A module, a package, a module of a package, and one in a folder that is not an identifier."""
    for name in files:
        edited(shared.project / name)
    (output,) = ask(PythonSystem(python=call), shared, case())
    assert output.text == "new"


def test_a_module_imported_during_a_call_is_too(shared, ask, case):
    """The system imports its helper at the first call."""
    edited(shared.project / "stale_helper.py")
    bot = "def answer(input):\n    import stale_helper\n    return stale_helper.WORD\n"
    (shared.project / "stale_bot.py").write_text(bot, encoding="utf-8")
    (output,) = ask(PythonSystem(python="stale_bot:answer"), shared, case())
    assert output.text == "new"
    assert not list(shared.project.glob("__pycache__/stale_bot*"))


def test_the_modules_of_a_command_are_compiled_again(shared, ask, case):
    """Python starts as a program of its own here, which would find the stale bytecode of a helper."""
    edited(shared.project / "helper.py")
    edited(shared.project / "[odd].py")
    (shared.project / "bot.py").write_text("import helper\nprint(helper.WORD)\n", encoding="utf-8")
    (output,) = ask(CommandSystem(command=(sys.executable, "bot.py")), shared, case())
    assert output.text == "new"
    assert not list(shared.project.glob("__pycache__/[[]odd]*"))


def test_installed_packages_keep_their_bytecode(shared, ask, case):
    """An environment inside the project is imported as ever, since compiling it takes seconds."""
    installed = shared.project / ".venv" / "lib" / "site-packages"
    edited(installed / "stale_installed.py")
    sys.path.insert(0, str(installed))
    bot = "import stale_installed\n\n\ndef answer(input):\n    return stale_installed.WORD\n"
    (shared.project / "uses_installed.py").write_text(bot, encoding="utf-8")
    (output,) = ask(PythonSystem(python="uses_installed:answer"), shared, case())
    assert output.text == "old"


def test_an_edit_under_the_same_size_and_time_is_noticed_between_two_runs(shared, ask, case):
    """In a notebook: the module is loaded already, and its file is written anew with its time set back."""
    file = shared.project / "twice_asked.py"
    file.write_text(OLD, encoding="utf-8")
    os.utime(file, (TIME, TIME))
    (first,) = ask(PythonSystem(python="twice_asked:answer"), shared, case())
    file.write_text(OLD.replace("old", "new"), encoding="utf-8")
    os.utime(file, (TIME, TIME))
    (second,) = ask(PythonSystem(python="twice_asked:answer"), shared, case())
    assert (first.text, second.text) == ("old", "new")


def test_stored_answers_written_anew_under_the_same_size_and_time_are_read_again(shared, ask, case):
    """The index of the answers belongs to the file's content."""
    file = shared.root / "answers.jsonl"
    texts = []
    for word in ("old", "new"):
        file.write_text(f'{{"id": "c1", "output": "{word}"}}\n', encoding="utf-8")
        os.utime(file, (TIME, TIME))
        system = ReplaySystem(replay="answers.jsonl")
        assert system.problems(shared) == []
        (output,) = ask(system, shared, case())
        texts.append(output.text)
    assert texts == ["old", "new"]


def test_bytecode_in_a_folder_of_its_own_is_removed_too(shared, ask, case, monkeypatch):
    """As with PYTHONPYCACHEPREFIX, which a program of the system inherits."""
    monkeypatch.setattr(sys, "pycache_prefix", str(shared.project / "compiled"))
    edited(shared.project / "helper.py")
    (shared.project / "bot.py").write_text("import helper\nprint(helper.WORD)\n", encoding="utf-8")
    prefixed = replace(shared, env={**shared.env, "PYTHONPYCACHEPREFIX": sys.pycache_prefix})
    monkeypatch.setenv("PYTHONPYCACHEPREFIX", sys.pycache_prefix)
    (output,) = ask(CommandSystem(command=(sys.executable, "bot.py")), prefixed, case())
    assert output.text == "new"


def test_a_process_that_a_python_system_starts_finds_no_older_bytecode(shared, ask, case):
    """The loader of this process does not reach it."""
    edited(shared.project / "stale_child.py")
    bot = (
        "import subprocess, sys\n\n\ndef answer(input):\n"
        '    code = "import stale_child; print(stale_child.WORD)"\n'
        "    return subprocess.run([sys.executable, '-c', code], capture_output=True, text=True, cwd=HERE).stdout\n\n\n"
        f"HERE = {str(shared.project)!r}\n"
    )
    (shared.project / "starts_python.py").write_text(bot, encoding="utf-8")
    (output,) = ask(PythonSystem(python="starts_python:answer"), shared, case())
    assert output.text.strip() == "new"


def test_bytecode_that_cannot_be_deleted_is_not_used(shared, ask, case, monkeypatch):
    """As in an image that another user has built: Python keeps its bytecode elsewhere."""
    edited(shared.project / "helper.py")
    (shared.project / "bot.py").write_text("import helper\nprint(helper.WORD)\n", encoding="utf-8")

    def refused(path, **_):
        raise PermissionError(13, "read-only", str(path))

    monkeypatch.setattr(Path, "unlink", refused)
    (output,) = ask(CommandSystem(command=(sys.executable, "bot.py")), shared, case())
    assert output.text == "new"


def test_a_linked_folder_of_the_project_is_imported_from_its_source(shared, ask, case, tmp_path_factory):
    """The link leads out of the project."""
    outside = tmp_path_factory.mktemp("outside")
    edited(outside / "stale_linked" / "mod.py")
    (outside / "stale_linked" / "__init__.py").write_text("", encoding="utf-8")
    (shared.project / "stale_linked").symlink_to(outside / "stale_linked")
    (output,) = ask(PythonSystem(python="stale_linked.mod:answer"), shared, case())
    assert output.text == "new"


def test_bytecode_that_is_surely_newer_stays(shared, ask, case):
    """Other programs of the project start no slower."""
    file = shared.project / "settled.py"
    file.write_text(OLD, encoding="utf-8")
    cached = Path(py_compile.compile(str(file), doraise=True))
    later = file.stat().st_ctime + 10
    os.utime(cached, (later, later))
    (shared.project / "bot.py").write_text("import settled\nprint(settled.WORD)\n", encoding="utf-8")
    (output,) = ask(CommandSystem(command=(sys.executable, "-B", "bot.py")), shared, case())
    assert output.text == "old"
    assert cached.exists()
