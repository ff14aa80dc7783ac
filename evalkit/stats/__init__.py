"""Pure numbers in, estimates out."""
