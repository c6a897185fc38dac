"""Loss, gradient and Hessian-vector products written out and compiled, without autograd.

torch has a call for each product, sum and mask; on small networks the calls and the bookkeeping of
autograd cost more than the arithmetic, and on large ones each goes once more through memory. Other
networks than an `ExplicitNetwork`, and those on a GPU, go through `HessianOperator`, against which
this is tested.

An example is a column: a_l is (width, n). With n rows, a layer of ten outputs takes MKL twice as
long. For z_l = W_l P(a_(l-1)) + b_l and a_l = phi(z_l), where P is the identity for a dense layer
and for a convolution the 3x3 neighbourhoods of all pixels, with delta_l = dL/dz_l, and R the
derivative along a direction with weights V_l and biases c_l (Pearlmutter, Neural Computation 6,
1994):

    R z_l     = W_l P(R a_(l-1)) + V_l P(a_(l-1)) + c_l,      R a_l = phi'(z_l) R z_l
    R delta_l = phi'(z_l) P^T(W_(l+1)^T R delta_(l+1) + V_(l+1)^T delta_(l+1))
                + phi''(z_l) R z_l P^T(W_(l+1)^T delta_(l+1))
    (H v)_W_l = R delta_l P(a_(l-1))^T + delta_l P(R a_(l-1))^T,   (H v)_b_l = sum of R delta_l

Pooling is part of phi, which then is no map of each entry: phi' is linear and has an adjoint.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from samedge_core.problems.batches import Batch
from samedge_core.problems.compiled import conv, dense
from samedge_core.problems.compiled.network import ExplicitNetwork


class ExplicitOperator:
    """The Hessian at one w; also its loss and gradient. An operator like `HessianOperator`.

    Attributes:
        value: L(w), a scalar tensor.
        g: grad L(w), shape (P,).
        size, dtype, device: P, and of w.
        products: Hessian-vector products computed so far.
    """

    def __init__(self, network: ExplicitNetwork, w: Tensor, batch: Batch) -> None:
        """Inputs (n, in) or (n, channels, rows, columns); targets (n, out), or classes (n,)."""
        self.size, self.dtype, self.device = network.size, w.dtype, w.device
        self.products = 0
        self._w, self._dense_from = w.detach().contiguous().numpy(), network.dense_from
        below, above = self._parts(self._w)
        g = np.empty_like(self._w)
        g_below, g_above = self._parts(g)
        _, x, target = network.prepared(batch)
        if self._dense_from:
            flat, self._convolved = conv.forward(below, network.images, x)
            x = flat.reshape(network.shapes[0, 1], -1)
        # what the convolutions are sent back; empty without any
        self._sent = np.empty_like(x if self._dense_from else x[:0])
        value, self._dense = dense.at(
            above, network.shapes, network.activation, network.loss, x, target, g_above, self._sent
        )
        if self._dense_from:
            conv.backward(below, self._convolved, self._sent.ravel(), g_below)
        self.value, self.g = torch.tensor(value, dtype=w.dtype), torch.from_numpy(g)

    def _parts(self, vector: dense.Numbers) -> tuple[dense.Numbers, dense.Numbers]:
        """Of w or its like, those of the convolutions and of the dense layers above them."""
        return vector[: self._dense_from], vector[self._dense_from :]

    @property
    def outputs(self) -> Tensor:
        """Of the network, (n, out): a view."""
        shape = self._dense.shapes[-1, 0], self._dense.x.shape[1]
        return torch.from_numpy(self._dense.acts[-shape[0] * shape[1] :].reshape(shape)).T

    @property
    def guesses(self) -> Tensor:
        """The class of largest output for each example, (n,)."""
        return torch.from_numpy(dense.largest(self.outputs.T.numpy()))

    def matvec(self, v: Tensor) -> Tensor:
        """H v for v of shape (P,)."""
        hv = torch.empty_like(v)
        self.multiply(v.detach().contiguous().numpy(), hv.numpy())
        return hv

    def multiply(self, v: dense.Numbers, out: dense.Numbers) -> None:
        """H v in `out`, (P,) each and without gaps."""
        self.products += 1
        sent = np.empty_like(self._sent)
        if not self._dense_from:
            dense.product_along(self._w, v, self._dense, sent, out, sent)
            return
        (below, above), (v_below, v_above) = self._parts(self._w), self._parts(v)
        hv_below, hv_above = self._parts(out)
        flat, moved = conv.forward_along(below, v_below, self._convolved)
        features = flat.reshape(sent.shape)
        dense.product_along(above, v_above, self._dense, features, hv_above, sent)
        conv.product_along(below, v_below, self._convolved, moved, sent.ravel(), hv_below)
