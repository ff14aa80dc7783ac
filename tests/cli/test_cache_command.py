"""`evalkit cache`: what is kept, and what is taken out; in processes of its own."""

from __future__ import annotations

import json
import sqlite3
import time
from pathlib import Path
from typing import Any

import pytest
from cli_project import Project

from evalkit.llm.cache import ReplyCache


def keep(project: Project, *ages_days: float, model: str = "grader") -> Path:
    """Replies of such ages."""
    file = project.root / ".evalkit" / "cache.sqlite"
    with ReplyCache(file) as cache:
        for number, _ in enumerate(ages_days):
            cache.put(f"{model}-{number}", {"model": model, "text": "x" * 1000})
    db = sqlite3.connect(file)
    with db:
        for number, age in enumerate(ages_days):
            db.execute("UPDATE replies SET kept_at = ? WHERE key = ?", (time.time() - age * 86400, f"{model}-{number}"))
    db.close()
    return file


def figures(project: Project, *words: str) -> dict[str, Any]:
    """What a command says as JSON."""
    ran = project.run("cache", *words, "--json")
    assert ran.returncode == 0, ran.stderr
    found: dict[str, Any] = json.loads(ran.stdout)
    return found


def test_what_is_kept_is_told_by_model(project: Project) -> None:
    """Where, how many, how large, how old; nothing is made where nothing is kept."""
    none = project.run("cache", "ls")
    assert none.returncode == 0
    assert "no cached replies" in none.stdout
    assert not (project.root / ".evalkit").exists()
    file = keep(project, 40, 10, 1)
    keep(project, 3, model="second")
    shown, found = project.run("cache", "ls"), figures(project, "ls")
    assert ".evalkit/cache.sqlite: 4 replies" in shown.stdout
    assert "40 days" in shown.stdout
    assert max(map(len, shown.stdout.splitlines())) <= 80
    assert (found["file"], found["n_replies"]) == (str(file), 4)
    assert [(each["model"], each["n_replies"]) for each in found["models"]] == [("grader", 3), ("second", 1)]
    assert found["n_bytes"] >= sum(each["n_bytes"] for each in found["models"]) > 4000


def test_replies_are_taken_out_by_age_and_by_size(project: Project) -> None:
    """The oldest go first, the file becomes smaller, the newest stay whole."""
    file = keep(project, *[day + 0.5 for day in range(100)])
    before = figures(project, "ls")["n_bytes"]
    by_age = figures(project, "prune", "--older-than", "30d")
    assert (by_age["n_taken_out"], by_age["n_replies"]) == (70, 30)
    by_size = figures(project, "prune", "--max-size", "12KB")
    assert 8 <= by_size["n_replies"] <= 12
    assert by_size["n_bytes"] < before / 3
    with ReplyCache(file) as cache:
        assert cache.get("grader-0") is not None
        assert cache.get("grader-29") is None


def test_a_run_keeps_what_it_uses(project: Project) -> None:
    """While a run has the replies open none is taken out, exit 2; afterwards they go."""
    file = keep(project, 40)
    with ReplyCache(file) as cache:
        held = project.run("cache", "prune", "--older-than", "1d")
        assert cache.get("grader-0") is not None
    assert held.returncode == 2
    assert "a run is using it" in held.stderr
    assert figures(project, "prune", "--older-than", "1d")["n_taken_out"] == 1


def test_replies_of_an_earlier_version_are_known_and_count_from_today(project: Project) -> None:
    """A file without ages is brought up to date, and nothing in it is lost."""
    file = keep(project, 0)
    db = sqlite3.connect(file)
    with db:
        db.execute("ALTER TABLE replies DROP COLUMN kept_at")
    db.close()
    assert figures(project, "prune", "--older-than", "1d")["n_replies"] == 1
    with ReplyCache(file) as cache:
        assert cache.get("grader-0") is not None


@pytest.mark.parametrize("flags", [(), ("--older-than", "soon"), ("--older-than", "30"), ("--max-size", "5 stones")])
def test_what_is_no_limit_is_refused(project: Project, flags: tuple[str, ...]) -> None:
    """With an example of one, and nothing is taken out."""
    keep(project, 400)
    ran = project.run("cache", "prune", *flags)
    assert ran.returncode == 2
    assert "30d" in ran.stderr or "100MB" in ran.stderr
    assert figures(project, "ls")["n_replies"] == 1


def test_a_file_of_something_else_is_named(project: Project) -> None:
    """No traceback, and the file stays as it was."""
    file = project.root / ".evalkit" / "cache.sqlite"
    file.parent.mkdir()
    file.write_bytes(b"no database at all, but long enough to be looked at" * 10)
    ran = project.run("cache", "ls")
    assert ran.returncode == 2, ran.stderr
    assert "not a file of cached replies" in ran.stderr
    assert file.read_bytes().startswith(b"no database")


@pytest.mark.parametrize("words", [("ls",), ("prune", "--older-than", "1d")])
def test_another_database_stays_as_it_was(project: Project, words: tuple[str, ...]) -> None:
    """Also where it has a table of that name: exit 2, and not a byte is another."""
    file = project.root / ".evalkit" / "cache.sqlite"
    file.parent.mkdir()
    db = sqlite3.connect(file)
    with db:
        db.execute("CREATE TABLE replies (key TEXT, kept_at REAL, mail TEXT)")
        db.execute("INSERT INTO replies VALUES ('a', 1, 'text')")
    db.close()
    before = file.read_bytes()
    ran = project.run("cache", *words)
    assert ran.returncode == 2, ran.stderr
    assert "not a file of cached replies" in ran.stderr
    assert file.read_bytes() == before


def test_an_empty_file_is_made_no_database(project: Project) -> None:
    """Nothing is kept, and nothing is written."""
    file = project.root / ".evalkit" / "cache.sqlite"
    file.parent.mkdir()
    file.touch()
    assert figures(project, "ls")["n_replies"] == 0
    assert file.stat().st_size == 0


def test_damaged_rows_are_counted_and_taken_out(project: Project) -> None:
    """No traceback, whatever a row holds."""
    file = keep(project, 0, 0, 0, 0)
    db = sqlite3.connect(file)
    with db:
        db.execute("UPDATE replies SET reply = NULL WHERE key = 'grader-0'")
        db.execute("""UPDATE replies SET reply = '{"model": 5}' WHERE key = 'grader-1'""")
        db.execute("UPDATE replies SET kept_at = 'abc' WHERE key = 'grader-2'")
    db.close()
    shown = project.run("cache", "ls")
    assert shown.returncode == 0, shown.stderr
    assert sorted(each["model"] for each in figures(project, "ls")["models"]) == ["", "5", "grader"]
    assert figures(project, "prune", "--older-than", "1d")["n_taken_out"] == 1


def test_a_link_out_of_the_project_is_not_followed(project: Project, tmp_path_factory: pytest.TempPathFactory) -> None:
    """Replies of another project are not taken out from here."""
    file = keep(project, 40)
    other = tmp_path_factory.mktemp("other") / "cache.sqlite"
    file.replace(other)
    file.symlink_to(other)
    ran = project.run("cache", "prune", "--older-than", "1d")
    assert ran.returncode == 2, ran.stderr
    assert "out of the project" in ran.stderr
