"""Implement the operations of evalkit, one module each, callable from Python."""
