import pytest
import torch

from samedge_core.experiments.presets import PRESETS
from samedge_core.sweeps import tasks
from samedge_core.sweeps.store import SweepError
from samedge_core.sweeps.sweep import Axis, Sweep
from samedge_core.training.config import RunConfig


def test_however_cells_are_put_into_tasks_their_rows_are_the_same():
    base = PRESETS["sam-chebyshev"].config.replace(steps=200)
    axes = [Axis.parse(base, text) for text in ("eta=0.1:0.6:3:log", "rho=0.01:0.1:2:log")]
    values = [cell.config.to_values() for cell in Sweep(base, axes).cells]
    whole = tasks.compute(values, 10)
    parts = [*tasks.compute(values[:4], 10), *tasks.compute(values[4:], 10)]
    for row, part in zip(whole, parts, strict=True):
        same = {name for name in row if name not in ("cell", "seconds")}
        assert {name: row[name] for name in same} == {name: part[name] for name in same}
        assert row["seconds"] > 0


@pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has the device")
def test_what_a_machine_lacks_is_told_in_a_way_that_travels():
    values = [RunConfig(problem="two-weight", device="cuda").to_values()]
    with pytest.raises(SweepError, match="cuda"):
        tasks.compute(values, 10)
