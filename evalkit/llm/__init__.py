"""Ask models: one client for judges and simulated users."""
