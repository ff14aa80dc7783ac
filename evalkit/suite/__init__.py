"""Suites: YAML text in, a Suite out."""
