"""Similarity of meaning by vectors, and the models that make the vectors."""
