"""Fixtures of the tests of runs."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from conversation_project import ConversationProject

from evalkit.testing import FakeModel


@pytest.fixture
def make_project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[FakeModel], ConversationProject]:
    """Make a project whose simulated user is a server."""
    monkeypatch.setattr(sys, "path", [*sys.path])
    (tmp_path / "pyproject.toml").touch()
    return lambda server: ConversationProject(tmp_path, server)
