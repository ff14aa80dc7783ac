"""Read the options of a system or a model, with the address of its vendor."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from evalkit.errors import what_and_fix
from evalkit.formats.build import Builder, show
from evalkit.net.vendors import VENDORS, Vendor, with_vendor
from evalkit.suite.scorers import Steps
from evalkit.systems import SYSTEMS

if TYPE_CHECKING:
    from evalkit.suite.model import SuiteOptions

Vendors = Mapping[str, Vendor]


def read_system(builder: Builder, value: Any, vendors: Vendors, path: Steps = ("system",)) -> tuple[str, Any]:
    """Return the kind of a system and its options; `""` and `None` after noting a problem."""
    kinds = [kind for kind in SYSTEMS if isinstance(value, Mapping) and kind in value]
    if len(kinds) != 1:
        what = f"expected one of {', '.join(SYSTEMS)}, got {show(value) if not kinds else ' and '.join(kinds)}"
        builder.problem(path, what, "write {python: module:function}, {http: https://...} ...")
        return "", None
    if kinds[0] == "chat" and "batch" in value:
        what = "a system under test is called at once; batches are for judges"
        builder.problem((*path, "batch"), what, "remove it, or write it under `judge: {chat: {...}}`")
        value = {key: each for key, each in value.items() if key != "batch"}
    if kinds[0] == "chat":
        value = placed_model(builder, value, "chat", vendors, path, skip=("dialect",))
    return kinds[0], builder.build(SYSTEMS[kinds[0]], value, path)


def read_reference(builder: Builder, options: SuiteOptions, vendors: Vendors) -> tuple[str, Any]:
    """Return the kind of the reference system and its options; `""` and `None` if there is none, or after a problem."""
    path = ("reference_system",)
    if options.reference_system is None:
        return "", None
    if options.systems or options.matrix:
        fix = "remove it: name the system that the others are compared with under `reference:`"
        builder.problem(path, "the suite names several systems, which are compared with each other", fix)
        return "", None
    kind, system = read_system(builder, options.reference_system, vendors, path)
    if kind == "replay":
        what = "stored answers cannot be given on a new version of the set"
        builder.problem(path, what, "name a system that can be called, or compare with `no_regression`")
    elif system is not None and (system.version is None or "${" in system.version):
        what = "missing" if system.version is None else "depends on the environment"
        builder.problem((*path, "version"), what, "name the pinned version, such as `version: 2026-06`")
    return kind, system


def read_vendors(builder: Builder, given: Mapping[str, Any]) -> Vendors:
    """Return the table of vendors with the suite's changes and additions."""
    vendors = dict(VENDORS)
    for name, value in given.items():
        known = dataclasses.asdict(vendors[name]) if name in vendors else {}
        if isinstance(value, Mapping) and known:
            value = {**known, "models": list(known["models"]), **value}
        if vendor := builder.build(Vendor, value, ("vendors", name)):
            vendors[name] = vendor
    return vendors


def placed_model(
    builder: Builder, value: Any, key: str, vendors: Vendors, path: Steps, *, skip: tuple[str, ...] = ()
) -> Any:
    """Return the options of a model with the address of its vendor."""
    if not isinstance(value, Mapping):
        return value
    try:
        return with_vendor(value, key, vendors, skip=skip)
    except ValueError as error:
        builder.problem((*path, key), *what_and_fix(error))
        return {**value, "base_url": "https://host.invalid"}
