"""A user's own network, `path.to.module:factory`: any callable that takes the number of classes."""

import difflib
import importlib
import inspect
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path

import torch
from torch import Tensor, nn

from rws.errors import UserError
from rws.models.compiled import plain
from rws.models.family import IMAGENET_MEAN, IMAGENET_STD, Family
from rws.models.probabilities import ends_in
from rws.models.same_size import MULTIPLES, TRIALS, needed_multiple, same_size

FORM = "path.to.module:factory"


def own_family(name: str) -> Family:
    """The family of a factory that can be imported from the working directory.

    `factory(num_classes)` returns the network; it may have attributes `stages`, `mean` and `std`. Without
    them the stages are found automatically, and images are normalised as for ImageNet.

    Raises:
        UserError: the module or the factory cannot be had.
    """
    module_name, _, attribute = name.partition(":")
    factory = _factory(name, module_name, attribute)
    stages = getattr(factory, "stages", None)
    return Family(
        partial(_build, name, factory),
        tuple(stages) if isinstance(stages, tuple | list) else None,
        tuple(getattr(factory, "mean", IMAGENET_MEAN)),
        tuple(getattr(factory, "std", IMAGENET_STD)),
    )


def _factory(name: str, module_name: str, attribute: str) -> Callable[[int], nn.Module]:
    here = str(Path.cwd())
    if here not in sys.path:
        sys.path.insert(0, here)
    try:
        module = importlib.import_module(module_name)
    except Exception as error:  # the user's module may fail in any way
        raise UserError(
            f"--model.name {name}: importing {module_name} from {here} failed ({type(error).__name__}: "
            f"{' '.join(str(error).split())}); the form is {FORM}, importable from the working directory"
        ) from error
    factory = getattr(module, attribute, None)
    if not callable(factory):
        near = difflib.get_close_matches(attribute, [n for n in vars(module) if n[0] != "_"], n=1, cutoff=0.5)
        hint = f"did you mean {near[0]}? " if near else ""
        raise UserError(
            f"--model.name {name}: {module_name} has no function {attribute!r}; {hint}Form: {FORM}"
        )
    return factory


def used_network(name: str) -> tuple[nn.Module, tuple[str, ...]]:
    """The network of a factory as it is to be used, with its weights, and the names of its classes.

    The names are in the attribute `classes` of the factory or of its module, and the factory may take their
    number. Without them it takes nothing, and the classes are called by their numbers.

    Raises:
        UserError: the module or the factory cannot be had, or fails, or returns no network as it is needed.
    """
    module_name, _, attribute = name.partition(":")
    factory = _factory(name, module_name, attribute)
    said = (getattr(place, "classes", None) for place in (factory, sys.modules[module_name]))
    classes = next((tuple(names) for names in said if names and isinstance(names, tuple | list)), ())
    if classes and _takes(factory, len(classes)):
        network, _ = _finished(name, factory, (len(classes),), len(classes))
    elif _takes(factory):
        network, count = _finished(name, factory, (), len(classes) or None)
        classes = classes or tuple(map(str, range(count)))
    else:
        raise UserError(
            f"--model.name {name}: {attribute} takes the number of classes, and {module_name} does not say "
            "which there are; give it an attribute `classes` with their names"
        )
    return network, classes


def _takes(factory: Callable[..., nn.Module], *arguments: int) -> bool:
    """Whether a factory can be called with these arguments, as far as it says."""
    try:
        inspect.signature(factory).bind(*arguments)
    except TypeError:
        return False
    except ValueError:  # one that is not written in Python need not say
        return bool(arguments)
    return True


def _build(name: str, factory: Callable[[int], nn.Module], num_classes: int, aux: bool) -> nn.Module:
    """The network of the factory, returning {"out": logits} at its input's size.

    Raises: UserError, as `_finished`.
    """
    return _finished(name, factory, (num_classes,), num_classes)[0]


def _finished(
    name: str, factory: Callable[..., nn.Module], arguments: tuple[int, ...], num_classes: int | None
) -> tuple[nn.Module, int]:
    """What the factory returns for its arguments, as `made_fit` makes it.

    Raises:
        UserError: the factory fails, or what it returns is not a network as it is needed.
    """
    try:
        network = factory(*arguments)
    except Exception as error:
        takes = "the number of classes alone" if arguments else "nothing"
        said = f"{FORM.split(':')[1]}({', '.join(map(str, arguments))})"
        raise UserError(
            f"--model.name {name}: {said} failed ({type(error).__name__}: "
            f"{' '.join(str(error).split())}); it must take {takes}"
        ) from error
    return made_fit(name, network, num_classes)


def made_fit(name: str, network: object, num_classes: int | None = None) -> tuple[nn.Module, int]:
    """A network of one's own, made to return {"out": logits} at its input's size; and its number of classes.

    Without `num_classes` it may have any number of them. The network itself is changed, as by `same_size`,
    and brought to the CPU in float32.

    Raises: UserError for what is no network as it is needed.
    """
    network, notes = _plain(name, network)
    try:
        multiple, output = needed_multiple(network.cpu().float())
    except Exception as error:
        raise UserError(
            f"--model.name {name}: the network takes no image (1, 3, H, W); tried sides that are multiples "
            f"of 1 to {MULTIPLES[-1]} ({type(error).__name__}: {' '.join(str(error).split())})"
        ) from error
    found = _check_output(name, output, num_classes)
    if end := ends_in(network, _logits, TRIALS[multiple]):
        notes.append(
            f"--model.name {name}: its outputs seem to be those of {end}; the loss and the heat maps need "
            "logits, so leave that last layer out"
        )
    return same_size(network, multiple, tuple(notes)), found


def _plain(name: str, made: object) -> tuple[nn.Module, list[str]]:
    """What a factory returned, without wrappers, and what to say of these.

    Raises: UserError for what is no network, or one that has no modules to look at.
    """
    if not isinstance(made, nn.Module):
        raise UserError(f"--model.name {name}: returns a {type(made).__name__}; needed is a torch.nn.Module")
    if isinstance(made, torch.jit.ScriptModule):
        raise UserError(
            f"--model.name {name}: returns a network of TorchScript, which cannot be looked into; return the "
            "torch.nn.Module that it was made of"
        )
    network, taken = plain(made)
    note = f"--model.name {name}: taken out of {' and '.join(taken)}; RWS looks into the plain network"
    return network, [note] if taken else []


def _logits(output: object) -> object:
    return output.get("out") if isinstance(output, dict) else output


def _check_output(name: str, output: object, num_classes: int | None) -> int:
    """The number of classes of an output.

    Raises: UserError for what are no logits, or not those of `num_classes`.
    """
    logits = _logits(output)
    if not isinstance(logits, Tensor):
        raise UserError(
            f"--model.name {name}: the network returns a {type(output).__name__}; needed are logits "
            '(N, classes, H, W), bare or as {"out": logits}'
        )
    if logits.ndim != 4 or logits.shape[1] != (num_classes or logits.shape[1]):
        raise UserError(
            f"--model.name {name}: the network returns {tuple(logits.shape)}; needed are logits "
            f"(N, {num_classes or 'classes'}, H, W)"
        )
    return logits.shape[1]
