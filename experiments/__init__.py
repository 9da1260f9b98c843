"""Accuracy: `python -m experiments.compare` runs the arms of an experiment; its folders hold the records."""
