"""Run every case through the system and the scorers, into the journal."""
