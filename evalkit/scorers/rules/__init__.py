"""Rules: scorers that need no model."""
