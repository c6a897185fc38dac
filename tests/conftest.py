"""One torch thread, so that runs replay bit for bit, and property tests that repeat."""

import logging
import signal
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import settings

from tests.problems import originals

torch.set_num_threads(1)
# a shell that starts the suite in the background has it ignore Ctrl-C, and its children too
signal.signal(signal.SIGINT, signal.default_int_handler)

# `pytest --hypothesis-profile search` looks further, with fresh examples each time
settings.register_profile("suite", deadline=None, derandomize=True, max_examples=50)
settings.register_profile("search", deadline=None, max_examples=2000)
settings.load_profile("suite")


def pytest_configure(config: pytest.Config) -> None:
    # torch warns about itself the first time that a Hessian is taken by forward over reverse
    config.addinivalue_line(
        "filterwarnings", "ignore:.torch.jit.script. is deprecated:DeprecationWarning:torch"
    )


@pytest.fixture(scope="session", autouse=True)
def home(tmp_path_factory) -> Iterator[Path]:
    """The store of everything that is tested: nobody's own runs are touched."""
    with pytest.MonkeyPatch.context() as patch:
        folder = tmp_path_factory.mktemp("home")
        patch.setenv("SAMEDGE_HOME", str(folder))
        yield folder


@pytest.fixture(autouse=True)
def failures() -> Iterator[list[str]]:
    """What has failed on pages that went on without it; a test in which any is left fails."""
    found: list[str] = []
    handler = logging.Handler(logging.ERROR)
    handler.emit = lambda record: found.append(record.getMessage())
    loggers = [logging.getLogger(f"pages.parts.{name}") for name in ("frame.parts", "server")]
    for logger in loggers:
        logger.addHandler(handler)
    yield found
    for logger in loggers:
        logger.removeHandler(handler)
    assert found == []


@pytest.fixture(scope="session")
def paper_files(tmp_path_factory) -> Iterator[Path]:
    """A data folder with small files in the formats of the paper's three data sets."""
    folder = tmp_path_factory.mktemp("data")
    originals.write_mnist(folder, 1000, 50)
    originals.write_cifar(folder, 40)
    originals.write_shakespeare(folder, 50_000)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SAMEDGE_DATA", str(folder))
        originals.accept(patch, folder, "shakespeare")
        yield folder


@pytest.fixture(scope="session")
def own_files(tmp_path_factory) -> Mapping[str, Mapping[str, Any]]:
    """By problem, the option `path` that names a file of one's own."""
    folder = tmp_path_factory.mktemp("own")
    rng = np.random.default_rng(2)
    x, y = rng.integers(0, 256, (520, 9, 8), dtype=np.uint8), np.arange(520) % 3
    np.savez(folder / "own.npz", x=x, y=y, x_test=x[:20], y_test=y[:20])
    (folder / "own.txt").write_text("".join(f"line {i:05d}\n" for i in range(1000)))
    return {
        "own-images": {"path": str(folder / "own.npz")},
        "own-text": {"path": str(folder / "own.txt")},
    }
