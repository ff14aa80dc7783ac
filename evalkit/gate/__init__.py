"""Apply a policy to a summary and decide."""
