"""Texts for people: numbers, escaping, printable values."""
