"""A rule that is defined here alone, and what everything that knows rules makes of it, as JSON.

For test_one_rule.py, which runs this file in a process of its own. GD with a halved step, whose
edge is 4/eta. A rule of the package has its entry in theory/rules.py, its update in
training/optimizers.py.
"""

import contextlib
import io
import json
import sys
from types import SimpleNamespace
from typing import Any

from samedge_core.theory.rules import RULES, Look, Rule


def define() -> None:
    """Add the entry, before anything else has read the table."""
    RULES["half"] = Rule(
        name="half",
        short="Half",
        title="GD with a halved step",
        about="Goes half as far as GD: w ← w − ηg/2.",
        uses=("eta",),
        gradients=1,
        plain_edge=lambda h, norm: 4 / h.eta,
        threshold=lambda h: 4 / h.eta,
        multiplier=lambda h, a: 1 - h.eta * a / 2,
        also=(),
        formula=r"\frac{4}{<eta>}",
        look=Look("grad", dash="3px,1px"),
    )
    # what has read the table of rules reads it again
    for name in [name for name in sys.modules if name.startswith("samedge_core")]:
        if not name.startswith("samedge_core.theory"):
            del sys.modules[name]


def page(view) -> None:
    """The formula line."""
    from pages.parts.views import formula

    formula.show([view], "half")


def said(*arguments: str) -> str:
    """What a command prints."""
    from samedge_core import cli

    with contextlib.redirect_stdout(io.StringIO()) as out:
        assert cli.main(arguments) == 0
    return out.getvalue()


def main() -> None:
    """Everything, as one JSON object."""
    define()
    from streamlit.testing.v1 import AppTest

    import samedge_core as se
    from pages.parts.components.live import View, encode
    from pages.parts.views import feed
    from samedge_core.analysis import compare
    from samedge_core.experiments.comparisons import COMPARISONS
    from samedge_core.experiments.hints import hints
    from samedge_core.training import figures
    from samedge_core.training.optimizers import Step, update_of

    @update_of("half")
    def _half(w, g, moments, hyper, gradient) -> Step:
        return Step(w - hyper.eta / 2 * g, moments)

    config = se.RunConfig(problem="quadratic", rule="half", eta=0.2, steps=6, dtype="float64")
    history = se.run(config)
    columns = history.columns()
    gd = se.run(config.replace(rule="gd", eta=0.1))
    view: Any = SimpleNamespace(
        id="a",
        config=config,
        hyper=history.hyperparameters,
        start=-1,
        last_step=history.last_step,
        **vars(history.drawn(-1, 100)),
        latest=history.latest(),
        marks=(),
    )
    message = encode([feed.update(view)], View())
    runs = COMPARISONS["eta"].configs(config)
    said("run", *(f"--set={x}" for x in ("problem=quadratic", "rule=half", "eta=0.2", "steps=6")))
    found = {
        "columns": {name: columns[name].tolist() for name in ("half_edge", "edge", "ratio")},
        "evals": columns["evals"].tolist(),
        "sharpness": columns["sharpness"].tolist(),
        "loss": [columns["loss"].tolist(), gd.columns()["loss"].tolist()],
        "multiplier": history.hyperparameters.multiplier(20.0, 1.0),
        "formula": AppTest.from_function(page, args=(view,)).run().latex[0].value,
        "lines": message["edges"],
        "sent": message["runs"][0]["columns"],
        "listed": said("runs"),
        "allowed": se.FIELDS["rule"].allowed(),
        "etas": [run.eta for run in runs],
        "edges": [se.run(run).columns()["edge"][0] for run in runs],
        "names": compare.names(runs),
        "drawn": [trace["name"] for trace in figures.eigenvalue_figure(history).to_dict()["data"]],
        "hints": hints(config.replace(eta=1.0)),
    }
    sys.stdout.write(json.dumps(found))


if __name__ == "__main__":
    main()
