"""The flags that name options, for commands that take those of `rws train` beside their own."""

from collections.abc import Iterator

from rws.config import OPTIONS
from rws.config.recipes import RECIPE
from rws.config.retired import RETIRED


def option_flags(*others: str) -> Iterator[str]:
    """Every flag of `rws train` that is no switch, retired ones included: none of these is a typing error."""
    return (f"--{key}" for key in ("config", RECIPE, *OPTIONS, *RETIRED, *others))
