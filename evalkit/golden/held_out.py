"""Hold some cases of a golden set out: they are run, and nobody who works on the system sees their text.

Figures on cases that people look at while they improve a system overstate how good it is on others (Dwork et al. 2015,
doi:10.1126/science.aaa9375). The held-out cases lie beside the set, in `NAME.held.jsonl`, which only its owner may
read.
"""

from __future__ import annotations

import hashlib
import os
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from evalkit.disk.writing import drafted
from evalkit.errors import InputError, Problem, StoreError
from evalkit.golden.read import read_all
from evalkit.golden.synthetic import is_synthetic
from evalkit.golden.write import drop_lines, put_apart
from evalkit.text.numbers import plural
from evalkit.types import Case

ENOUGH = 10
"""Fewest cases of a split, and of a cohort of it, of which figures are shown."""
PRIVATE = 0o600
_ENDING = ".held.jsonl"


def held_file(file: Path) -> Path:
    """Return the file of a set's held-out cases, which may not exist: `faq.v2.held.jsonl` for `faq.v2.jsonl`."""
    return file.with_name(f"{Path(file.name.removesuffix('.gz')).stem}{_ENDING}")


def is_held_file(file: Path) -> bool:
    """Whether a file holds the held-out cases of a set, by its name."""
    return file.name.endswith(_ENDING)


def read_held(file: Path) -> list[Case] | None:
    """Read the held-out cases of a set; `None` if they are not on this machine.

    Raises:
        InputError: there are problems in the file; none of them is shown, because it could hold text of a case.
    """
    held = held_file(file)
    if not os.access(held, os.R_OK):
        return None
    try:
        cases = read_all(held, held.name)
    except InputError as error:
        raise hidden(held, error) from None
    if n := sum(is_synthetic(case) or "variant" in case.fields for case in cases):
        what = f"{plural(n, 'synthetic case')} in the held-out cases"
        raise InputError(Problem(held.name, what, "move the rows with `origin: synthetic` or `variant` into the set"))
    return cases


def hidden(held: Path, error: InputError) -> InputError:
    """Return an error that says how many problems a held-out file has, and nothing of them."""
    fix = "see them with `evalkit check` of a suite whose `golden:` is this file, where nobody else reads the output"
    return InputError(Problem(held.name, f"{plural(len(error.problems), 'problem')} in the held-out cases", fix))


def draw_held(cases: Sequence[Case], share: float, seed: int) -> frozenset[str]:
    """Draw the cases to hold out, the same for the same seed.

    Whole clusters are drawn, so that no held-out case depends on an open one. Canaries, critical and quarantined cases,
    variants, synthetic cases and those that wait for a reference stay open, with their clusters.

    Args:
        cases: every case of the set.
        share: share of the cases to hold out, above 0 and below 1.
        seed: any whole number.

    Returns:
        Ids; as many as fit into the share.
    """
    clusters: dict[str, list[Case]] = defaultdict(list)
    for case in cases:
        clusters[f"case {case.id}" if case.cluster is None else f"cluster {case.cluster}"].append(case)
    order = sorted(name for name, members in clusters.items() if all(map(_may_be_held, members)))
    order.sort(key=lambda name: hashlib.blake2b(f"{seed}:{name}".encode("utf-8", "surrogatepass")).digest())
    room, drawn = int(share * len(cases) + 1e-9), list[str]()
    for name in order:
        if len(drawn) + len(clusters[name]) <= room:
            drawn += [case.id for case in clusters[name]]
    return frozenset(drawn)


def _may_be_held(case: Case) -> bool:
    fields: Mapping[str, object] = case.fields
    always = case.kind == "canary" or case.severity == "critical" or bool(case.quarantine)
    return not (always or is_synthetic(case) or "variant" in fields or fields.get("needs_reference"))


def hold_out(file: Path, share: float, seed: int, *, commit: bool) -> int:
    """Move cases of a set into the file of its held-out cases, byte for byte, or complete a move that was interrupted.

    Args:
        file: the set, in JSON Lines.
        share: share of the cases to hold out.
        seed: of the draw.
        commit: whether the file may be committed; else `.gitignore` beside it names it.

    Returns:
        The number of cases that were moved.

    Raises:
        InputError: the share cannot be held out, or the set has held-out cases already.
        StoreError: a file cannot be written.
    """
    held = held_file(file)
    if not 0 < share < 1:
        raise InputError(Problem("--held-out", f"{share:g} is not a share", "write a number between 0 and 1"))
    cases = read_all(file, str(file))
    if (half := interrupted(cases, read_held(file) or ())) and os.path.lexists(held):
        drop_lines(file, str(file), _lines_of(half))
        return len(half)
    if os.path.lexists(held):
        fix = "rotate the set with `evalkit golden rotate`, or put its rows back into the set and remove it"
        raise InputError(Problem(str(held), "holds the held-out cases of this set already", fix))
    drawn = draw_held(cases, share, seed)
    if len(drawn) < ENOUGH:
        fix = f"hold out at least {ENOUGH}: a larger share, or more cases"
        raise InputError(Problem("--held-out", f"only {len(drawn)} of {len(cases)} cases can be held out", fix))
    if not commit:
        _ignore(held)
    put_apart(file, str(file), _lines_of(case for case in cases if case.id in drawn), held)
    return len(drawn)


def interrupted(cases: Iterable[Case], held: Collection[Case]) -> Sequence[Case]:
    """Return the cases of a set that are all held-out cases too, as a kill leaves them before the set is written.

    Args:
        cases: of the set.
        held: the held-out cases.

    Returns:
        As many as are held out; else none.
    """
    digests = {case.digest for case in held}
    both = [case for case in cases if case.digest in digests]
    return both if len(both) == len(held) else ()


def _lines_of(cases: Iterable[Case]) -> frozenset[int]:
    return frozenset(int(case.place.rpartition(":")[2]) for case in cases)


def _ignore(held: Path) -> None:
    """Name a file in the `.gitignore` beside it."""
    ignored = held.with_name(".gitignore")
    try:
        lines = ignored.read_text(encoding="utf-8") if ignored.exists() else ""
        if f"/{held.name}" not in lines.splitlines():
            with drafted(ignored) as draft:
                draft.write(f"{lines}{'' if lines.endswith(chr(10)) or not lines else chr(10)}/{held.name}\n".encode())
    except (OSError, ValueError) as error:
        raise StoreError(f"{ignored}: cannot be written ({error}); or give --commit") from None


def make_private(folder: Path) -> None:
    """Let nobody but the owner read the files of a folder."""
    for file in folder.rglob("*"):
        with suppress(OSError):
            file.chmod(0o700 if file.is_dir() else PRIVATE)
