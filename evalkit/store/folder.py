"""Read and write the files of a run folder or baseline."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from evalkit.disk.json_files import read_json, to_json
from evalkit.disk.paths import shown_path
from evalkit.disk.writing import drafted
from evalkit.errors import InputError, Problem, StoreError
from evalkit.formats.manifest import MANIFEST_FORMAT, Manifest, manifest_record, read_manifest
from evalkit.results import OVERALL
from evalkit.store.chain import Scan, head_of, scan
from evalkit.store.journal import read_rows
from evalkit.store.running import RUNNING
from evalkit.types import Row

MANIFEST, ROWS, SUMMARY, DECISION = "manifest.json", "rows.jsonl", "summary.json", "decision.json"
BEFORE, AFTER = "before", "after"
"""Run folders inside the folder of a comparison; the decision is in the later one."""
TIMINGS = "timings.json"
"""Latency, speed and throughput; kept apart from the summary, so that equal answers give equal summaries."""
OLD_ROWS = "baseline_rows.jsonl"
"""Answers of the baseline's system to cases that were run again on both sides."""
FORMER_ROWS = "former_rows.jsonl"
"""Answers to removed or edited cases of the base, in their old form."""
HELD, HELD_FIGURES = "held", "held.json"
REFERENCE = "reference.json"
"""Private folder with the run of the held-out cases, and the figures of them that may be shown."""
VARIANT_ROWS = "variant_rows.jsonl"
"""Answers to the variants of the cases."""
SET_ASIDE = "set_aside.jsonl"
"""Damaged lines, and rows of cases that left the golden set, removed from the journal by a resumed run."""
SEAL = "seal.txt"
"""The rows and files behind the decision, and every decision of the run so far."""
COMPARISON = "comparison.json"
"""How several systems compare, in the folder around their runs; without `systems.json` they were read from files."""
SYSTEMS = "systems.json"
"""The systems of a run of several; its folder holds no rows, but a run folder for each."""
FOLDERS = "systems"
"""Folder around the run folders of several systems."""
REPORT, MARKDOWN, COMMENT, JUNIT = "report.html", "summary.md", "comment.json", "junit.xml"
RECORD, FAILURES = "release_decision.md", "failure_analysis.md"
REPORTS = "reports"
_SHOWN_SYSTEMS = 12
BASELINES = Path(REPORTS) / "baselines"


@dataclass(frozen=True)
class RunFolder:
    """The files of one run, or of a saved baseline (whose rows are compressed)."""

    path: Path
    origin: str = field(default="", compare=False)
    """What the user wrote to name it, if `path` is a temporary copy of it: `git:REF:PATH` or an archive."""

    @property
    def shown(self) -> str:
        """The name to use in messages and commands."""
        return self.origin or shown_path(self.path)

    @property
    def rows_file(self) -> Path:
        """The journal, compressed in a saved baseline."""
        packed = self.path / f"{ROWS}.gz"
        return packed if packed.exists() else self.path / ROWS

    @property
    def old_rows_file(self) -> Path:
        """Answers of the baseline's system that this run asked for."""
        return self.path / OLD_ROWS

    @property
    def former_rows_file(self) -> Path:
        """Rows of removed or edited cases of the base, in their old form."""
        return self.path / FORMER_ROWS

    @property
    def variant_rows_file(self) -> Path:
        """Rows of the variants of the cases."""
        return self.path / VARIANT_ROWS

    @property
    def journals(self) -> tuple[Path, ...]:
        """The files of rows behind the decision; those after the first may be absent."""
        return (self.rows_file, self.old_rows_file, self.former_rows_file, self.variant_rows_file)

    def file(self, name: str) -> Path:
        """Return the path of one of the run's files."""
        return self.path / name

    def shown_file(self, name: str) -> str:
        """Return the place of one of the run's files, for messages."""
        return f"{self.origin}/{name}" if self.origin else shown_path(self.file(name))

    def rows(self) -> Iterator[Row]:
        """Read the intact rows in the order written."""
        return read_rows(self.rows_file)

    def manifest(self) -> Manifest:
        """The inputs of the run.

        Raises:
            InputError: this is not a run folder, or it has another format.
        """
        file = self.path / MANIFEST
        try:
            record = read_json(file)
        except FileNotFoundError:
            raise InputError(self._not_a_run()) from None
        except json.JSONDecodeError as error:
            place = f"{self.shown_file(MANIFEST)}:{error.lineno}:{error.colno}"
            raise InputError(Problem(place, f"not JSON: {error.msg}", "run the suite again")) from None
        except (OSError, ValueError) as error:
            what = f"cannot be read: {str(error).splitlines()[0]}"
            raise InputError(Problem(self.shown_file(MANIFEST), what, "run the suite again")) from None
        if not isinstance(record, dict) or record.get("format") != MANIFEST_FORMAT:
            found = record.get("format") if isinstance(record, dict) else None
            what = f"format {json.dumps(found)[:40]}, this evalkit reads {MANIFEST_FORMAT}"
            raise InputError(Problem(self.shown_file(MANIFEST), what, "run the suite again"))
        manifest, problems = read_manifest(record, self.shown_file(MANIFEST))
        if manifest is None:
            raise InputError(problems)
        return manifest

    def _not_a_run(self) -> Problem:
        """Return the problem of a folder without a manifest; one with several systems names their folders."""
        place = self.shown
        if not (self.path / SYSTEMS).is_file():
            if (self.path / COMPARISON).is_file():
                return Problem(place, "a comparison of files", "run `evalkit compare` again")
            what = f"no {MANIFEST} in it, so it is not a run folder"
            return Problem(place, what, "name a folder that `evalkit run` wrote")
        runs = sorted(file.parent for file in self.path.glob(f"*/*/{MANIFEST}"))
        what = f"holds the runs of {len(runs)} systems ({', '.join(run.name for run in runs[:_SHOWN_SYSTEMS])}"
        what += ", ...)" if len(runs) > _SHOWN_SYSTEMS else ")"
        return Problem(place, what, f"name one, such as {shown_path(runs[0])}" if runs else "run the suite again")

    def write_manifest(self, manifest: Manifest) -> Path:
        """Write the manifest, whole or not at all.

        Raises:
            StoreError: it cannot be written.
        """
        return self.write_json(MANIFEST, manifest_record(manifest))

    def decision(self) -> Mapping[str, Any] | None:
        """Read the stored decision, `None` if the run has none."""
        try:
            stored = read_json(self.path / DECISION)
        except (OSError, ValueError):
            return None
        return stored if isinstance(stored, dict) and isinstance(stored.get("outcome"), str) else None

    def trusted_judges(self) -> frozenset[str]:
        """Return the judge metrics that are trusted overall in the stored summary; empty without a summary."""
        try:
            stored = read_json(self.path / SUMMARY)
        except (OSError, ValueError):
            return frozenset()
        found = stored.get("agreement") if isinstance(stored, dict) else None
        records = [each for each in found if isinstance(each, dict)] if isinstance(found, list) else []
        overall = [each for each in records if each.get("cohort") == OVERALL and each.get("trust") == "trusted"]
        return frozenset(str(each.get("metric")) for each in overall)

    def write_text(self, name: str, text: str) -> Path:
        """Write one file atomically.

        Raises:
            StoreError: it cannot be written.
        """
        target = self.path / name
        try:
            with drafted(target) as file:
                file.write(text.encode("utf-8", "backslashreplace"))
        except OSError as error:
            raise StoreError.of(target, error, needed=f"{len(text)} characters needed") from error
        return target

    def sweep(self) -> None:
        """Remove drafts left by a killed process; only for the run that holds the folder."""
        for draft in self.path.glob(".*.tmp"):
            with suppress(OSError):
                draft.unlink()

    def scans(self) -> tuple[Scan, ...]:
        """Check every line of every file of rows, in the order of `journals`."""
        return tuple(scan(file) for file in self.journals)

    def head(self, decision: Mapping[str, Any] | None) -> str:
        """Compute the head of the run, over every row that counts and the decision; see `chain`."""
        return head_of(self.scans(), decision)

    def write_json(self, name: str, value: Any) -> Path:
        """Write sorted JSON atomically."""
        return self.write_text(name, to_json(value))


def new_run_folder(out: Path, *, resume: bool) -> RunFolder:
    """Create the folder of a run.

    Raises:
        InputError: the folder is not empty and `resume` is not set, or it is missing and `resume` is set.
        StoreError: it cannot be created.
    """
    refuse_folder(out, resume=resume)
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StoreError(f"{out}: cannot be made ({error.strerror}); choose another folder with --out") from error
    return RunFolder(out)


def refuse_folder(out: Path, *, resume: bool) -> None:
    """Reject a folder that is not empty unless `resume` is set, and a missing one if it is.

    Raises:
        InputError: it is rejected; the message has the fix.
    """
    begun = _begun(out)
    if (above := next((up for up in out.absolute().parents if up.exists()), None)) and not above.is_dir():
        raise InputError(Problem(str(out), f"{above} is not a folder", "name another folder with --out"))
    if resume and not (out / MANIFEST).is_file() and not begun:
        raise InputError(
            Problem(str(out), "no run to resume in it", "name the folder that the interrupted run printed")
        )
    if not resume and out.exists() and not begun and (not out.is_dir() or any(out.iterdir())):
        fix = "name a new folder with --out, or continue with --resume"
        raise InputError(Problem(str(out), "is not empty", fix))


def _begun(out: Path) -> bool:
    """Return True for the folder of a run that died before its manifest was written."""
    names = {file.name for file in out.iterdir()} if out.is_dir() else set()
    return RUNNING in names and all(name.startswith(".") for name in names)


def is_name(text: str) -> bool:
    """Return True for a plain word that can name a baseline."""
    return text.replace("-", "").replace("_", "").replace(".", "").isalnum() and not text.startswith(".")
