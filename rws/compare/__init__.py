"""Accuracy at equal budget: `python -m rws.compare` runs the arms of an experiment and writes its record."""
