"""Compare meaning by vectors, and compute the vectors."""
