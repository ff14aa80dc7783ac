"""Score the output of a system for a case."""
