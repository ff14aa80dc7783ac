"""Golden sets: read files and check their cases."""
