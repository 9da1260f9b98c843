"""Stage names to modules, channels and strides; modes and flags restored."""

import pytest
import torch
from torch import nn

from rws.core.stages import captured, evaluating, find_stages, logits_of, stage_infos, stage_shapes


def test_find_stages_keeps_the_order_asked_for(small):
    found = find_stages(small, ["backbone.3", "backbone.0", "classifier"])
    assert list(found) == ["backbone.3", "backbone.0", "classifier"]
    assert found["backbone.0"] is small.backbone[0]


def test_a_missing_stage_is_named_with_near_names_and_the_ones_there(small):
    with pytest.raises(KeyError) as caught:
        find_stages(small, ["backbone.0", "backbonne.1"])
    message = caught.value.args[0]
    assert "'backbonne.1'" in message
    assert "did you mean backbone.1" in message
    assert "classifier" in message.split("It has:")[1]


@pytest.mark.parametrize("name", ["", "nothing alike"])
def test_a_stage_like_no_other_is_named_too(small, name):
    with pytest.raises(KeyError, match=f"no stage '{name}'.*backbone, backbone.0"):
        find_stages(small, [name])


def test_channels_and_strides(small, small_stages):
    infos = stage_infos(small, small_stages)
    assert [info.name for info in infos] == small_stages
    assert [info.channels for info in infos] == [6, 8, 10, 12]
    assert [info.stride for info in infos] == [1, 2, 4, 4]
    assert stage_shapes(small, small_stages, (33, 50))["backbone.2"] == (10, 9, 13)


def test_looking_at_shapes_leaves_the_network_as_it_was(small, small_stages):
    small.train()
    before = {k: v.clone() for k, v in small.state_dict().items()}
    stage_infos(small, small_stages)
    assert all(m.training for m in small.modules())
    assert all(torch.equal(v, before[k]) for k, v in small.state_dict().items())
    assert all(not m._forward_hooks for m in small.modules())


@pytest.mark.parametrize("raises", [False, True])
def test_evaluating_restores_mixed_modes_and_flags(small, raises):
    small.train()
    small.backbone[1].eval()
    small.backbone[0].requires_grad_(False)
    modes = [m.training for m in small.modules()]
    flags = [p.requires_grad for p in small.parameters()]
    try:
        with evaluating(small):
            assert not any(m.training for m in small.modules())
            assert not any(p.requires_grad for p in small.parameters())
            if raises:
                raise ArithmeticError
    except ArithmeticError:
        assert raises
    assert [m.training for m in small.modules()] == modes
    assert [p.requires_grad for p in small.parameters()] == flags
    assert True in modes
    assert False in modes


def test_captured_outputs_are_the_stages_own(small, small_stages):
    small.eval()
    x = torch.randn(1, 3, 16, 16)
    with torch.no_grad(), captured(find_stages(small, small_stages)) as outputs:
        small(x)
    assert list(outputs) == small_stages
    expected = small.backbone[0](x)
    assert torch.equal(outputs["backbone.0"], expected)
    assert all(not m._forward_hooks for m in small.modules())


def test_logits_bare_or_in_a_dictionary():
    logits = torch.zeros(1)
    assert logits_of(logits) is logits
    assert logits_of({"out": logits, "aux": None}) is logits
    for odd in ([logits], {"aux": logits}, None):
        with pytest.raises(TypeError, match="logits"):
            logits_of(odd)


def test_shapes_of_a_network_on_its_own_device_and_dtype():
    network = nn.Sequential(nn.Conv2d(3, 5, 3, 2, 1), nn.Conv2d(5, 2, 1)).double()
    assert stage_shapes(network, ["0"], (8, 12)) == {"0": (5, 4, 6)}
