"""A network together with what is needed to look into it."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from rws.config import SliceConfig
from rws.core.cam import CamMethod, StageMaps, grad_cam, most_classes, seg_grad_cam
from rws.core.slices import slice_iou
from rws.core.stages import find_stages
from rws.data.classes import ClassSet
from rws.runtime.device import device_of, to_network


@dataclass(frozen=True)
class CamNetwork:
    """A network together with what is needed to look into it."""

    network: nn.Module
    stage_names: tuple[str, ...]
    classes: ClassSet

    @property
    def stages(self) -> dict[str, nn.Module]:
        return find_stages(self.network, self.stage_names)

    @property
    def device(self) -> torch.device:
        return device_of(self.network)

    def maps(
        self,
        images: Tensor,
        labels: Tensor | tuple[int, int],
        *,
        last: bool = False,
        method: CamMethod = grad_cam,
    ) -> StageMaps:
        """`seg_grad_cam` for the foreground classes, on the network's device.

        With `last` for the last stage alone: the backward passes end there. For `labels` that are only a size
        the network's own prediction takes their place.
        """
        stages = {name: self.stages[name] for name in self.stage_names[-1:]} if last else self.stages
        foreground = self.classes.foreground
        most = None
        if isinstance(labels, Tensor):
            # Counted on the host, so that the device need not be asked in the middle of its work.
            most = most_classes(labels, foreground) if labels.device != self.device else None
            labels = labels.to(self.device)
        images = to_network(images, self.network)
        return seg_grad_cam(self.network, stages, images, labels, foreground, most, method)

    def is_foreground(self, labels: Tensor) -> Tensor:
        """Labelled pixels that are not class-background."""
        known = labels != self.classes.ignore_index
        return known if self.classes.background is None else known & (labels != self.classes.background)

    def window_iou(self, A: Tensor, label: Tensor, boxes_yxhw: Tensor, config: SliceConfig) -> Tensor:
        """The IoU by which each window of an image is judged, from the last stage's map; on the host.

        Shape: A (H, W), label (H, W), boxes (K, 4) -> (K,) float64.
        """
        attended = config.attention_min < A
        return slice_iou(attended, self.is_foreground(label), boxes_yxhw).cpu()
