"""Compute estimates from pure numbers."""
