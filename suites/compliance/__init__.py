"""The demonstration system: a retrieval bot for EU financial regulation."""
