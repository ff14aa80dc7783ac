"""What all tests share."""

import os
import sys
import tempfile
from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, settings

# A busy machine is not a failure: how fast something is, benchmarks say.
settings.register_profile("evalkit", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("evalkit")


@pytest.fixture(scope="session", autouse=True)
def own_state() -> Iterator[None]:
    """The key of kept replies lies in a folder of the tests' own."""
    with tempfile.TemporaryDirectory(prefix="evalkit-state-") as folder, pytest.MonkeyPatch.context() as patch:
        patch.setitem(os.environ, "XDG_STATE_HOME", folder)
        yield


@pytest.fixture(autouse=True)
def no_system_of_another_test() -> None:
    """A project's `bot.py` is imported from its own folder, whatever ran in this process before."""
    sys.modules.pop("bot", None)
