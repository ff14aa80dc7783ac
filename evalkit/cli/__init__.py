"""Define the command line: one thin module per command."""
