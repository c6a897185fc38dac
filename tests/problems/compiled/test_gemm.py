"""Products of matrices in compiled code, against NumPy; and that they are torch's."""

import ctypes
from pathlib import Path

import numpy as np
import pytest
import torch
from numba import TypingError

from samedge_core.problems.compiled import gemm
from samedge_core.problems.compiled.gemm import add_matmul, matmul

SHAPES = [(1, 1, 1), (3, 1, 2), (1, 4, 1), (2, 3, 4), (70, 50, 90)]


def matrix(rows: int, columns: int, dtype: str, *, transposed: bool = False, seed: int = 0):
    """Of a contiguous array, or the transpose of one."""
    noise = np.random.default_rng(seed)
    if transposed:
        return noise.standard_normal((columns, rows)).astype(dtype).T
    return noise.standard_normal((rows, columns)).astype(dtype)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("first", [False, True])
@pytest.mark.parametrize("second", [False, True])
def test_products_are_numpys(dtype, shape, first, second):
    m, k, n = shape
    a, b = matrix(m, k, dtype, transposed=first), matrix(k, n, dtype, transposed=second, seed=1)
    out = matrix(m, n, dtype, seed=2)
    before = out.astype(float)
    exact = a.astype(float) @ b.astype(float)
    # sums of at most 51 terms of order 1
    bound = 60 * np.finfo(dtype).eps
    add_matmul(a, b, out)
    np.testing.assert_allclose(out, before + exact, rtol=bound, atol=bound * k)
    matmul(a, b, out)
    np.testing.assert_allclose(out, exact, rtol=bound, atol=bound * k)


def test_what_was_there_does_not_matter_to_a_product():
    out = np.full((2, 2), np.nan)
    matmul(np.eye(2), np.eye(2), out)
    np.testing.assert_array_equal(out, np.eye(2))


def test_shapes_that_do_not_fit_are_refused():
    # BLAS would write where nothing is
    with pytest.raises(AssertionError):
        matmul(np.eye(2), np.eye(3), np.eye(2))
    with pytest.raises(AssertionError):
        matmul(np.eye(2), np.eye(2), np.eye(3))


def test_other_layouts_and_mixed_precisions_are_refused():
    for a in (np.eye(4)[::2, ::2], np.eye(2, dtype=np.float32)):
        with pytest.raises(TypingError):
            matmul(a, np.eye(2), np.eye(2))


@pytest.mark.parametrize("libraries", [gemm.LIBRARIES, ()], ids=["torch", "SciPy"])
def test_both_libraries_are_called_alike(libraries, monkeypatch):
    monkeypatch.setattr(gemm, "LIBRARIES", libraries)
    subroutine = ctypes.CFUNCTYPE(None, *[ctypes.c_void_p] * 13)(gemm._address("dgemm"))
    a, b, out = np.arange(6.0), np.arange(6.0, 12.0), np.zeros(4)  # one column after the other
    no, sizes, factors = ctypes.c_char(b"N"), np.array([2, 2, 3]), np.array([1.0, 0.0])
    at, factor = sizes.ctypes.data, factors.ctypes.data
    subroutine(
        ctypes.addressof(no),
        ctypes.addressof(no),
        at,
        at + 8,
        at + 16,
        factor,
        a.ctypes.data,
        at,
        b.ctypes.data,
        at + 16,
        factor + 8,
        out.ctypes.data,
        at,
    )
    expected = a.reshape(3, 2).T @ b.reshape(2, 3).T
    np.testing.assert_array_equal(out.reshape(2, 2).T, expected)


def test_where_torch_has_a_blas_it_is_the_one_that_is_called():
    library = Path(torch.__file__).parent / "lib" / "libtorch_cpu.so"
    if not library.exists() or not torch.backends.mkl.is_available():
        pytest.skip("torch has none here")
    own = ctypes.cast(ctypes.CDLL(str(library)).dgemm_, ctypes.c_void_p).value
    assert gemm._address("dgemm") == own
