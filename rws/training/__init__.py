"""One training, its optimization and its evaluation."""
