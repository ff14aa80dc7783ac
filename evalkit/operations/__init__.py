"""Operations of evalkit, one module each, callable from Python."""
