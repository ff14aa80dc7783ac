"""Lead a conversation with a system: one case, several calls, one output."""
