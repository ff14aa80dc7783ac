"""Score what an agent did: its tool calls, its steps, the state it left, and whether it kept a policy."""
