"""HTTP exchanges: one request, its retries, and progress of waits."""
