"""Files of other tools, read as our own values."""
