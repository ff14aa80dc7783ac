"""`evalkit noise` and `evalkit power`: estimate what a suite's gate can detect."""

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from evalkit.cli.suite_file import SuiteFile, named_or_nearest
from evalkit.errors import InputError, Problem
from evalkit.text.escaping import visible

if TYPE_CHECKING:
    from evalkit.gate.policy import NoRegression, Policy
    from evalkit.operations.noise import Detectable, Noise
    from evalkit.suite.model import Suite

SHOWN_ADVICE = 8


def noise(
    suite: Annotated[Path, typer.Argument(help="Suite file, or the folder of a run with repeats.")],
    repeat: Annotated[int, typer.Option(min=2, max=100, help="Runs of every case.")] = 4,
    out: Annotated[Path | None, typer.Option(help="Folder for the run. Default: reports/<run-id>.")] = None,
    trials: Annotated[int, typer.Option(min=10, help="Comparisons of the system with itself.")] = 200,
    seed: Annotated[int, typer.Option(min=0, help="Seed of the draws.")] = 0,
    json: Annotated[bool, typer.Option("--json", help="Print the figures as JSON.")] = False,
) -> None:
    """Run one system several times and compare it with itself: flips, false alarms, detectable drops.

    A case is never compared with itself: each comparison takes two different repeats of every case.

    Example: evalkit noise suites/compliance.yaml --repeat 4 --out reports/noise

    Exit codes: 0, 2 where the suite or the folder cannot be used.
    """
    import shlex
    import sys

    from evalkit.aggregate.frozen import freeze
    from evalkit.cli.output import CommandOutput
    from evalkit.cli.signals import run_stoppable
    from evalkit.operations.noise import noise_of
    from evalkit.operations.run import Request
    from evalkit.store.folder import RunFolder
    from evalkit.store.stored_run import load_run, suite_file_of

    folder = RunFolder(suite)
    if not suite.is_dir():
        overrides = {"repeat": repeat, "seed": seed}
        command = shlex.join(["evalkit", *sys.argv[1:]])
        request = Request(
            suite=suite, out=out, overrides=overrides, baseline="none", command=command, asks_former=False
        )
        folder = run_stoppable(request, CommandOutput(json=True), "auto").folder
    stored = load_run(folder)
    frame = freeze(stored.frame)
    if frame.n_repeats < 2:
        raise InputError(Problem(str(folder.path), "every case was run once", "run it with --repeat 4"))
    file = suite if suite.is_file() else suite_file_of(stored)
    whole = _policy_of(file) if file else None
    policy = _regression(whole)
    names = policy.metrics or ("pass_rate", *_quality(frame.rows, frame.advisory))
    metrics = [name for name in names if name in frame.rows]
    critical = whole.critical_in(frame.cohorts) if whole else frozenset()
    found = noise_of(frame, policy, metrics, critical=critical, trials=trials, seed=seed)
    if all(each.flips is None for each in found.gates):
        fix = "see what failed in its report"
        raise InputError(Problem(str(folder.path), "no case has two answers that were graded", fix))
    missing = stored.manifest["expected"] - len(frame.row_case)
    if missing > 0:
        typer.echo(f"only {len(frame.row_case)} of {stored.manifest['expected']} calls were made", err=True)
    _show(found, as_json=json)


def power(
    suite: SuiteFile = None,
    flips: Annotated[float | None, typer.Option(min=0, max=1, help="Share of cases that flip between runs.")] = None,
    json: Annotated[bool, typer.Option("--json", help="Print the figures as JSON.")] = False,
) -> None:
    """Show the drops that a suite's gate would detect, from the number of cases in each cohort.

    Example: evalkit power suites/compliance.yaml

    Exit codes: 0, 2 where the suite cannot be used.
    """
    import math

    from evalkit.aggregate.cohorts import cohort_value
    from evalkit.golden.read import open_golden
    from evalkit.results import OVERALL
    from evalkit.runner.draw import draw
    from evalkit.suite.parse import load_suite

    if flips is not None and not math.isfinite(flips):
        raise InputError(Problem("--flips", "is not a number", "write a share such as 0.05"))
    loaded = load_suite(named_or_nearest(suite))
    policy = _regression(loaded.policy)
    golden = open_golden(loaded.golden, loaded.golden_file, loaded.golden_shown)
    wanted = loaded.options.cohorts if policy.by is None else policy.by
    sample = loaded.options.sample_of(None)
    chosen = draw(golden.open(), sample, loaded.options.seed).digests if sample is not None else None
    counts: Counter[str] = Counter({OVERALL: golden.n_cases if chosen is None else len(chosen)})
    for case in golden.open():
        if chosen is not None and case.digest not in chosen:
            continue
        counts.update(f"{name}={value}" for name in wanted if (value := cohort_value(case, name)) is not None)
    ordered = {OVERALL: counts.pop(OVERALL), **dict(sorted(counts.items()))}
    _show(_seen_before_a_run(loaded, policy, ordered, flips), as_json=json)


def _seen_before_a_run(
    suite: "Suite", policy: "NoRegression", counts: Mapping[str, int], flips: float | None
) -> "tuple[Detectable, ...]":
    """Use the suite's baseline, else only the number of cases and scorers."""
    from evalkit.aggregate.frozen import freeze
    from evalkit.baselines.load import find_baseline_of
    from evalkit.gate.regression import ALPHA
    from evalkit.operations.noise import detectable, seen_against
    from evalkit.store.stored_run import load_run

    folder = find_baseline_of(suite, None)
    if folder is not None:
        frame = freeze(load_run(folder).frame)
        if "pass_rate" in frame.cases:
            return seen_against(
                frame,
                suite.policy,
                repeats=suite.options.repeat,
                trusted=folder.trusted_judges(),
                counts=counts,
                flips=flips,
            )
    others = policy.metrics or [entry for entry in suite.scorers if not entry.advisory]
    return detectable(
        {"pass_rate": counts},
        {("pass_rate", label): flips for label in counts},
        critical=suite.policy.critical_in(counts),
        alpha=policy.alpha or ALPHA,
        metrics=max(1, len([each for each in others if each != "pass_rate"])),
    )


def _policy_of(file: Path) -> "Policy":
    from evalkit.suite.parse import load_suite

    return load_suite(file).policy


def _regression(policy: "Policy | None") -> "NoRegression":
    from evalkit.gate.policy import NoRegression

    checks = policy.checks if policy is not None else ()
    return next((check for check in checks if isinstance(check, NoRegression)), NoRegression())


def _quality(rows: object, advisory: frozenset[str]) -> list[str]:
    return [name for name in rows if name not in advisory and not name.endswith(".passed") and name != "pass_rate"]  # type: ignore[attr-defined]


def _show(found: "Noise | Sequence[Detectable]", *, as_json: bool) -> None:
    import dataclasses
    import json
    import textwrap

    from evalkit.cli.output import share_of
    from evalkit.gate.power import ASSUMED_FLIPS
    from evalkit.operations.noise import NONE_SURE, UNSURE, Noise, advice_on, in_points

    gates = found.gates if isinstance(found, Noise) else tuple(found)
    if as_json:
        record = dataclasses.asdict(found) if isinstance(found, Noise) else [dataclasses.asdict(each) for each in gates]
        typer.echo(json.dumps(record, indent=2))
        return
    _table(gates)
    if isinstance(found, Noise):
        rate = found.false_blocks
        share = f"{share_of(rate.value)} [{share_of(rate.low)}, {share_of(rate.high)}]"
        typer.echo(f"the gate blocked this system against itself in {share} of {rate.n} comparisons")
    elif all(each.flips is None for each in gates):
        typer.echo(f"assumed: {ASSUMED_FLIPS:.1%} of the cases flip between runs; measure it with `evalkit noise`")
    if any(in_points(each).startswith(NONE_SURE) for each in gates):
        typer.echo(UNSURE)
    for line in advice_on(gates)[:SHOWN_ADVICE]:
        typer.echo(textwrap.fill(visible(line), 80, initial_indent="  ", subsequent_indent="    "))


def _table(gates: Sequence["Detectable"]) -> None:
    from rich.table import Table

    from evalkit.cli.output import CommandOutput
    from evalkit.operations.noise import in_points

    table = Table(box=None, pad_edge=False, header_style="bold")
    for heading in ("metric", "cohort", "cases", "flips", "finds a drop of"):
        table.add_column(heading, justify="left" if heading in ("metric", "cohort") else "right", overflow="fold")
    for each in gates:
        flips = "unknown" if each.flips is None else f"{each.flips:.1%}"
        table.add_row(visible(each.metric), visible(each.cohort), str(each.n), flips, in_points(each))
    CommandOutput().results.print(table)
