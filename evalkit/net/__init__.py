"""What every HTTP exchange shares: retries, and who waits for one."""
