"""`python -m evalkit` is the `evalkit` command."""

from evalkit.cli.app import main

main()
