"""Labs: one without calls, and copies of one with four weeks, its reference and two quiet weeks."""

import shutil
from dataclasses import replace
from pathlib import Path

import pytest
from watch_lab import Lab, make_lab, refer, trust_judge


@pytest.fixture
def lab(tmp_path: Path) -> Lab:
    """A monitor without calls, 90 a day."""
    return make_lab(tmp_path, per_day=90)


@pytest.fixture(scope="session")
def base(tmp_path_factory: pytest.TempPathFactory) -> Lab:
    """Six weeks without a change, a reference of the first four, and a trusted judge."""
    made = make_lab(tmp_path_factory.mktemp("base"), per_day=90)
    made.add(28)
    made.add(14, texts=True)
    made.close_day()
    trust_judge(made)
    refer(made)
    return made


@pytest.fixture
def quiet(base: Lab, tmp_path: Path) -> Lab:
    """A copy of `base`, to add days to."""
    shutil.copytree(base.file.parent, tmp_path, dirs_exist_ok=True)
    return replace(base, file=tmp_path / base.file.name, rates=dict(base.rates))
