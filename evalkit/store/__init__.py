"""Read and write run folders; no other package does."""
