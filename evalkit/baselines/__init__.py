"""The runs and commits that a change is compared with: find, check, save."""
