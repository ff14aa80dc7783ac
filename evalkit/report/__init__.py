"""Render views of a run; no statistic is computed here."""
