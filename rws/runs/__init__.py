"""The folder of a run, whoever uses it: identity, lock, checkpoints, networks, log and summary."""
