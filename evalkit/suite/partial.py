"""Read what can be read of a suite with bad keys, so that all problems are reported together."""

from __future__ import annotations

import dataclasses
from typing import Any

from evalkit.golden.read import GoldenSource
from evalkit.suite.build import Builder, key_of
from evalkit.suite.model import SuiteOptions

ABSENT = object()
"""Stands in for a system that is missing or cannot be read."""
_NOWHERE = GoldenSource(hub="-")


def usable(builder: Builder) -> SuiteOptions:
    """The options of a suite without those keys that are wrong, and with stand-ins for what has to be there."""
    options = SuiteOptions(name="-", golden=_NOWHERE, system=ABSENT, scorers=(ABSENT,))
    known = {key_of(field) for field in dataclasses.fields(SuiteOptions)}
    seen = set(builder.problems)
    for key, item in builder.document.value.items():
        if key not in known:
            continue  # it was reported
        probe = Builder(builder.document)
        kept = {"name": "-", "golden": "-", "system": None, "scorers": ["-"], key: item}
        built: Any = probe.build(SuiteOptions, kept, ())
        if built is not None:
            options = dataclasses.replace(options, **{key: getattr(built, key)})
        # Figures that cannot be meant show only once the types are right.
        builder.problems += [problem for problem in probe.problems if problem not in seen]
        seen.update(probe.problems)
    return options if options.scorers != (ABSENT,) else dataclasses.replace(options, scorers=("exact",))
