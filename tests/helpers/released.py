"""Window geometry of the released script, for the golden arrays."""

import torch
from torch import Tensor


def released_window_boxes(height: int, width: int) -> Tensor:
    """The 25 half-size windows of the released script, which leave the last tenth of the sides out.

    Shape: (25, 4) int64, rows (y, x, h, w).
    """
    h, w, dy, dx = height // 2, width // 2, height // 10, width // 10
    boxes = [(i * dy, j * dx, h, w) for i in range(5) for j in range(5)]
    return torch.tensor(boxes, dtype=torch.int64)
