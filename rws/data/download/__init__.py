"""Fetches and unpacks data sets and weights: `python -m rws.data.download`."""
