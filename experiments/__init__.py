"""Accuracy: `python -m rws.compare` runs the arms of an experiment; its folders hold the records."""
