"""The machine: processes, devices, seeds, signals, reading ahead; nothing of RWS."""
