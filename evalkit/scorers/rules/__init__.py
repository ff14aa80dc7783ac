"""Score answers by rules, without a model."""
