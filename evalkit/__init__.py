"""evalkit: eval harness and regression gate for LLM systems."""
