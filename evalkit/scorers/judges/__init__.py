"""Grade answers and conversations with a model, large or small."""
