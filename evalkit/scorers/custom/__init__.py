"""Scorers that a project or another package brings."""
