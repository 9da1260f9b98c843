"""The names of the ways to predict. Nothing here loads torch, so that flags are checked at once."""

from collections.abc import Sequence

from rws.errors import UserError

# Of those that average augmentations, and their units.
AVERAGED = {
    "plain": 1.0,
    "flip": 2.0,
    "ms_flip": 2 * (0.75**2 + 1 + 1.25**2),
    "quarters": 5.0,
    "quarters_flip": 10.0,
}
SCALES = (1.25, 1.41, 1.5, 2.0)
# Of those that see windows again, and by what these are chosen.
CHOSEN = {"rws": "uncertainty", "attention": "attention", "random": "random"}
ORACLE = "oracle"
NAMES = (*AVERAGED, *(f"{kind}_{s:g}" for s in SCALES for kind in ("at", "with", "weighed")), *CHOSEN, ORACLE)


def check_passes(passes: float | None, ways: Sequence[str]) -> None:
    """Raises: UserError for passes that none of the ways shares out."""
    again = (*CHOSEN, ORACLE)
    if passes is not None and not {*again} & {*ways}:
        raise UserError(
            f"command line: --passes {passes:g} is of --ways {', '.join(again)}; give that as well"
        )
