"""Choose one system of a suite that names several, or refuse such a suite."""

from __future__ import annotations

from typing import TYPE_CHECKING

from evalkit.errors import InputError, Problem
from evalkit.formats.manifest import Manifest
from evalkit.runner.systems import without_reference
from evalkit.suite.systems import alone
from evalkit.text.numbers import plural

if TYPE_CHECKING:
    from evalkit.suite.model import Suite


def suite_of_run(suite: Suite, manifest: Manifest) -> Suite:
    """Return the suite of the system that a stored run tested, if the suite names several; its reference is not run."""
    known = any(each.name == manifest.system.name for each in suite.systems)
    return without_reference(alone(suite, manifest.system.name)) if known else suite


def refuse_several(suite: Suite) -> None:
    """Reject a suite with several systems where one is needed.

    Raises:
        InputError: the suite names several.
    """
    if suite.systems:
        what = f"the suite names {plural(len(suite.systems), 'system')}, and one is needed here"
        key = "systems" if suite.options.systems else "matrix"
        fix = "`evalkit run`, `check`, `gate`, `report`, `score` and `power` take several; the rest need a `system:`"
        raise InputError(Problem(suite.place(key), what, fix))
