"""The functions that `import rws` gives out: load, see and train."""
