"""Rules: what a program can decide about an answer without a model."""
