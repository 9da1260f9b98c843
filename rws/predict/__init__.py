"""Prediction of photographs and films, and export."""
