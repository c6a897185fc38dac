"""The paper's MLP and CNN, with the layers and initial weights of its own code (flax)."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn.functional import layer_norm

TRUNCATED_STD = 0.87962566103423978  # of a standard normal cut off at -2 and 2
FLAX_EPSILON = 1e-6


def truncated_normal_(weight: Tensor, std: float) -> None:
    """Fill with a normal cut off at two standard deviations, whose std before the cut is `std`."""
    nn.init.trunc_normal_(weight, std=std, a=-2 * std, b=2 * std)


def glorot_truncated(module: nn.Module) -> None:
    """Draw flax's `glorot_normal` weights: truncated, with variance 2/(fan-in + fan-out) after the
    cut; biases 0, normalisations the identity. From torch's global generator."""
    for layer in module.modules():
        if isinstance(layer, nn.Linear | nn.Conv2d):
            receptive = layer.weight[0, 0].numel()
            fans = sum(layer.weight.shape[:2]) * receptive
            truncated_normal_(layer.weight, (2 / fans) ** 0.5 / TRUNCATED_STD)
            assert layer.bias is not None
            nn.init.zeros_(layer.bias)
        elif isinstance(layer, ChannelNorm):
            nn.init.ones_(layer.weight)
            nn.init.zeros_(layer.bias)


class ChannelNorm(nn.Module):
    """LayerNorm over the channels of each pixel of (n, channels, rows, columns): what flax's
    LayerNorm does to images, whose channels are the last axis there."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(channels))
        self.bias = nn.Parameter(torch.zeros(channels))

    def forward(self, x: Tensor) -> Tensor:
        last = x.permute(0, 2, 3, 1)
        normed = layer_norm(last, self.weight.shape, self.weight, self.bias, FLAX_EPSILON)
        return normed.permute(0, 3, 1, 2)


class PaperCNN(nn.Module):
    """Blocks of `layers` times [3x3 convolution, ReLU, ChannelNorm] and a 2x2 max-pool, then a
    linear head, on images (n, rows, columns, channels)."""

    def __init__(
        self, shape: Sequence[int], widths: Sequence[int], layers: int, outputs: int
    ) -> None:
        """`shape` is (rows, columns, channels) of an image, `widths` the channels of each block."""
        super().__init__()
        rows, columns, channels = shape
        body: list[nn.Module] = []
        for before, after in pairwise((channels, *widths)):
            for inputs in (before, *[after] * (layers - 1)):
                body += [nn.Conv2d(inputs, after, 3, padding=1), nn.ReLU(), ChannelNorm(after)]
            body.append(nn.MaxPool2d(2))
            rows, columns = rows // 2, columns // 2
        self.body = nn.Sequential(*body)
        self.head = nn.Linear(widths[-1] * rows * columns, outputs)

    def forward(self, x: Tensor) -> Tensor:
        # the data has its channels last in memory already, which is what convolutions like best
        return self.head(self.body(x.permute(0, 3, 1, 2)).flatten(1))
