"""The pictures of the README, made from the demo runs: `python -m tools.figures`, or `make figures`."""
