"""People and judges: labels, agreement, correction, drift, calibration, which answer to label next."""
