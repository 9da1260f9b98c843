"""The functions that `import rws` gives out: load, see, train and val."""
