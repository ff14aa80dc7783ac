"""What a person can ask of evalkit, one module each, callable from Python."""
