"""Read the valid part of a suite with bad keys, so that all problems are reported together."""

from __future__ import annotations

import dataclasses
from typing import Any

from evalkit.formats.build import Builder, key_of
from evalkit.golden.source import GoldenSource
from evalkit.suite.model import SuiteOptions

ABSENT = object()
"""Placeholder for a system that is missing or cannot be read."""
_NOWHERE = GoldenSource(hub="-")


def usable(builder: Builder) -> SuiteOptions:
    """Return the valid options of a suite, with placeholders for required ones."""
    options = SuiteOptions(name="-", golden=_NOWHERE, system=ABSENT, scorers=(ABSENT,))
    known = {key_of(field) for field in dataclasses.fields(SuiteOptions)}
    seen = set(builder.problems)
    for key, item in builder.document.value.items():
        if key not in known:
            continue  # it was reported
        probe = Builder(builder.document)
        kept = {"name": "-", "golden": "-", "scorers": ["-"], key: item}
        built: Any = probe.build(SuiteOptions, kept, ())
        if built is not None:
            options = dataclasses.replace(options, **{key: getattr(built, key)})
        # Values out of range are only detected once the types are right.
        builder.problems += [problem for problem in probe.problems if problem not in seen]
        seen.update(probe.problems)
    return options if options.scorers != (ABSENT,) else dataclasses.replace(options, scorers=("exact",))
