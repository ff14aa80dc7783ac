"""Define the flags that choose an engine."""

import enum
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from evalkit.operations.run import EngineFlags

CALLS = "Calls"
"""Group of these options in the help."""


class EngineChoice(enum.StrEnum):
    """What runs the cases."""

    DASK = "dask"
    NONE = "none"


Engine = Annotated[
    EngineChoice | None,
    typer.Option(
        help="`dask`: run the cases in several processes. `none`: in this one, even if the suite names an engine.",
        rich_help_panel=CALLS,
    ),
]
Workers = Annotated[
    int | None,
    typer.Option(
        min=1,
        metavar="N",
        help="Number of worker processes; of a scheduler, number of its workers to use. Default: that of the "
        "suite, or all workers of the scheduler.",
        rich_help_panel=CALLS,
    ),
]
ShardSize = Annotated[
    int | None,
    typer.Option(
        min=1,
        metavar="N",
        help="Average number of cases in a shard, 1 to 5000. Default: that of the suite, or 1000.",
        rich_help_panel=CALLS,
    ),
]
Scheduler = Annotated[
    str | None,
    typer.Option(
        metavar="ADDRESS", help="Use the workers of a Dask scheduler, tls://HOST:8786.", rich_help_panel=CALLS
    ),
]
InsecureScheduler = Annotated[
    bool,
    typer.Option("--insecure-scheduler", help="Allow a scheduler without TLS, tcp://.", rich_help_panel=CALLS),
]


def engine_flags(
    engine: EngineChoice | None, workers: int | None, shard_size: int | None, scheduler: str | None, *, insecure: bool
) -> "EngineFlags":
    """Return the flags as a request takes them."""
    from evalkit.operations.run import EngineFlags

    return EngineFlags(
        engine=None if engine is None else engine.value,
        workers=workers,
        shard_size=shard_size,
        scheduler=scheduler,
        insecure=insecure,
    )
