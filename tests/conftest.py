"""What all tests share."""

import gc
import os
import sys
import tempfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

TESTS = Path(__file__).parent
STARTS_PROCESSES = {
    "acceptance",
    "ci",
    "cli",
    "demo",
    "docs",
    "faults",
    "hostile",
    "llm_suite",
    "plugin",
    "real",
    "test_installation.py",
}
"""Folders and files whose tests start evalkit, git or pip as processes; modules that import `chromium` do so too."""

# A busy machine is not a failure: how fast something is, benchmarks say.
settings.register_profile("evalkit", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("evalkit")


_HOME = tempfile.TemporaryDirectory(prefix="evalkit-home-")
"""HOME of the tests and of what they start: libraries leave files there, and settings of a user are read from there."""
os.environ["HOME"] = _HOME.name
for _name in ("XDG_CACHE_HOME", "XDG_CONFIG_HOME", "XDG_DATA_HOME", "XDG_STATE_HOME"):
    os.environ.pop(_name, None)


# What tests write need not survive a power cut; the processes that they start do wait for the disk (see tests/faults).
os.fsync = lambda fd: None


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark the tests that start processes as slow, so that the default run leaves them out."""
    for item in items:
        drives_a_browser = hasattr(getattr(item, "module", None), "chromium")
        if item.path.relative_to(TESTS).parts[0] in STARTS_PROCESSES or drives_a_browser:
            item.add_marker(pytest.mark.slow)


def pytest_collection_finish() -> None:
    """Keep what collecting made out of later garbage collections: it stays to the end of the run."""
    gc.collect()
    gc.freeze()


@pytest.fixture(autouse=True)
def no_system_of_another_test() -> None:
    """A project's `bot.py` is imported from its own folder, whatever ran in this process before."""
    for name in [each for each in sys.modules if each.endswith("bot") and not each.startswith("evalkit.")]:
        del sys.modules[name]
