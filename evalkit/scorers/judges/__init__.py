"""Judges: what a model, large or small, thinks of an answer."""
