"""Whether what a JSON file holds is of the types that annotations say."""

import math
from collections.abc import Iterator
from dataclasses import MISSING, fields, is_dataclass
from types import NoneType, UnionType
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints, is_typeddict


def misfit(value: object, kind: Any, where: str = "it") -> str:
    """Where a value is not of the type `kind`, in words; empty where it fits.

    A dataclass stands for a dictionary of its fields, a tuple for a list; numbers must be finite.
    """
    origin, of = get_origin(kind), get_args(kind)
    if origin in (Union, UnionType):
        found = [misfit(value, each, where) for each in of]
        return "" if "" in found else found[0]
    if origin is Literal:
        return "" if value in of else f"{where} is {repr(value)[:40]}, not one of {of}"
    if is_dataclass(kind) or is_typeddict(kind):
        parts = _keys(value, kind, where)
    elif origin in (list, tuple):
        parts = _items(value, of, where, fixed=origin is tuple and Ellipsis not in of)
    elif origin is dict:
        parts = _values(value, of[1], where)
    else:
        parts = iter(() if _is(value, kind) else [_no(value, kind, where)])
    return next(filter(None, parts), "")


def _is(value: object, kind: type) -> bool:
    if isinstance(value, bool):
        return kind in (bool, object)
    if kind is float:
        return isinstance(value, int | float) and math.isfinite(value)
    return isinstance(value, NoneType if kind is None else kind)


def _no(value: object, kind: Any, where: str) -> str:
    return f"{where} is {repr(value)[:40]}, not {getattr(kind, '__name__', kind)}"


def _items(value: object, of: tuple, where: str, fixed: bool) -> Iterator[str]:
    if not isinstance(value, list):
        yield _no(value, list, where)
        return
    if fixed and len(value) != len(of):
        yield f"{where} has {len(value)} items, not {len(of)}"
    kinds = of if fixed else of[:1] * len(value)
    yield from (misfit(v, kind, f"{where}[{i}]") for i, (v, kind) in enumerate(zip(value, kinds)))


def _values(value: object, kind: Any, where: str) -> Iterator[str]:
    if not isinstance(value, dict):
        yield _no(value, dict, where)
        return
    yield from (misfit(v, kind, f"{where}.{key}") for key, v in value.items())


def _keys(value: object, kind: Any, where: str) -> Iterator[str]:
    if not isinstance(value, dict):
        yield _no(value, dict, where)
        return
    if lacking := sorted(_required(kind) - value.keys()):
        yield f"{where} lacks {lacking[0]}"
    kinds = get_type_hints(kind)
    yield from (misfit(value[k], each, f"{where}.{k}") for k, each in kinds.items() if k in value)


def _required(kind: Any) -> set[str]:
    if is_typeddict(kind):
        return set(kind.__required_keys__)
    return {f.name for f in fields(kind) if f.default is MISSING and f.default_factory is MISSING}
