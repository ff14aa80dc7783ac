"""`evalkit docs`: print the reference."""

import typer


def docs() -> None:
    """Print the reference of this version as one Markdown page.

    It lists commands, suite keys, systems, checks, scorers and exit codes.

    Example: evalkit docs > reference.md
    """
    from evalkit.cli.reference import reference

    typer.echo(reference(), nl=False)
