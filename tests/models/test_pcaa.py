"""The head of PCAA against the released one, its bins on any size, and its losses."""

import numpy as np
import pytest
import torch
from golden import golden
from torch import Tensor

from rws.config import TrainConfig
from rws.models import build_network, pcaa
from rws.training.optimization import loss_of, make_optimizer, segmentation_loss

# Names of the released head's parameters, and ours.
RELEASED = {
    "module_list.0.conv_cam": "attention.class_map",
    "module_list.0.gcn.conv1": "attention.graph.among_bins",
    "module_list.0.gcn.conv2": "attention.graph.among_channels",
    "module_list.0.fuse": "attention.over_bins",
    "module_list.0.proj_query": "attention.query",
    "module_list.0.proj_key": "attention.key",
    "module_list.0.proj_value": "attention.value",
    "module_list.0.conv_out": "attention.restore",
    "conva": "reduce",
    "convb": "refine",
    "conv_seg.3": "classify",
    "conv_seg": "mix",
}


def own_key(released: str) -> str:
    name = next(name for name in RELEASED if released.startswith(name + "."))
    return RELEASED[name] + released[len(name) :]


# In this file the learnt sum over the bins is below 0 everywhere, so its ReLU makes all global centres 0: it
# says nothing about the attention, which the loop below does.
@torch.no_grad()
def test_logits_and_class_scores_are_the_released_heads():
    with np.load(golden("pcaa_head.npz")) as arrays:
        state = {
            own_key(key.removeprefix("param/")): torch.from_numpy(arrays[key])
            for key in arrays.files
            if key.startswith("param/")
        }
        x, logits, scores = (torch.from_numpy(arrays[k]) for k in ("input", "logits", "class_score0"))
    head = pcaa.PCAAHead(x.shape[1], logits.shape[1], tuple(scores.shape[-2:]), channels=32).eval()
    missing, unexpected = head.load_state_dict(state, strict=False)
    assert not unexpected
    assert all(key.endswith("num_batches_tracked") for key in missing), "every parameter is given"
    found, bins = head(x)
    assert (logits.amax() - logits.amin()).item() > 1e-2, "the golden logits are not all alike"
    np.testing.assert_allclose(bins.sigmoid(), scores, rtol=0, atol=1e-5)
    np.testing.assert_allclose(found, logits, rtol=0, atol=1e-5)


@pytest.mark.parametrize(("height", "width"), [(8, 12), (7, 9), (5, 6), (2, 3)])
def test_into_bins_and_out_again_is_the_identity(height, width):
    x = torch.randn(2, 3, height, width)
    assert torch.equal(pcaa.out_of_bins(pcaa.into_bins(x, (4, 4)), (4, 4), (height, width)), x)


def plain_attention(module: pcaa.PartialAttention, x: Tensor) -> tuple[Tensor, Tensor]:
    """One image, pixel by pixel, without any padding."""
    (bh, bw), (height, width) = module.bins, x.shape[-2:]
    rows, cols = -(-height // bh), -(-width // bw)
    maps = module.class_map(x)[0]
    members = [[] for _ in range(bh * bw)]
    for i in range(height):
        for j in range(width):
            members[i // rows * bw + j // cols].append((i, j))
    centres, logits = [], []
    for cells in members:
        if not cells:
            logits.append(maps.new_zeros(len(maps)))
            centres.append(maps.new_zeros(len(maps), x.shape[1]))
            continue
        own = torch.stack([maps[:, i, j] for i, j in cells])  # (P, K)
        pixels = torch.stack([x[0, :, i, j] for i, j in cells])  # (P, C)
        logits.append(own.mean(0))
        centres.append(own.softmax(0).T @ pixels * own.mean(0).sigmoid()[:, None])
    local = module.graph(torch.stack(centres)[None])
    value = module.value(module.over_bins(local).relu())[0, 0]
    attended = x.new_zeros(1, value.shape[1], height, width)
    for b, cells in enumerate(members):
        for i, j in cells:
            share = (module.query(x[0, :, i, j]) @ module.key(local[0, b]).T).softmax(-1)
            attended[0, :, i, j] = share @ value
    return x + module.restore(attended), torch.stack(logits, 1).view(1, -1, bh, bw)


@torch.no_grad()
@pytest.mark.parametrize("size", [(8, 12), (9, 11), (5, 5), (3, 9)])
def test_attention_is_that_of_a_loop_also_where_the_bins_do_not_divide_the_size(size):
    torch.manual_seed(3)
    module = pcaa.PartialAttention(6, 4).eval()
    for parameter in module.parameters():
        torch.nn.init.normal_(parameter, std=0.7)
    torch.nn.init.constant_(module.over_bins.bias, 1.0)  # so that the global centres are not all cut to 0
    x = torch.randn(1, 6, *size)
    assert (module(x)[0] - x).std((2, 3)).amax() > 0.1, "the pixels do not all attend alike"
    for found, expected in zip(module(x), plain_attention(module, x)):
        torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-5)


def test_bin_labels_of_a_hand_made_image():
    labels = torch.zeros(1, 64, 64, dtype=torch.long)  # cells of 8 pixels, bins of 4 x 4 cells
    labels[0, :32, :32] = 1
    labels[0, :3, :3] = 2  # 9 of 1024 pixels: less than 1 %
    labels[0, :32, 32:43] = 2  # 11 of 32 columns
    labels[0, 32:, 32:] = 255
    labels[0, 32:, :32] = 255
    labels[0, 63, 0] = 1  # 1 of 1024 pixels, the only one that is labelled
    wanted = pcaa.bin_labels(labels, 4, (2, 2), 255)
    assert wanted[0].tolist() == [
        [[0, 1], [0, -1]],
        [[1, 0], [-1, -1]],
        [[-1, 1], [0, -1]],
        [[0, 0], [0, -1]],
    ]


def test_class_loss_by_hand():
    logits = torch.tensor([0.3, -1.2, 2.0, 0.7]).view(1, 2, 1, 2)
    wanted = torch.tensor([1.0, 0.0, -1.0, 1.0]).view(1, 2, 1, 2)
    p = logits.sigmoid().flatten().tolist()
    first = -((1 - p[0]) ** 2 * np.log(p[0]) + p[1] ** 2 * np.log(1 - p[1])) / 2
    second = -((1 - p[3]) ** 2) * np.log(p[3])
    assert pcaa.class_loss(logits, wanted).item() == pytest.approx((first + second) / 2, rel=1e-5)
    nothing = pcaa.class_loss(logits, torch.full_like(wanted, -1))
    assert nothing.item() == 0


def test_the_network_adds_its_class_loss_to_the_trainings():
    torch.manual_seed(0)
    network, _ = build_network("pcaa_resnet50", 3, weights="none")
    images, labels = torch.randn(2, 3, 64, 96), torch.randint(0, 3, (2, 64, 96))
    labels[:, :10] = 255
    output = network.train()(images)
    plain = segmentation_loss(output, labels, 255, 0.4)
    wanted = pcaa.bin_labels(labels, 3, (4, 4), 255)
    loss = loss_of(network, output, labels, 255, 0.4)
    torch.testing.assert_close(loss, plain + pcaa.class_loss(output["bins"], wanted))
    assert loss > plain
    optimizer = make_optimizer(network, TrainConfig())
    loss.backward()
    class_map = network.classifier.attention.class_map.weight
    before = class_map.detach().clone()
    optimizer.step()
    assert not torch.equal(class_map, before)


def test_a_file_of_the_backbone_alone_fills_the_backbone(tmp_path):
    network, _ = build_network("pcaa_resnet50", 3, weights="none")
    backbone = {
        k.removeprefix("backbone."): v for k, v in network.state_dict().items() if k.startswith("backbone.")
    }
    torch.save({**backbone, "fc.weight": torch.zeros(1000, 2048)}, tmp_path / "resnet.pth")
    other, report = build_network("pcaa_resnet50", 3, weights=str(tmp_path / "resnet.pth"))
    assert report.loaded == len(backbone)
    assert report.dropped == ("fc.weight",)
    assert torch.equal(other.backbone.layer4[2].conv3.weight, network.backbone.layer4[2].conv3.weight)
