"""Merge the shards of a run into one run folder, and decide on it as on a run of all cases."""

from __future__ import annotations

import dataclasses
import shlex
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from evalkit.disk.files import open_file
from evalkit.disk.paths import project_of
from evalkit.disk.writing import drafted
from evalkit.errors import InputError, Problem, StoreError
from evalkit.formats.manifest import FormerCases, Manifest, ScoreKeys, ShardFacts
from evalkit.formats.records import decision_of
from evalkit.formats.rows import decode_row
from evalkit.gate.earlier_decisions import found_in
from evalkit.golden.read import GoldenSet, known_golden, open_golden
from evalkit.golden.shards import Shard, number_of, shard_of_run
from evalkit.operations.find_run import find_run
from evalkit.operations.run import Result, decide_again
from evalkit.runner.draw import draw
from evalkit.runner.manifest import new_run_id
from evalkit.runner.resume import differing_files, differing_parts, in_words
from evalkit.runner.variants import added_up
from evalkit.store.chain import lines_of
from evalkit.store.folder import RunFolder, new_run_folder, refuse_folder
from evalkit.store.running import refuse_if_running
from evalkit.store.stored_run import find_suite
from evalkit.suite.parse import load_suite
from evalkit.text.numbers import plural

if TYPE_CHECKING:
    from evalkit.suite.model import Suite

_SHOWN = 5
_RUN_AGAIN = "run this shard again from the same commit, suite and data as the others"


@dataclass(frozen=True)
class _Part:
    """The run of one shard."""

    folder: RunFolder
    manifest: Manifest
    shard: Shard

    @property
    def command(self) -> str:
        """The command that runs the shard."""
        return f"evalkit run {shlex.quote(self.manifest.suite_file)} {self.shard.flag}"

    @property
    def resume(self) -> str:
        """The fix of a shard that is not complete."""
        return f"complete it with `{self.command} --out {shlex.quote(self.folder.shown)} --resume`"


Line = tuple[Path, int, int]
"""A line of a journal: file, offset and length in bytes."""


@dataclass
class _Lines:
    """The lines that count, by what orders them."""

    own: dict[tuple[int, int], Line] = field(default_factory=dict)
    """(place of the case in the golden set, repeat) -> line."""
    former: dict[tuple[str, int], Line] = field(default_factory=dict)
    """(digest of a case of the base, repeat) -> line."""
    variants: dict[str, Line] = field(default_factory=dict)
    """Id of a variant -> line."""


def merge_shards(names: Sequence[str], out: Path | None, env: Mapping[str, str], command: str = "") -> Result:
    """Merge the runs of all shards of a suite into one run, and decide; nothing is called.

    The rows are copied byte by byte, in the order of the golden set. The decision is made in one stage: a gate that
    runs suspects again does not do so here.

    Args:
        names: the runs of the shards, in any order; see `find_run`.
        out: folder of the merged run; default: one in the project's `reports`.
        env: the environment, in which CI names the target branch.
        command: the command line that merges, for the manifest.

    Raises:
        InputError: reports every reason why the shards do not make one run.
        StoreError: a file cannot be read or written.
    """
    if out is not None:
        refuse_folder(out, resume=False)
    parts = _parts(names)
    suite = _suite_of(parts)
    lines = _lines(parts, suite)
    manifest = _merged(parts, lines, command)
    folder = new_run_folder(out or suite.root / "reports" / manifest.run_id, resume=False)
    _copy(folder.rows_file, [line for _, line in sorted(lines.own.items())])
    if lines.former:
        _copy(folder.former_rows_file, [line for _, line in sorted(lines.former.items())])
    if lines.variants:
        _copy(folder.variant_rows_file, [line for _, line in sorted(lines.variants.items())])
    folder.write_manifest(manifest)
    return decide_again(folder, suite.path, manifest.baseline, env)


def _parts(names: Sequence[str]) -> list[_Part]:
    """Read the runs of the shards, in the order of their numbers.

    Raises:
        InputError: they are not the complete, unchanged shards of one run.
    """
    parts: list[_Part] = []
    problems: list[Problem] = []
    for name in names:
        try:
            folder = find_run(name)
            refuse_if_running(folder.path)
            manifest = folder.manifest()
        except InputError as error:
            problems += error.problems
            continue
        if (shard := shard_of_run(manifest.partial)) is not None:
            parts.append(_Part(folder, manifest, shard))
        else:
            what = "is not the run of a shard: it was run " + (
                f"with {manifest.partial}" if manifest.partial else "whole"
            )
            fix = f"leave it out, or run it with `evalkit run {shlex.quote(manifest.suite_file)} --shard K/N`"
            problems.append(Problem(folder.shown, what, fix))
    parts.sort(key=lambda part: part.shard)
    if not problems and not parts:
        problems.append(Problem("", "no run to merge", "name the run folder of each shard"))
    problems += [*_set_problems(parts), *_unlike(parts)]
    for part in parts:
        problems += _incomplete(part)
    if problems:
        raise InputError(problems)
    return parts


def _set_problems(parts: Sequence[_Part]) -> Iterator[Problem]:
    """Yield the shards that are missing or given twice, and different numbers of shards."""
    sizes = Counter(part.shard.of for part in parts)
    if len(sizes) > 1:
        usual = max(sizes, key=lambda of: (sizes[of], of))
        for part in parts:
            if part.shard.of != usual:
                what = f"is shard {part.shard}, and other runs are one of {usual} shards"
                yield Problem(part.folder.shown, what, f"run all shards with the same N of --shard K/{usual}")
        return
    given: dict[Shard, list[_Part]] = {}
    for part in parts:
        given.setdefault(part.shard, []).append(part)
    for shard, several in given.items():
        if len(several) > 1:
            folders = " and ".join(part.folder.shown for part in several)
            yield Problem(folders, f"shard {shard} is given {len(several)} times", "leave out all but one")
    missing = [Shard(number, of) for of in sizes for number in range(1, of + 1) if Shard(number, of) not in given]
    for shard in missing[:_SHOWN]:
        fix = f"run it with `evalkit run {shlex.quote(parts[0].manifest.suite_file)} {shard.flag}`, and name its folder"
        yield Problem("", f"shard {shard} is missing", fix)
    if len(missing) > _SHOWN:
        yield Problem("", f"{len(missing) - _SHOWN} more shards are missing", "name their folders")


def _unlike(parts: Sequence[_Part]) -> Iterator[Problem]:
    """Yield each shard that was run on something else than the first."""
    for part in parts[1:]:
        first, own = parts[0].manifest, part.manifest
        changed = [part for part in differing_parts(first, own) if part != "partial"]
        found = [in_words(changed) + differing_files(first, own)] if changed else []
        found += [
            name
            for name, differs in (
                ("suite", first.suite_sha256 != own.suite_sha256 or first.suite_file != own.suite_file),
                ("golden set", first.golden.sha256 != own.golden.sha256),
                ("sample", first.sample != own.sample),
                ("number of repeats", first.repeats != own.repeats),
                (f"scoring ({_scores(first.score_keys, own.score_keys)})", first.scoring != own.scoring),
                ("version of evalkit", first.versions.get("evalkit-gate") != own.versions.get("evalkit-gate")),
                ("commit", first.commit != own.commit),
                ("--baseline", first.baseline != own.baseline),
                ("state of the base", _base_of(first) != _base_of(own)),
            )
            if differs
        ]
        if found:
            what = f"shard {part.shard} was run with another {', '.join(found)} than shard {parts[0].shard}"
            yield Problem(part.folder.shown, f"{what} ({parts[0].folder.shown})", _RUN_AGAIN)


def _scores(first: ScoreKeys, own: ScoreKeys) -> str:
    """Name the metrics whose scorer, options or judge differ."""
    unlike = sorted(name for name in {*first, *own} if first.get(name) != own.get(name))
    return ", ".join(unlike[:_SHOWN]) if unlike else "other scorers"


def _base_of(manifest: Manifest) -> object:
    """Return what a run knew of the cases of its base, apart from those that its shard holds."""
    former = manifest.former
    return None if former is None else former.blocks, former is None, manifest.case_changes


def _incomplete(part: _Part) -> Iterator[Problem]:
    """Yield why the run of a shard cannot be merged: it was stopped, or changed since it ended."""
    decision = part.folder.decision()
    if decision is None or not part.manifest.finished_at:
        yield Problem(part.folder.shown, f"shard {part.shard} was interrupted", part.resume)
        return
    try:
        stopped = decision_of(decision).partial
    except ValueError:
        stopped = "its decision cannot be read"
    if stopped != part.manifest.partial:
        yield Problem(part.folder.shown, f"shard {part.shard} is not complete: {stopped}", part.resume)
    root = project_of(Path.cwd())
    for sentence in found_in(part.folder, root).sentences():
        yield Problem(part.folder.shown, sentence, f"run it again with `{part.command}` in a new folder")


def _suite_of(parts: Sequence[_Part]) -> Suite:
    """Read the suite of the shards.

    Raises:
        InputError: it is gone, or is not the one that they were run with.
    """
    first = parts[0]
    found = find_suite(first.manifest, first.folder)
    if found is None:
        what = f"its suite {first.manifest.suite_file} does not exist here"
        raise InputError(
            Problem(first.folder.shown, what, "merge in a checkout of the commit that the shards were run on")
        )
    suite = load_suite(found)
    if suite.sha256 != first.manifest.suite_sha256:
        fix = "check out the commit that they were run on; `evalkit gate RUN` decides the merged run with another gate"
        raise InputError(Problem(str(found), "is not the suite that the shards were run with", fix))
    return suite


def _golden_of(suite: Suite, manifest: Manifest) -> GoldenSet:
    """Open the golden set of the shards.

    Raises:
        InputError: it is not the one that they were run on.
    """
    source = (suite.golden, suite.golden_file, suite.golden_shown)
    golden = known_golden(*source, manifest.golden, reading=suite.reading) or open_golden(
        *source, reading=suite.reading
    )
    if golden.sha256 != manifest.golden.sha256:
        fix = "check out the commit that they were run on"
        raise InputError(Problem(golden.path, "holds other cases than the golden set that the shards were run on", fix))
    return golden


def _lines(parts: Sequence[_Part], suite: Suite) -> _Lines:
    """Find every row that counts.

    Raises:
        InputError: a journal is damaged, holds rows of another shard, or lacks some.
    """
    manifest = parts[0].manifest
    golden, sample = _golden_of(suite, manifest), suite.options.sample_of(None)
    drawn = None if sample is None else draw(golden.open(), sample, manifest.seed).digests
    places: dict[str, tuple[int, int]] = {}
    for place, case in enumerate(golden.open()):
        if drawn is None or case.digest in drawn:
            places[case.digest] = place, number_of(case, len(parts)) - 1
    lines, problems = _Lines(), list[Problem]()
    wanted = Counter(at for _, at in places.values())
    for at, part in enumerate(parts):
        before = len(lines.own)
        problems += _read_own(part, at, places, lines)
        problems += _read_former(part, lines)
        problems += _read_variants(part, lines)
        lacking = wanted[at] * manifest.repeats - (len(lines.own) - before)
        if lacking > 0:
            what = f"{plural(lacking, 'row')} of shard {part.shard} missing"
            problems.append(Problem(part.folder.shown_file(part.folder.rows_file.name), what, part.resume))
    if problems:
        raise InputError(problems)
    return lines


def _read_own(part: _Part, at: int, places: Mapping[str, tuple[int, int]], lines: _Lines) -> Iterator[Problem]:
    file, start, damaged, foreign = part.folder.rows_file, 0, list[int](), list[str]()
    for number, line in enumerate(lines_of(file), 1):
        row = decode_row(line)
        if row is None:
            damaged.append(number)
        elif (place := places.get(row.case.digest)) is None or place[1] != at:
            foreign.append(row.case.id)
        else:
            lines.own[place[0], row.repeat] = file, start, len(line)
        start += len(line)
    shown = part.folder.shown_file(file.name)
    if damaged:
        yield Problem(shown, f"damaged {_few('line', damaged)}", part.resume)
    if foreign:
        what = f"holds {plural(len(foreign), 'row')} of cases that are not in shard {part.shard} ({_few('', foreign)})"
        yield Problem(shown, what, f"run it again with `{part.command}` in a new folder")


def _read_former(part: _Part, lines: _Lines) -> Iterator[Problem]:
    file, start, bad = part.folder.former_rows_file, 0, list[int]()
    asked = frozenset(part.manifest.former.cases) if part.manifest.former is not None else frozenset[str]()
    for number, line in enumerate(lines_of(file) if file.exists() else (), 1):
        row = decode_row(line)
        if row is None or (row.case.digest in asked and not part.shard.holds(row.case)):
            bad.append(number)
        elif row.case.digest in asked:
            lines.former[row.case.digest, row.repeat] = file, start, len(line)
        start += len(line)
    if bad:
        what = f"{_few('line', bad)} damaged, or of a case that is not in shard {part.shard}"
        yield Problem(part.folder.shown_file(file.name), what, part.resume)


def _read_variants(part: _Part, lines: _Lines) -> Iterator[Problem]:
    file, start, bad, seen = part.folder.variant_rows_file, 0, list[int](), set[str]()
    for number, line in enumerate(lines_of(file) if file.exists() else (), 1):
        row = decode_row(line)
        if row is None or not part.shard.holds(row.case):
            bad.append(number)
        else:
            lines.variants[row.case.id] = file, start, len(line)
            seen.add(row.case.id)
        start += len(line)
    lacking = sum(each.n for each in part.manifest.variants) - len(seen)
    if bad:
        what = f"{_few('line', bad)} damaged, or of a case that is not in shard {part.shard}"
        yield Problem(part.folder.shown_file(file.name), what, part.resume)
    elif lacking > 0:
        what = f"{plural(lacking, 'variant')} of shard {part.shard} missing"
        yield Problem(part.folder.shown_file(file.name), what, part.resume)


def _few(word: str, found: Sequence[object]) -> str:
    more = f" and {len(found) - _SHOWN} more" if len(found) > _SHOWN else ""
    return f"{word} {', '.join(map(str, found[:_SHOWN]))}{more}".strip()


def _merged(parts: Sequence[_Part], lines: _Lines, command: str) -> Manifest:
    """Return the manifest of the merged run, which names its shards."""
    manifests = [part.manifest for part in parts]
    first, earlier = manifests[0], dict[str, ScoreKeys]()
    for manifest in manifests:
        earlier |= manifest.earlier_scorings
    former = tuple(digest for each in manifests if each.former is not None for digest in each.former.cases)
    return dataclasses.replace(
        first,
        run_id=new_run_id(datetime.now(UTC)),
        partial=None,
        expected=sum(manifest.expected for manifest in manifests),
        notices=tuple(dict.fromkeys(notice for manifest in manifests for notice in manifest.notices)),
        started_at=min(manifest.started_at for manifest in manifests),
        finished_at=max(manifest.finished_at for manifest in manifests),
        wall_s=None,
        command=command,
        earlier_scorings=earlier,
        variants=added_up(manifest.variants for manifest in manifests),
        former=None if first.former is None else FormerCases(cases=former, blocks=first.former.blocks),
        shards=tuple(
            ShardFacts(
                shard=str(part.shard),
                run_id=part.manifest.run_id,
                head=part.folder.head(part.folder.decision()),
                n_rows=part.manifest.expected,
            )
            for part in parts
        ),
    )


def _copy(target: Path, lines: Sequence[Line]) -> None:
    """Write lines of the shards' journals as they are.

    Raises:
        StoreError: a file cannot be read or written.
    """
    try:
        with ExitStack() as stack, drafted(target) as file:
            paths = dict.fromkeys(path for path, _, _ in lines)
            opened = {path: stack.enter_context(open_file(path)) for path in paths}
            for path, start, n_bytes in lines:
                opened[path].seek(start)
                file.write(opened[path].read(n_bytes))
    except OSError as error:
        raise StoreError.of(target, error, "then merge again in a new folder") from error
