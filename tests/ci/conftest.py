"""A project and a job for the tests of the actions."""

import sys
from pathlib import Path

import pytest
from simulated_runner import Job, job_in

sys.path.append(str(Path(__file__).parents[1] / "cli"))
from cli_project import Project


@pytest.fixture
def project(tmp_path: Path) -> Project:
    """A fresh project."""
    (tmp_path / "work").mkdir()
    return Project(tmp_path / "work")


@pytest.fixture
def job(project: Project, tmp_path: Path) -> Job:
    """A job in that project."""
    return job_in(project.root, tmp_path / "temp")
