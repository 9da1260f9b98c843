"""Networks scored on a list of a data set, in several ways to predict."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rws.evaluate.evaluation import Evaluation
    from rws.evaluate.validation import val

__all__ = ["Evaluation", "val"]


def __getattr__(name: str) -> object:
    """`val` loads torch, which the command does only once its flags are right."""
    if name == "val":
        from rws.evaluate.validation import val

        return val
    if name == "Evaluation":
        from rws.evaluate.evaluation import Evaluation

        return Evaluation
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
