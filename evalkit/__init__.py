"""evalkit: eval harness and regression gate for LLM systems."""

__version__ = "0.1.0"
