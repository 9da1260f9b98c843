"""Refined Weak Slices: a segmentation network improves itself where its own heat maps look away."""
