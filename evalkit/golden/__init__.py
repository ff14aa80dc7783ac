"""Golden sets: files in, cases out."""
