"""Metrics of predictions, and of attention, in each stage."""
