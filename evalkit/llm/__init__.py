"""One client for every judge call."""
