"""Cases x system x scorers, into the journal."""
