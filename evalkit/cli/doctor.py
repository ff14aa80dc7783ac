"""`evalkit doctor`: check the installation, with a fix for each problem."""

import os
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from evalkit.errors import ExitCode


@dataclass(frozen=True)
class Diagnosis:
    """One line of the output."""

    name: str
    ok: bool
    text: str
    fix: str = ""
    needed: bool = True


def doctor(
    quick: Annotated[bool, typer.Option("--quick", help="Look at versions only; import nothing.")] = False,
) -> None:
    """Check the installation: Python, packages, offline embedding.

    Example: evalkit doctor

    Exit codes: 0 if everything that is needed works, else 2.
    """
    findings = list(_findings(quick))
    for finding in findings:
        mark = "ok  " if finding.ok else "FAIL" if finding.needed else "no  "
        typer.echo(f"{mark} {finding.name:<22} {finding.text}" + (f"; {finding.fix}" if not finding.ok else ""))
    if any(finding.needed and not finding.ok for finding in findings):
        raise typer.Exit(ExitCode.INVALID_INPUT)


def _findings(quick: bool) -> Iterator[Diagnosis]:
    import platform

    enough = sys.version_info >= (3, 11)
    yield Diagnosis("python", enough, platform.python_version(), "install Python 3.11 or newer")
    for package, module in _PACKAGES.items():
        yield _package(package, module, quick)
    if not quick:
        yield _tried("offline embedding", _embed, "install evalkit again: `pip install --force-reinstall wordllama`")
    for package, (extra, use) in _EXTRAS.items():
        found = _version(package)
        fix = f"pip install 'evalkit-gate[{extra}]' where you need it"
        yield Diagnosis(package, found is not None, found or f"not installed ({use})", fix, needed=False)
    writable = os.access(Path.cwd(), os.W_OK)
    yield Diagnosis("current folder", writable, "can be written" if writable else "cannot be written", "use --out")


_PACKAGES = {
    "aiohttp": "aiohttp",
    "google-re2": "re2",
    "numpy": "numpy",
    "scipy": "scipy.special",
    "pandas": "pandas",
    "scikit-learn": "sklearn",
    "datasets": "datasets",
    "ragas": "evalkit.scorers.libraries.ragas_library:load_ragas",
    "deepeval": "evalkit.scorers.libraries.deepeval_library:load_deepeval",
}
_EXTRAS = {
    "sacrebleu": ("sacrebleu", "bleu, chrf scorers"),
    "sentence-transformers": ("sentence-transformers", "embedding scorers"),
    "fastembed": ("fastembed", "embedding scorers"),
    "openpyxl": ("xlsx", "golden sets in .xlsx"),
    "zstandard": ("zstandard", "imports of .eval logs"),
    "distributed": ("dask", "run --engine dask"),
}
"""Package -> the extra that installs it, and its purpose."""


def _package(package: str, module: str, quick: bool) -> Diagnosis:
    version = _version(package)
    if version is None:
        return Diagnosis(package, False, "not installed", f"pip install {package}", needed=package not in _OPTIONAL)
    if quick:
        return Diagnosis(package, True, version)
    found = _tried(
        package, lambda: _import(package, module), "see the bounds in pyproject.toml", package not in _OPTIONAL
    )
    return Diagnosis(
        package, found.ok, f"{version}{'' if found.ok else f' unavailable: {found.text}'}", found.fix, found.needed
    )


_OPTIONAL = ("ragas", "deepeval")


def _import(package: str, module: str) -> str:
    import importlib

    name, _, load = module.partition(":")
    found = importlib.import_module(name)
    if load:
        getattr(found, load)()
    return f"{package} imports"


def _embed() -> str:
    import asyncio

    from evalkit.scorers.embedding.embedders import build_embedder

    embedder = build_embedder(None, {})
    vectors = asyncio.run(embedder.embed(["a question", "another question"]))
    return f"{embedder.name}, {vectors.shape[1]} dimensions"


def _tried(name: str, action: Callable[[], str], fix: str, needed: bool = True) -> Diagnosis:
    try:
        return Diagnosis(name, True, action())
    except Exception as error:
        return Diagnosis(name, False, f"{type(error).__name__}: {str(error)[:200]}", fix, needed)


def _version(package: str) -> str | None:
    from importlib import metadata

    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None
