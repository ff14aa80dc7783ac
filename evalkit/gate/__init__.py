"""Summary and policy in, Decision out."""
