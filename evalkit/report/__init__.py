"""Views and renderers; no statistic is computed here."""
