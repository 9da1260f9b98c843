"""Refined Weak Slices: a segmentation network improves itself where its own heat maps look away."""

from pathlib import Path

__all__ = ["RWS", "coordinates"]

# Where commands under their old names lie, which say the new ones.
__path__.append(str(Path(__file__).parent / "moved"))


def __getattr__(name: str) -> object:
    """`from rws import RWS` loads torch, which the scripts do only once their flags are right."""
    if name in __all__:
        from rws.wrapper import rws as enhance

        return getattr(enhance, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
