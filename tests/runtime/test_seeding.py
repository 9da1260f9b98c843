"""Draws from a state of their own."""

import torch

from rws.runtime.seeding import drawn_from


def test_the_same_seed_gives_the_same_numbers_as_torch_itself():
    torch.manual_seed(7)
    theirs = torch.rand(5)
    with drawn_from(7):
        ours = torch.rand(5)

    assert torch.equal(ours, theirs)


def test_what_is_drawn_afterwards_goes_on_from_before():
    torch.manual_seed(1)
    torch.rand(3)
    undisturbed = torch.rand(4)

    torch.manual_seed(1)
    torch.rand(3)
    with drawn_from(2):
        torch.rand(100)

    assert torch.equal(torch.rand(4), undisturbed)


def test_accelerators_are_not_asked(monkeypatch):
    """For each that has not begun yet torch would note the stack of calls, for every image anew."""
    asked = []
    for accelerator in (torch.cuda, torch.xpu, torch.mtia):
        monkeypatch.setattr(accelerator, "manual_seed_all", asked.append)
    with drawn_from(3):
        torch.rand(1)

    assert asked == []
