"""Read golden sets and check their cases."""
