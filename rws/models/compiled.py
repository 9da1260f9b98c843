"""Takes networks out of what people put around them: DataParallel, and torch.compile, which skips hooks."""

from torch import nn


def is_compiled(network: nn.Module) -> bool:
    """Whether torch.compile runs the network or a part of it, and so may never call hooks on its modules."""
    return any("_orig_mod" in m._modules or m._compiled_call_impl is not None for m in network.modules())


def plain(network: nn.Module) -> tuple[nn.Module, list[str]]:
    """A network without the wrappers around it and around its parts, and the names of those wrappers."""
    taken: list[str] = []
    network = _without(network, taken)
    for module in network.modules():
        for name, child in module._modules.items():
            if child is not None:
                module._modules[name] = _without(child, taken)
    return network, list(dict.fromkeys(taken))


def _without(module: nn.Module, taken: list[str]) -> nn.Module:
    while True:
        if "_orig_mod" in module._modules:
            taken.append("torch.compile")
            module = module._modules["_orig_mod"]
        elif isinstance(module, nn.DataParallel | nn.parallel.DistributedDataParallel):
            taken.append(type(module).__name__)
            module = module.module
        else:
            break
    if module._compiled_call_impl is not None:
        taken.append("torch.compile")
        module._compiled_call_impl = None
    return module
