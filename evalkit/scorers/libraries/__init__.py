"""Grade with metrics of ragas and deepeval, through evalkit's client and with fixes for known defects."""
