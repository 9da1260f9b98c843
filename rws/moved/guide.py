"""`python -m rws.guide`, as it was called."""

from rws.moved import say

say("rws.guide", "rws.look.guide")
