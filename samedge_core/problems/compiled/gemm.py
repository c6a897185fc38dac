"""Products of matrices in compiled code, by the BLAS that torch brings along.

What numba makes of `np.dot` calls SciPy's, which takes a fifth longer at a hundred rows, and can't
add to what is there. Where torch shows no BLAS of its own (on a Mac it is the system's), SciPy's
is called here too.
"""

from __future__ import annotations

import ctypes
from pathlib import Path
from typing import Any

import numpy as np
import torch
from llvmlite import binding
from numba import njit, types
from numba.extending import get_cython_function_address, overload

LIBRARIES = ("libtorch_cpu.so", "torch_cpu.dll", "libtorch_cpu.dylib")


def _address(name: str) -> int:
    """Of a subroutine with Fortran's way of calling."""
    folder = Path(torch.__file__).parent / "lib"
    for library in LIBRARIES:
        if (folder / library).exists():
            found = getattr(ctypes.CDLL(str(folder / library)), f"{name}_", None)
            if found is not None:
                return ctypes.cast(found, ctypes.c_void_p).value or 0
    return get_cython_function_address("scipy.linalg.cython_blas", name)


def _subroutine(name: str) -> Any:
    """By a name of our own, by which numba's stored code finds it in the next process, too."""
    binding.add_symbol(f"samedge_{name}", _address(name))
    return types.ExternalFunction(f"samedge_{name}", types.void(*[types.voidptr] * 13))


SUBROUTINES = {types.float32: _subroutine("sgemm"), types.float64: _subroutine("dgemm")}


def _gemm(a: Any, b: Any, out: Any, beta: Any) -> None:
    """out = a b + beta out, for a (m, k), b (k, n) and out (m, n) of one precision; each of a and b
    is contiguous, or the transpose of what is."""
    raise NotImplementedError("compiled only")


@overload(_gemm)
def _compiled_gemm(a, b, out, beta):
    if {a.layout, b.layout} - {"C", "F"} or out.layout != "C":
        return None
    if not a.dtype == b.dtype == out.dtype:
        return None
    gemm, kind = SUBROUTINES[out.dtype], np.dtype(str(out.dtype))
    plain_a, plain_b = a.layout == "C", b.layout == "C"
    letter_a, letter_b = (ord("N" if plain else "T") for plain in (plain_a, plain_b))

    def call(a, b, out, beta):
        (m, k), n = a.shape, b.shape[1]
        assert b.shape[0] == k
        assert out.shape == (m, n)
        # columns follow each other there, so that it sees the transposes: out^T = b^T a^T. Of a
        # number or a letter it takes the address, and the first four bytes of eight, or all
        given = np.array(
            [letter_b, letter_a, n, m, k, b.shape[1] if plain_b else k, k if plain_a else m],
            np.int64,
        )
        factors = np.array([1, beta], kind)
        at, factor = given.ctypes.data, factors.ctypes.data
        gemm(
            at,
            at + 8,
            at + 16,
            at + 24,
            at + 32,
            factor,
            b.ctypes.data,
            at + 40,
            a.ctypes.data,
            at + 48,
            factor + out.itemsize,
            out.ctypes.data,
            at + 16,
        )
        # their addresses are no use of them to numba, which would free them before the call
        given[0] = factors[0] = 0

    return call


@njit(cache=True)
def matmul(a, b, out):
    """out = a b."""
    _gemm(a, b, out, 0)


@njit(cache=True)
def add_matmul(a, b, out):
    """out += a b."""
    _gemm(a, b, out, 1)
