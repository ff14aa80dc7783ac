"""Metrics of ragas and deepeval, asked through our client and with their quirks fixed."""
