"""One torch thread, so that runs replay bit for bit, and property tests that repeat."""

import pytest
import torch
from hypothesis import settings

torch.set_num_threads(1)

# `pytest --hypothesis-profile search` looks further, with fresh examples each time
settings.register_profile("suite", deadline=None, derandomize=True, max_examples=50)
settings.register_profile("search", deadline=None, max_examples=2000)
settings.load_profile("suite")


def pytest_configure(config: pytest.Config) -> None:
    # torch warns about itself the first time that a Hessian is taken by forward over reverse
    config.addinivalue_line(
        "filterwarnings", "ignore:.torch.jit.script. is deprecated:DeprecationWarning:torch"
    )
