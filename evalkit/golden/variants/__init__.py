"""Make variants of golden cases by fixed transforms: the same seed gives the same bytes."""
