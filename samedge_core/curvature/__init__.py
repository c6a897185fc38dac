"""Curvature: Hessian-vector products, sharpness, spectrum, and a dense oracle.

Each name of `__init__.pyi` is imported on first use: messages that name a `Spectrum` must not load
torch.
"""

import lazy_loader

from samedge_core.curvature import kernels as kernels  # before numba, whose folder it sets

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
