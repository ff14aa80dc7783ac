"""What the actions run on a code host: one run with its outputs, and the comment of a pull request."""
