"""Run the actions on a code host: one run with its outputs, and the comment on a pull request."""
