"""`rws.val`: trained networks measured on a list of a data set."""

from importlib import import_module


def val(*args: object, **options: object) -> object:
    """Trained networks measured on a list of a data set: see `rws.evaluate.val`, whose arguments it takes."""
    return import_module("rws.evaluate").val(*args, **options)
