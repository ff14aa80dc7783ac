"""Provide the second demonstration system, an agent at the order desk of a shop with tools that change orders."""
