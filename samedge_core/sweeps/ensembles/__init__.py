"""Ensembles: many cells of one small problem advance together in one process.

`grouping` says which; it loads no torch, and so neither does this package by itself.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
