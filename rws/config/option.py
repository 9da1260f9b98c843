"""A field of the configuration that says itself all that the rest of the code has to know of it."""

from dataclasses import field
from typing import Any

# The steps of a cycle in their order; the last one is the training on whole images of the cycle after.
STEPS = ("whole", "plain", "score", "slices", "select", "teach", "fuse")
LEVELS = ("basic", "research")


def option(
    default: object,
    meaning: str,
    *,
    step: str | None = "whole",
    free: bool = False,
    level: str = "research",
    by_comparison: bool = False,
    in_plain: object = None,
) -> Any:
    """A field of a configuration; an option of which nothing is said changes everything.

    Args:
        meaning: what it does, as a sentence for someone who reads it for the first time.
        step: the first of STEPS whose result depends on it; None where no number does.
        free: a resumed run may have another value than it was begun with.
        level: basic for the few options that most people need, research for all others.
        by_comparison: `rws compare` sets it for each of its runs.
        in_plain: its value in the arm `plain` of a comparison, where it matters there.
    """
    known = {"meaning": meaning, "step": step, "free": free, "level": level}
    return field(default=default, metadata=known | {"by_comparison": by_comparison, "in_plain": in_plain})
