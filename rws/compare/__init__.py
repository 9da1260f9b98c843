"""Accuracy at equal budget: `rws compare` runs the arms of an experiment and writes its record."""
