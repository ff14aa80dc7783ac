"""Scorers of what an agent did: its tool calls, steps, state and the policy it kept."""
