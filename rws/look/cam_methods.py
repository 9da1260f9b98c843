"""Other heat maps to look at, by pytorch-grad-cam; the method itself always uses Grad-CAM.

The package's classes give each method's formula. Features and gradients come from our own pass
(`rws.core.cam.seg_grad_cam`), so that one serves all stages, in the stages' order, with frozen parameters,
in-place activations and networks that return a dict, none of which the package's own hooks manage.
"""

import math
from collections.abc import Callable
from functools import partial

import numpy as np
import torch
from scipy.sparse.linalg import svds
from torch import Tensor, nn

from rws.core.cam import CamMethod, finished, grad_cam

TITLES = {
    "gradcam": "Grad-CAM",
    "gradcam++": "Grad-CAM++",
    "layercam": "LayerCAM",
    "xgradcam": "XGradCAM",
    "hirescam": "HiResCAM",
    "eigencam": "EigenCAM",
}
_CLASSES = {
    "gradcam++": "GradCAMPlusPlus",
    "layercam": "LayerCAM",
    "xgradcam": "XGradCAM",
    "hirescam": "HiResCAM",
}


def cam_method(name: str) -> CamMethod:
    """The method of one of TITLES' names; "gradcam" is our own.

    Source: Grad-CAM++ Chattopadhay et al., WACV 2018; XGrad-CAM Fu et al., BMVC 2020; HiResCAM Draelos and
        Carin, 2020; LayerCAM Jiang et al., TIP 2021; Eigen-CAM Muhammad and Yeasin, IJCNN 2020.
    """
    if name == "gradcam":
        return grad_cam
    return partial(_by_arrays, eigen_cam if name == "eigencam" else formula(_CLASSES[name]))


def formula(class_name: str) -> Callable[[np.ndarray, np.ndarray], np.ndarray]:
    """What a class of the package makes of features and gradients.

    Shape: two (N, C, h, w) -> (N, h, w), not yet scaled.
    """
    import pytorch_grad_cam  # takes seconds, and only those who ask for it wait

    # Without target layers the package sets no hook; it only asks the network for its device.
    method = getattr(pytorch_grad_cam, class_name)(nn.Linear(1, 1), [])

    def maps(features: np.ndarray, gradients: np.ndarray) -> np.ndarray:
        return method.get_cam_image(None, None, None, features, gradients, False)

    return maps


def _by_arrays(
    maps: Callable[[np.ndarray, np.ndarray], np.ndarray],
    feature: Tensor,
    gradient: Tensor,
    size: tuple[int, int],
) -> Tensor:
    """A CamMethod; shape: feature and gradient (N, C, h, w) -> (N, H, W) for `size` = (H, W)."""
    # In double precision: gradients of a well-trained network are tiny, and taken to their third power.
    with np.errstate(all="ignore"):
        cam = maps(feature.double().cpu().numpy(), gradient.double().cpu().numpy())
    # Denominators may be 0: they are sums of features, in some stages of both signs.
    cam = torch.from_numpy(np.nan_to_num(cam, nan=0.0, posinf=0.0, neginf=0.0))
    return finished(cam.double(), size).to(feature)


def eigen_cam(features: np.ndarray, gradients: np.ndarray) -> np.ndarray:
    """The first principal component of the features, which knows nothing of the class.

    The package's own takes memory by the square of the pixels, 2 GB for a stage of 130 x 174, and leaves the
    sign to chance; here the side of the larger values is positive.

    Shape: (N, C, h, w) -> (N, h, w).
    Source: Muhammad and Yeasin; the sign, Chung and Ying, Appl. Sci. 15(13), 2025, eq. 13.
    """
    return np.stack([_first_component(f.reshape(len(f), -1).T).reshape(f.shape[1:]) for f in features])


def _first_component(rows: np.ndarray) -> np.ndarray:
    """Shape: (P, C) -> (P,)."""
    rows = rows - rows.mean(0)
    if not rows.any():
        return np.zeros(len(rows))
    smaller = min(rows.shape)
    if smaller <= 2:  # too few for the iteration
        direction = np.linalg.svd(rows, full_matrices=False)[2][0]
    else:
        # A fixed start: the component must not change from call to call.
        start = np.random.default_rng(0).standard_normal(smaller)
        direction = svds(rows / math.sqrt(np.square(rows).mean()), k=1, v0=start)[2][0]
    component = rows @ direction
    return component if component.max() >= -component.min() else -component
