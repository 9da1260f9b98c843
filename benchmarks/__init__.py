"""Speed and memory, each beside a peer in the same process run: `python -m benchmarks.run`."""
