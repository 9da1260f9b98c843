"""runs/<name>/report.html: one self-contained page with the numbers and the pictures of a run."""
