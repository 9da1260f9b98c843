"""Seg-Grad-CAM of all stages at once against pytorch-grad-cam run once a stage and class."""

import gc
import weakref

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from peer import peer_maps
from torch import Tensor, nn

from rws.core.cam import grad_cam, most_classes, scale_to_unit, seg_grad_cam
from rws.core.stages import find_stages, logits_of
from rws.models import FAMILIES, build_network

TOLERANCE = 1e-5


def ours(network, names, images, labels, classes):
    return seg_grad_cam(network, find_stages(network, names), images, labels, classes)


def assert_equals_peer(network, names, images, labels, classes):
    peer = peer_maps(network, names, images, labels, classes)
    found = ours(network, names, images, labels, classes)
    assert found.maps.shape == peer.shape
    np.testing.assert_allclose(found.maps, peer, rtol=0, atol=TOLERANCE)
    # A comparison of empty maps would show nothing.
    assert (found.maps.amax((0, 2, 3)) > 0.1).all()
    assert (found.maps.amax((1, 2, 3)) > 0.1).all()
    return found


def batch(height=32, width=40, seed=0):
    """Two images: the first shows classes 1 and 2, the second 3; 0 is background, 255 ignored."""
    generator = torch.Generator().manual_seed(seed)
    images = torch.randn(2, 3, height, width, generator=generator)
    labels = torch.zeros(2, height, width, dtype=torch.long)
    labels[0, 2 : height // 2, 3 : width // 2] = 1
    labels[0, height // 2 :, width // 3 :] = 2
    labels[1, height // 4 : height - 3, 5 : width - 2] = 3
    labels[:, :2] = labels[1, :, 8] = 255
    return images, labels


def state(network):
    return (
        [m.training for m in network.modules()],
        [p.requires_grad for p in network.parameters()],
        [len(m._forward_hooks) + len(m._forward_pre_hooks) for m in network.modules()],
        {k: v.clone() for k, v in network.state_dict().items()},
    )


def assert_same_state(network, before):
    after = state(network)
    assert after[:3] == before[:3]
    assert all(torch.equal(after[3][k], before[3][k]) for k in before[3])
    assert all(p.grad is None for p in network.parameters())


@pytest.fixture(scope="module")
def deeplab(request):
    torch.manual_seed(0)  # every stage shows something
    network, _ = build_network(request.param, 4, weights="none")
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.normal_(module.bias, std=0.2)
            nn.init.normal_(module.running_mean, std=0.1)
    return network, FAMILIES[request.param].stages


# --- equality with the peer


def test_equals_grad_cam_on_a_small_network(small, small_stages):
    assert_equals_peer(small, small_stages, *batch(), (1, 2, 3))


def test_own_prediction_takes_the_place_of_labels(small, small_stages):
    images, size = batch()[0], (48, 60)
    with torch.no_grad():  # several classes are predicted
        small.classifier.bias -= logits_of(small.eval()(images)).mean((0, 2, 3))
    found = ours(small, small_stages, images, size, (0, 1, 2, 3))
    with torch.no_grad():
        logits = logits_of(small.eval()(images))
    predicted = F.interpolate(logits, size, mode="bilinear", align_corners=False).argmax(1)
    assert predicted.unique().numel() > 1
    assert torch.equal(found.labels, predicted)
    torch.testing.assert_close(found.logits, logits)
    assert torch.equal(found.maps, ours(small, small_stages, images, predicted, (0, 1, 2, 3)).maps)


def test_equals_grad_cam_with_background_among_the_classes(small, small_stages):
    assert_equals_peer(small, small_stages, *batch(33, 29, seed=1), (0, 1, 2, 3))


@pytest.mark.parametrize(
    "deeplab", ["deeplabv3_mobilenet_v3_large", "deeplabv3_efficientnet_lite0"], indirect=True
)
def test_equals_grad_cam_on_light_networks(deeplab):
    network, stages = deeplab
    images, labels = batch(64, 96)
    # Sums over the 960 channels of an untrained network cancel: in float32 both sides round by up to 1e-4.
    assert_equals_peer(network.double(), stages, images.double(), labels, (1, 2, 3))


@pytest.mark.parametrize("deeplab", ["deeplabv3_resnet50"], indirect=True)
def test_equals_grad_cam_on_resnet50(deeplab):
    network, stages = deeplab
    images, labels = batch(65, 65)
    assert_equals_peer(network, stages, images[1:], labels[1:], (3,))


def test_frozen_parameters_change_nothing(small, small_stages):
    images, labels = batch()
    free = ours(small, small_stages, images, labels, (1, 2, 3))
    frozen = assert_equals_peer(small.requires_grad_(False), small_stages, images, labels, (1, 2, 3))
    assert torch.equal(free.maps, frozen.maps)
    small.classifier.requires_grad_(True)
    assert torch.equal(ours(small, small_stages, images, labels, (1, 2, 3)).maps, free.maps)


def conv_stages(inplace: bool) -> nn.Sequential:
    """Stages 0, 2 and 4 are bare convolutions; an activation that may overwrite them comes right after."""
    torch.manual_seed(11)
    layers = [nn.Conv2d(3, 6, 3, 2, 1), nn.ReLU(inplace), nn.Conv2d(6, 8, 3, 2, 1), nn.ReLU(inplace)]
    return nn.Sequential(
        *layers, nn.Conv2d(8, 8, 1), nn.ReLU(inplace), nn.Conv2d(8, 4, 1), nn.Upsample(scale_factor=4)
    )


class Dict(nn.Module):
    def __init__(self, body):
        super().__init__()
        self.body = body

    def forward(self, x):
        return {"out": self.body(x)}


def test_in_place_relu_after_a_stage_equals_the_network_without():
    names = ["body.0", "body.2", "body.4"]
    images, labels = batch()
    twin, network = Dict(conv_stages(False)), Dict(conv_stages(True))
    assert_equals_peer(twin, names, images, labels, (1, 2, 3))
    with_in_place = ours(network, names, images, labels, (1, 2, 3))
    without = ours(twin, names, images, labels, (1, 2, 3))
    assert torch.equal(with_in_place.maps, without.maps)
    assert all(torch.equal(a, b) for a, b in zip(with_in_place.features, without.features))
    assert min(f.min() for f in with_in_place.features) < 0  # the stage's own output, not the ReLU's
    network.requires_grad_(False)
    assert torch.equal(ours(network, names, images, labels, (1, 2, 3)).maps, without.maps)


def test_bare_logits_of_another_size_than_the_labels_are_enlarged(small, small_stages):
    class Bare(nn.Module):
        def __init__(self):
            super().__init__()
            self.backbone, self.classifier = small.backbone, small.classifier

        def forward(self, x):
            return self.classifier(self.backbone(x))

    images, labels = batch()
    expected = ours(small, small_stages, images, labels, (1, 2, 3)).maps
    found = ours(Bare(), small_stages, images, labels, (1, 2, 3)).maps
    np.testing.assert_allclose(found, expected, rtol=0, atol=TOLERANCE)


# --- what is left behind


@pytest.mark.parametrize("how", [{"size": (32, 40)}, {"scale_factor": 2.0, "align_corners": True}])
@pytest.mark.parametrize("size", [(32, 40), (21, 50)], ids=["labels as large", "labels of another size"])
def test_logits_that_the_network_enlarges_last_have_the_gradients_of_autograd(how, size):
    torch.manual_seed(0)
    body = nn.Sequential(nn.Conv2d(3, 5, 3, 2, 1), nn.ReLU(), nn.Conv2d(5, 4, 3, padding=1))

    class Enlarging(nn.Module):
        def __init__(self):
            super().__init__()
            self.body = body

        def forward(self, x):
            return F.interpolate(self.body(x), mode="bilinear", **how)

    network, found = Enlarging(), []
    images = torch.randn(2, 3, 32, 40)
    labels = torch.randint(0, 4, (2, *size))

    def kept(feature, gradient, size):
        found.append(gradient)
        return grad_cam(feature, gradient, size)

    seg_grad_cam(network, {"first": body[0]}, images, labels, [0, 1, 2, 3], method=kept)
    feature = body[0](images)
    logits = F.interpolate(body[1:](feature), mode="bilinear", **how)
    logits = F.interpolate(logits, size, mode="bilinear")
    for c, gradient in enumerate(found):
        score = (logits[:, c] * (labels == c)).sum()
        (expected,) = torch.autograd.grad(score, feature, retain_graph=True)
        torch.testing.assert_close(gradient, expected)


def test_the_enlarged_logits_themselves_may_be_a_stage():
    logits = nn.Upsample(scale_factor=2, mode="bilinear")
    network = nn.Sequential(nn.Conv2d(3, 4, 3, padding=1), logits)
    images, labels = torch.randn(1, 3, 8, 8), torch.randint(0, 4, (1, 16, 16))
    found = seg_grad_cam(network, {"last": logits}, images, labels, [0, 1, 2, 3])
    own = scale_to_unit(network(images).detach().relu()).gather(1, labels[:, None])
    torch.testing.assert_close(found.maps, own)


def test_network_is_left_as_it_was(small, small_stages):
    small.train()
    small.backbone[1].eval()
    small.backbone[0][0].requires_grad_(False)
    before = state(small)
    found = ours(small, small_stages, *batch(), (1, 2, 3))
    assert_same_state(small, before)
    assert not found.maps.requires_grad
    assert not any(f.requires_grad for f in found.features)
    # Running statistics and dropout of the train mode had no part in it.
    assert torch.equal(found.maps, ours(small.eval(), small_stages, *batch(), (1, 2, 3)).maps)


def test_network_is_left_as_it_was_also_by_an_exception(small, small_stages):
    def fail(module, args):
        raise ArithmeticError("in the forward pass")

    small.train()
    small.backbone[2].eval()
    handle = small.classifier.register_forward_pre_hook(fail)
    before = state(small)
    with pytest.raises(ArithmeticError):
        ours(small, small_stages, *batch(), (1, 2, 3))
    assert_same_state(small, before)
    handle.remove()


def test_inputs_are_left_as_they_were(small, small_stages):
    images, labels = batch()
    images.requires_grad_(True)
    before = images.detach().clone(), labels.clone()
    ours(small, small_stages, images, labels, (1, 2, 3))
    assert torch.equal(images, before[0])
    assert torch.equal(labels, before[1])
    assert images.grad is None


def live_tensors() -> int:
    # By type: isinstance asks lazy objects of other modules for their class.
    return sum(issubclass(type(o), Tensor) for o in gc.get_objects())


def test_graphs_of_100_images_are_gone_while_their_maps_are_kept(small, small_stages):
    class Held:
        def __init__(self, tensor):
            self.tensor = tensor

    holders, results = weakref.WeakSet(), []

    def pack(tensor):
        holders.add(held := Held(tensor))
        return held

    images, labels = batch(16, 16)
    with torch.autograd.graph.saved_tensors_hooks(pack, lambda held: held.tensor):
        for step in range(100):
            results.append(
                ours(small, small_stages, images[step % 2 :][:1], labels[step % 2 :][:1], (1, 2, 3))
            )
            if step == 0:
                gc.collect()
                assert len(holders) == 0
                tensors = live_tensors()
    gc.collect()
    assert len(holders) == 0
    kept = 99 * (4 + len(small_stages))  # maps, empty, labels, logits, features of each further result
    assert live_tensors() <= tensors + kept + 10


# --- what it costs


def test_one_forward_and_as_many_backward_passes_as_the_fullest_image_has_classes(
    small, small_stages, monkeypatch
):
    calls = {"forward": 0, "backward": 0}
    true_grad = torch.autograd.grad

    def counted(*args, **kwargs):
        calls["backward"] += 1
        return true_grad(*args, **kwargs)

    monkeypatch.setattr(torch.autograd, "grad", counted)
    small.register_forward_hook(lambda *_: calls.update(forward=calls["forward"] + 1))
    images, labels = batch()
    ours(small, small_stages, images, labels, (1, 2, 3))  # 1 and 2 in the first image, 3 in the second
    assert calls == {"forward": 1, "backward": 2}
    ours(small, small_stages, images[1:], labels[1:], (1, 2, 3))
    assert calls == {"forward": 2, "backward": 3}
    ours(small, small_stages, images, torch.zeros_like(labels), (1, 2, 3))
    assert calls == {"forward": 3, "backward": 3}


def test_a_caller_who_knows_the_classes_gets_the_same_with_no_value_read_back(
    small, small_stages, monkeypatch
):
    images, labels = batch()
    read = []
    for name in ("item", "tolist", "cpu", "numpy", "__bool__", "__int__"):
        true = getattr(Tensor, name)
        monkeypatch.setattr(Tensor, name, lambda t, *a, f=true, n=name: (read.append(n), f(t, *a))[1])
    expected = ours(small, small_stages, images, labels, (1, 2, 3))
    assert read == ["tolist"]
    read.clear()
    found = seg_grad_cam(small, find_stages(small, small_stages), images, labels, (1, 2, 3), most=2)
    assert read == []
    monkeypatch.undo()
    assert torch.equal(found.maps, expected.maps)
    assert torch.equal(found.empty, expected.empty)


def test_most_classes_counts_those_asked_for_in_the_fullest_label():
    _, labels = batch()  # 0, 1, 2, 255 and 0, 3, 255
    assert most_classes(labels, (1, 2, 3)) == 2
    assert most_classes(labels, (0, 1, 2, 3, 2)) == 3
    assert most_classes(labels[1:], (1, 2)) == 0
    assert most_classes(labels, ()) == 0
    assert most_classes(labels[:0], (1, 2)) == 0
    assert most_classes(torch.where(labels == 255, -1, labels), (0, 3)) == 2
    assert most_classes(labels.to(torch.uint8), (0, 255)) == 2


@pytest.mark.parametrize("most", [3, 99])
def test_too_large_a_number_of_classes_costs_time_only(small, small_stages, most):
    images, labels = batch()
    expected = ours(small, small_stages, images, labels, (1, 2, 3)).maps
    stages = find_stages(small, small_stages)
    assert torch.equal(seg_grad_cam(small, stages, images, labels, (1, 2, 3), most).maps, expected)


@pytest.mark.parametrize("dtype", [torch.uint8, torch.int32])
def test_labels_of_any_integer_type(small, small_stages, dtype):
    images, labels = batch()
    expected = ours(small, small_stages, images, labels, (1, 2, 3)).maps
    assert torch.equal(ours(small, small_stages, images, labels.to(dtype), (3, 2, 1)).maps, expected)


@pytest.mark.parametrize("mode", [torch.no_grad, torch.inference_mode])
def test_works_where_gradients_are_off(small, small_stages, mode):
    images, labels = batch()
    expected = ours(small, small_stages, images, labels, (1, 2, 3)).maps
    with mode():
        found = ours(small, small_stages, images.clone(), labels.clone(), (1, 2, 3))
    assert torch.equal(found.maps, expected)


def test_full_precision_inside_autocast(small, small_stages):
    images, labels = batch()
    expected = ours(small, small_stages, images, labels, (1, 2, 3)).maps
    with torch.autocast("cpu", dtype=torch.bfloat16):
        found = ours(small, small_stages, images, labels, (1, 2, 3))
    assert torch.equal(found.maps, expected)


# --- which pixels


def test_pixels_without_an_asked_class_are_0(small, small_stages):
    images, labels = batch()
    found = ours(small, small_stages, images, labels, (1, 3))
    asked = (labels == 1) | (labels == 3)
    assert (found.maps.movedim(1, 0)[:, ~asked] == 0).all()
    assert found.maps.min() >= 0
    assert found.maps.max() <= 1
    whole = ours(small, small_stages, images, labels, (1, 2, 3)).maps
    np.testing.assert_allclose(found.maps * asked[:, None], whole * asked[:, None], rtol=0, atol=TOLERANCE)


def test_an_image_without_asked_class_is_empty_with_a_map_of_0(small, small_stages):
    images, labels = batch()
    found = ours(small, small_stages, images, labels, (1, 2))
    assert found.empty.tolist() == [False, True]
    assert (found.maps[1] == 0).all()
    np.testing.assert_allclose(
        found.maps[0],
        ours(small, small_stages, images[:1], labels[:1], (1, 2)).maps[0],
        rtol=0,
        atol=TOLERANCE,
    )
    none = ours(small, small_stages, images, torch.full_like(labels, 255), (1, 2))
    assert none.empty.tolist() == [True, True]
    assert (none.maps == 0).all()
    assert [tuple(f.shape) for f in none.features] == [tuple(f.shape) for f in found.features]
    assert ours(small, small_stages, images, labels, ()).empty.all()


def test_a_batch_equals_its_images_one_at_a_time(small, small_stages):
    images, labels = batch()
    together = ours(small, small_stages, images, labels, (1, 2, 3))
    for i in range(2):
        alone = ours(small, small_stages, images[i : i + 1], labels[i : i + 1], (1, 2, 3))
        np.testing.assert_allclose(together.maps[i], alone.maps[0], rtol=0, atol=TOLERANCE)
        for whole, one in zip(together.features, alone.features):
            np.testing.assert_allclose(whole[i], one[0], rtol=0, atol=TOLERANCE)


def test_a_map_with_no_positive_value_is_0(small, small_stages):
    nn.init.constant_(small.classifier.weight, -1.0)  # the last stage is >= 0, so its map is <= 0 everywhere
    found = ours(small, small_stages, *batch(), (1, 2, 3))
    assert torch.isfinite(found.maps).all()
    assert (found.maps[:, -1] == 0).all()


def test_zero_gradients_give_a_map_of_0(small, small_stages):
    nn.init.zeros_(small.classifier.weight)
    assert (ours(small, small_stages, *batch(), (1, 2, 3)).maps == 0).all()


def test_maps_do_not_depend_on_the_scale_of_the_logits(small, small_stages):
    expected = ours(small, small_stages, *batch(), (1, 2, 3)).maps
    with torch.no_grad():
        small.classifier.weight *= 1e-12
    np.testing.assert_allclose(ours(small, small_stages, *batch(), (1, 2, 3)).maps, expected, atol=TOLERANCE)


def test_grad_cam_by_hand():
    feature = torch.tensor([[[[1.0, 2.0]], [[3.0, 0.0]]]])  # (1, 2, 1, 2)
    gradient = torch.tensor([[[[2.0, 4.0]], [[-1.0, 1.0]]]])  # channel weights 3 and 0
    assert torch.equal(grad_cam(feature, gradient, (1, 2)), torch.tensor([[[0.0, 1.0]]]))
    assert torch.equal(scale_to_unit(torch.tensor([[5.0, 5.0]])), torch.zeros(1, 2))
    assert torch.equal(scale_to_unit(torch.tensor([[2.0, 4.0, 3.0]])), torch.tensor([[0.0, 1.0, 0.5]]))


# --- errors


def test_labels_of_minus_1_are_no_class(small, small_stages):
    images, labels = batch()
    labels = labels.clone()
    labels[0] = 1
    labels[0, :8] = -1  # image 0 holds one class, image 1 more, so image 0 sits out a round
    labels[1, :8], labels[1, 8:] = 1, 2
    assert not ours(small, small_stages, images, labels, (1, 2)).maps[0, :, :8].any()


def test_a_stage_that_does_not_run_is_named(small):
    small.unused = nn.Conv2d(1, 1, 1)
    with pytest.raises(RuntimeError, match=r"'unused' did not run"):
        ours(small, ["backbone.0", "unused"], *batch(), (1,))


def test_a_stage_that_does_not_lead_to_the_logits_is_refused(small):
    with pytest.raises(RuntimeError, match=r"aux_classifier does not lead to the logits"):
        ours(small, ["backbone.0", "aux_classifier"], *batch(), (1,))


def test_a_stage_that_runs_twice_is_named():
    class Twice(nn.Module):
        def __init__(self):
            super().__init__()
            self.block, self.head = nn.Conv2d(3, 3, 1), nn.Conv2d(3, 4, 1)

        def forward(self, x):
            return self.head(self.block(self.block(x)))

    with pytest.raises(RuntimeError, match=r"'block' ran twice"):
        ours(Twice(), ["block"], *batch(), (1,))


def test_a_stage_that_puts_out_no_tensor_is_named():
    class Outer(nn.Module):
        def __init__(self):
            super().__init__()
            self.body = Dict(nn.Conv2d(3, 4, 1))

        def forward(self, x):
            return self.body(x)["out"]

    with pytest.raises(TypeError, match=r"'body' puts out a dict"):
        ours(Outer(), ["body"], *batch(), (1,))


@pytest.mark.parametrize("c", [4, -1, 255])
def test_a_class_that_the_network_lacks_is_named(small, small_stages, c):
    with pytest.raises(ValueError, match=rf"class {c} .* 4 classes"):
        ours(small, small_stages, *batch(), (1, c))


def test_a_network_that_returns_no_logits_is_refused(small):
    class Odd(nn.Module):
        def __init__(self):
            super().__init__()
            self.body = nn.Conv2d(3, 4, 1)

        def forward(self, x):
            return [self.body(x)]

    with pytest.raises(TypeError, match="list"):
        ours(Odd(), ["body"], *batch(), (1,))
