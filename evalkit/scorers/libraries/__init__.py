"""Metrics of ragas and deepeval, through evalkit's client and with corrections of known defects."""
