"""Read traces of OpenTelemetry: spans, what they mean, and the answers that they are made of."""
