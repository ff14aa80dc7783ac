"""Run `evalkit` without writing rows or recording calls, to measure the cost of the journal.

It takes the same arguments as `evalkit`.
"""

from evalkit.store.journal import Journal
from evalkit.store.running import Running


def nothing(*_: object) -> None:
    """Replace a function that writes."""


if __name__ == "__main__":
    Journal.append = nothing  # type: ignore[method-assign]
    Running.begins = nothing  # type: ignore[method-assign]
    from evalkit.cli.app import app

    app()
