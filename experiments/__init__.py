"""Records and their YAML files; the code that makes them is rws/compare. The old commands say the new one."""

import sys

from rws.moved import say

NEW = {
    "experiments.compare": "rws.compare",
    "experiments.refine": "rws.compare.ways",
    "experiments.join": "rws.compare.join",
}
# `python -m experiments.compare` imports this file first; orig_argv still has the words of the command line.
for old in NEW.keys() & set(sys.orig_argv):
    say(old, NEW[old])
