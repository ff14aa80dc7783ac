"""Convert bytes to values and back, without the disk: YAML, journal lines, rows, records."""
