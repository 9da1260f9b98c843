"""`python -m rws.html_report`, as it was called."""

from rws.moved import say

say("rws.html_report", "rws.report")
