"""A run: the steps one after another, what they leave, and going on after a kill."""
