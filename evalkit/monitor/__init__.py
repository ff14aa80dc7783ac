"""Watch the calls of a system in production: read its logs, sample, keep figures by hour, find changes."""
