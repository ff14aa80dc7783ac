"""Show what a monitor found: the values, and their renderers, which compute nothing."""
