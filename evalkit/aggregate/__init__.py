"""Aggregate rows into a summary."""
