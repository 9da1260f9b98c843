"""Fetches and unpacks data sets and weights: `rws download`."""
