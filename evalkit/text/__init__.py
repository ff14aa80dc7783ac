"""Write texts for people: numbers, escaping, printable values."""
