"""Words for people: numbers, escaping, printable texts."""
