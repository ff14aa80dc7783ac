"""Find, check and save the runs and commits that a change is compared with."""
