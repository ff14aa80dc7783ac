"""Find the suite of a command: the one named, or the nearest `evalkit.yaml`."""

import os
from pathlib import Path
from typing import Annotated

import typer

from evalkit.disk.paths import is_project
from evalkit.errors import InputError, Problem

NAME = "evalkit.yaml"
SuiteFile = Annotated[
    Path | None,
    typer.Argument(help="Suite file. Default: the nearest evalkit.yaml, in this folder or its parents."),
]


def named_or_nearest(suite: Path | None) -> Path:
    """Return the named suite, else the nearest `evalkit.yaml`, up to the root of the project.

    Raises:
        InputError: no suite was found.
    """
    here = Path.cwd()
    for folder in (here, *here.parents) if suite is None else ():
        if (folder / NAME).is_file():
            return Path(os.path.relpath(folder / NAME))
        if is_project(folder):
            break
    if suite is None:
        fix = "name a suite, such as `evalkit run suites/NAME.yaml`, or make one with `evalkit init`"
        raise InputError(Problem("suite", f"no suite given, and no {NAME} in this folder or its parents", fix))
    return suite
