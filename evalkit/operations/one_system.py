"""Refuse a suite that names several systems where one is needed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from evalkit.errors import InputError, Problem
from evalkit.text.numbers import plural

if TYPE_CHECKING:
    from evalkit.suite.model import Suite


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
