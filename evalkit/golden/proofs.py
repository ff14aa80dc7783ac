"""Keep proofs of regression cases: the version before the fix failed the case, and the fixed one passed it.

They are kept beside the set, in `NAME.proven.jsonl`, so that a proof does not change the case. A proof is of the
content of a case, named by its digest: an edited case has none.
"""

from __future__ import annotations

import datetime
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from evalkit.errors import InputError, Problem, noting
from evalkit.golden.json_lines import read_jsonl
from evalkit.golden.survey import Lack
from evalkit.golden.write import add_row
from evalkit.text.numbers import plural
from evalkit.types import Case

GRACE_DAYS = 14
"""Days after which a regression case without a proof is reported."""
_FORMAT = 1


@dataclass(frozen=True, kw_only=True)
class ReplayedRun:
    """The run of one version with the case."""

    run: str
    """Id of the run."""
    head: str
    system: str
    """Version or fingerprint of the system; empty if neither is known."""


@dataclass(frozen=True, kw_only=True)
class Proof:
    """A case that one version failed and another passed."""

    id: str
    """Id of the case."""
    digest: str
    failed: ReplayedRun
    passed: ReplayedRun
    at: str
    """Day on which it was recorded."""


def proofs_file(file: Path) -> Path:
    """Return the file with the proofs of a set."""
    return file.with_name(f"{file.name.partition('.')[0]}.proven.jsonl")


def read_proofs(file: Path) -> Mapping[str, Proof]:
    """Return the last proof of each digest of a set; none if it has no file of proofs.

    Args:
        file: the set.

    Raises:
        InputError: reports every line that is not a proof.
    """
    held = proofs_file(file)
    if not held.exists():
        return {}
    problems: list[Problem] = []
    note = noting(problems)
    found: dict[str, Proof] = {}
    for line, row in read_jsonl(held, str(held), note):
        try:
            if row.pop("format", None) != _FORMAT:
                raise ValueError
            failed, passed = ReplayedRun(**row.pop("failed")), ReplayedRun(**row.pop("passed"))
            proof = Proof(failed=failed, passed=passed, **row)
        except (TypeError, KeyError, ValueError):
            fix = "remove the line, and run `evalkit golden prove` again"
            note(Problem(f"{held}:{line}", "not a proof that evalkit wrote", fix))
            continue
        found[str(proof.digest)] = proof
    if problems:
        raise InputError(problems)
    return found


def add_proof(file: Path, proof: Proof) -> Path:
    """Append a proof to the file beside a set, and return that file.

    Raises:
        StoreError: it cannot be written.
    """
    held = proofs_file(file)
    add_row(held, str(held), {"format": _FORMAT, **asdict(proof)})
    return held


def unproven(cases: Iterable[Case], proofs: Mapping[str, Proof], today: datetime.date) -> Iterator[Problem]:
    """Yield a warning if regression cases with `since` have no proof after 14 days.

    Args:
        cases: of the set.
        proofs: by digest.
        today: the day to compare `since` with.
    """
    lack: Lack | None = None
    for case in cases:
        since = since_of(case)
        if since is None or case.digest in proofs or (today - since).days <= GRACE_DAYS:
            continue
        lack = lack or Lack(case.place)
        lack.add(case.id)
    if lack is not None:
        what = f"{plural(lack.n, 'regression case')} not proven within {GRACE_DAYS} days: {lack}"
        fix = "run the versions before and after the fix, and record both with `evalkit golden prove`"
        yield Problem(lack.place, what, fix)


def since_of(case: Case) -> datetime.date | None:
    """Return the day on which a regression case was added; `None` for other cases, and if it is not an ISO date."""
    since = case.fields.get("since")
    if case.kind != "regression" or not isinstance(since, str):
        return None
    try:
        return datetime.date.fromisoformat(since)
    except ValueError:
        return None
