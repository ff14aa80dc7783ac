"""Judges: a model, large or small, grades an answer."""
