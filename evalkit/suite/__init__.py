"""Read a suite from YAML."""
