"""The layers of an `ExplicitNetwork`: each z = W P(a) + b with what follows it, and the adjoints.

P is the identity for a dense layer, and for a convolution the 3x3 neighbourhoods of all pixels.
An example is a column, and the pixels of a channel are columns of their own: a is (inputs, n), or
(channels, rows * columns * n) with the examples last.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

__all__ = ["Convolution", "Dense", "Layer"]


class Dense:
    """z = W a + b, then relu, tanh or nothing.

    Attributes:
        shape: of W.
        smooth: whether phi'' is not 0, as for the tanh.
    """

    def __init__(self, inputs: int, outputs: int, activation: str | None) -> None:
        self.shape = (outputs, inputs)
        self.activation = activation
        self.smooth = activation == "tanh"

    def data(self, x: Tensor) -> Tensor:
        """P of the data, (n, inputs)."""
        return x.T

    def patches(self, a: Tensor) -> Tensor:
        """P(a)."""
        # pooled channels are flattened
        return a if a.shape[0] == self.shape[1] else a.reshape(self.shape[1], -1)

    def spread(self, delta: Tensor) -> Tensor:
        """P^T(delta)."""
        return delta

    def activate(self, z: Tensor) -> tuple[Tensor, Tensor | None]:
        """phi(z), in place, and phi'(z), None for 1."""
        if self.activation == "relu":
            a = z.clamp_(min=0)
            return a, a.sign()
        if self.activation == "tanh":
            return _tanh(z)
        return z, None

    def along(self, slope: Tensor | None, z: Tensor) -> Tensor:
        """phi'(z) R z, in place of R z."""
        if slope is not None:
            z *= slope
        return z

    def back(self, slope: Tensor | None, delta: Tensor, *, keep: bool = False) -> Tensor:
        """The adjoint of `along`, in place of delta unless that is to be kept."""
        return delta * slope if keep and slope is not None else self.along(slope, delta)


class Convolution:
    """A 3x3 convolution with padding 1 + b, ReLU and 2x2 max-pool; in torch only.

    The four pixels of a pool are apart: z is (outputs, 2 * 2 * rows/2 * columns/2 * n), in this
    order, so that a pool compares four blocks of memory. Pooling and ReLU are one mask of 0 and 1.
    """

    smooth = False

    def __init__(self, channels: int, outputs: int, rows: int, columns: int) -> None:
        self.shape = (outputs, 9 * channels)
        self._image = (channels, rows, columns)

    def data(self, x: Tensor) -> Tensor:
        """P of the data, (n, channels, rows, columns)."""
        return self.patches(x.permute(1, 2, 3, 0).contiguous())

    def patches(self, a: Tensor) -> Tensor:
        """P(a), (9 * channels, columns of z)."""
        image = a.view(*self._image, -1)
        padded = self._padded(image)
        padded[:, 1:-1, 1:-1] = image
        return self._windows(padded).reshape(self.shape[1], -1)

    def spread(self, delta: Tensor) -> Tensor:
        """P^T(delta), (channels, rows * columns * n)."""
        n = delta.shape[1] // (self._image[1] * self._image[2])
        padded = self._padded(delta.view(*self._image[:1], -1, n))
        windows = self._windows(padded)
        parts = delta.view(windows.shape)
        for sums, terms in zip(windows.unbind(1), parts.unbind(1), strict=True):
            for total, term in zip(sums.unbind(1), terms.unbind(1), strict=True):
                total.add_(term)
        return padded[:, 1:-1, 1:-1].reshape(self._image[0], -1)

    def _padded(self, like: Tensor) -> Tensor:
        channels, rows, columns = self._image
        return like.new_zeros(channels, rows + 2, columns + 2, like.shape[-1])

    def _windows(self, padded: Tensor) -> Tensor:
        """Views (channels, 3, 3, 2, 2, rows/2, columns/2, n), by shift and by place in the pool."""
        channels, rows, columns = self._image
        plane, row, column, one = padded.stride()
        return padded.as_strided(
            (channels, 3, 3, 2, 2, rows // 2, columns // 2, padded.shape[-1]),
            (plane, row, column, row, column, 2 * row, 2 * column, one),
        )

    def activate(self, z: Tensor) -> tuple[Tensor, Tensor]:
        """The largest of each pool, where it is above 0, and the mask (outputs, 4, pools)."""
        z = z.view(z.shape[0], 4, -1)
        a = z.amax(1).clamp_(min=0)
        mask = torch.eq(z, a[:, None], out=torch.empty_like(z))
        left = a.sign()  # pools that have not met their largest yet: of equal ones the first counts
        for chosen in mask.unbind(1):
            chosen.mul_(left)
            left.sub_(chosen)
        return a, mask

    def along(self, slope: Tensor, z: Tensor) -> Tensor:
        """R of `activate`, (outputs, pools)."""
        return z.view(slope.shape).mul_(slope).sum(1)

    def back(self, slope: Tensor, delta: Tensor, *, keep: bool = False) -> Tensor:
        """The adjoint of `along`; delta is kept."""
        outputs = slope.shape[0]
        return (slope * delta.view(outputs, 1, -1)).view(outputs, -1)


Layer = Dense | Convolution


def _tanh(z: Tensor) -> tuple[Tensor, Tensor]:
    if z.is_cpu:
        np.tanh(z.numpy(), out=z.numpy())  # a sixth of the time of torch's, as good to an ulp
    else:
        z.tanh_()
    return z, torch.addcmul(z.new_ones(()), z, z, value=-1)
