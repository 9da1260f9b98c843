"""The command `rws`: each file reads the flags of one command, main.py chooses among them."""
