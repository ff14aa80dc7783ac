"""Rows in, Summary out."""
