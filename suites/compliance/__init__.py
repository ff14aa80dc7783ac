"""Provide the demonstration system, a retrieval bot for EU financial regulation."""
