"""Relate judges to people: labels, agreement, correction, drift, calibration, and the answers to label next."""
