"""Run the shards of a run in other processes."""
