"""Load scorers from the project or from installed packages."""
