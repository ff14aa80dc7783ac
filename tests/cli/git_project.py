"""A project under git."""

import subprocess
from pathlib import Path


def git(root: Path, *words: str) -> str:
    """Run git as somebody."""
    who = ["-c", "user.name=ana", "-c", "user.email=ana@example.test", "-c", "commit.gpgsign=false"]
    ran = subprocess.run(["git", "-C", root, *who, *words], capture_output=True, text=True, check=True)
    return ran.stdout.strip()


def commit_all(root: Path, message: str = "work") -> str:
    """Commit everything; the commit's hash."""
    git(root, "add", "-A")
    git(root, "commit", "-q", "--allow-empty", "-m", message)
    return git(root, "rev-parse", "HEAD")


def start(root: Path) -> None:
    """An empty repository on `main`."""
    git(root, "init", "-q", "-b", "main", ".")
    (root / ".gitignore").write_text("first/\nsecond/\ncalls.log\n__pycache__/\n.evalkit/\n", encoding="utf-8")
