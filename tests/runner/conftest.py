"""Fixtures of the tests of runs."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from talk_project import TalkProject

from evalkit.testing import FakeModel


@pytest.fixture
def talks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[FakeModel], TalkProject]:
    """Make a project whose simulated user is a server."""
    monkeypatch.setattr(sys, "path", [*sys.path])
    (tmp_path / "pyproject.toml").touch()
    return lambda server: TalkProject(tmp_path, server)
