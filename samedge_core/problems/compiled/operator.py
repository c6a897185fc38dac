"""Loss, gradient and Hessian-vector products written out and compiled, without autograd.

torch has a call for each product, sum and mask; on small networks the calls and the bookkeeping of
autograd cost more than the arithmetic, and on large ones each goes once more through memory. Other
networks than a `CompiledNetwork`, and those on a GPU, go through `HessianOperator`, against which
this is tested.

An example is a column: a_l is (width, n). With n rows, a layer of ten outputs takes MKL twice as
long. docs/derivatives.md derives all equations.

Source: Pearlmutter, "Fast exact multiplication by the Hessian", Neural Computation 6, 1994.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from samedge_core.problems.batches import Batch
from samedge_core.problems.compiled import conv, dense
from samedge_core.problems.compiled.network import CompiledNetwork


class CompiledOperator:
    """The Hessian at one w; also its loss and gradient. An operator like `HessianOperator`.

    Attributes:
        value: L(w), a scalar tensor.
        g: grad L(w), shape (P,).
        size, dtype, device: P, and of w.
        products: Hessian-vector products computed so far.
    """

    def __init__(self, network: CompiledNetwork, w: Tensor, batch: Batch) -> None:
        """Inputs (n, in) or (n, channels, rows, columns); targets (n, out), or classes (n,)."""
        self.size, self.dtype, self.device = network.size, w.dtype, w.device
        self.products = 0
        self._w = w.detach().contiguous().numpy()
        g = np.empty_like(self._w)
        _, x, target = network.prepared(batch)
        self._conv, upstream = None, x[:0]
        if len(network.conv):
            features, self._conv = conv.forward(self._w, network.conv, x)
            x = features.reshape(network.dense["inputs"][0], -1)
            upstream = np.empty_like(x)
        value, self._dense = dense.loss_and_gradient(
            self._w, network.dense, network.activation, network.loss, x, target, g, upstream
        )
        if self._conv:
            conv.backward(self._w, self._conv, upstream.ravel(), g)
        self.value, self.g = torch.tensor(value, dtype=w.dtype), torch.from_numpy(g)

    @property
    def outputs(self) -> Tensor:
        """Of the network, (n, out): a view."""
        known = self._dense
        return torch.from_numpy(dense.units(known.acts, known.layers[-1], known.x.shape[1])).T

    @property
    def predictions(self) -> Tensor:
        """The class of largest output for each example, (n,)."""
        return torch.from_numpy(dense.argmax(self.outputs.T.numpy()))

    def matvec(self, v: Tensor) -> Tensor:
        """H v for v of shape (P,)."""
        hv = torch.empty_like(v)
        self.multiply(v.detach().contiguous().numpy(), hv.numpy())
        return hv

    def multiply(self, v: dense.Floats, out: dense.Floats) -> None:
        """H v in `out`, (P,) each and without gaps."""
        self.products += 1
        x = self._dense.x
        if not self._conv:
            dense.hvp(self._w, v, self._dense, x[:0], out, x[:0])
            return
        features, r_patches = conv.jvp(self._w, v, self._conv)
        r_upstream = np.empty_like(x)
        dense.hvp(self._w, v, self._dense, features.reshape(x.shape), out, r_upstream)
        conv.hvp(self._w, v, self._conv, r_patches, r_upstream.ravel(), out)
