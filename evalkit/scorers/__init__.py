"""Scorers: case and output in, scores out."""
