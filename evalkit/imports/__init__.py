"""Read other tools' files as cases, stored outputs, scorers and labels."""
