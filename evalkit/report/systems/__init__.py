"""Show a comparison of several systems: page, comment and terminal."""
