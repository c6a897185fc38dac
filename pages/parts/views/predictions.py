"""From the registry to the charts: what is predicted of a run, as rows the browser may lack."""

from pages.parts.components.live import RunUpdate
from pages.parts.server import registry
from samedge_core.prediction.prediction import Prediction
from samedge_core.prediction.recorded import PREDICTED, as_history, in_force
from samedge_core.theory.rules import RULES
from samedge_core.worker.view import RunView

ROWS_AT_FIRST = 1200  # a reloaded page gets the whole of it at once
MOST_DOUBTS = 50  # spans of a prediction that are drawn faint, the first ones


def predictions(view: RunView, sent: dict[str, tuple[int, int]], most: int) -> list[RunUpdate]:
    """What is predicted of a run, from its start and from each change on; at first whole, then in
    `most` new rows. `sent` has, for each, the newest step at the poll before the last one, and at
    the last one."""
    found, changes = [], registry().history(view.id).interventions
    for made, end in in_force(view.prediction.stretches, changes):
        hyper, rule = made.hyper, RULES[made.hyper.rule]
        what = made.begin, made.flow, made.config.steps, rule.name, hyper.eta, hyper.rho, hyper.beta
        key = "~".join([view.id, *map(str, what)])
        start, newest = sent.get(key, (made.begin - 1, made.begin - 1))
        stop = made.last_step
        full = key not in sent
        sent[key] = newest, stop
        rows = as_history(made, changes, after=start).drawn(
            start, ROWS_AT_FIRST if full else most, stop=stop, ends=[newest]
        )
        names = {"step", "time", "evals", *PREDICTED} - {"edge"}
        names |= {rule.column} if rule.follows_norm else set()  # else it is 2/eta, which is drawn
        drawn = [
            {n: column for n, column in of.items() if n in names}
            for of in (rows.columns, rows.low, rows.high)
        ]
        found.append(
            RunUpdate(
                id=key,
                label="",
                rule=rule.name,
                start=start,
                stop=stop,
                full=full,
                columns=drawn[0],
                low=drawn[1],
                high=drawn[2],
                predicts=view.id,
                doubtful=doubtful(made, end),
            )
        )
    return found


def doubtful(made: Prediction, end: int | None) -> list[tuple[int, int]]:
    """The steps, from and to, between which a prediction does not hold: an assumption is broken
    there, as that on whole batches is all along; or other settings are in force from `end` on."""
    if made.config.has_batches:
        return [(made.begin, made.config.steps)]
    spans = [span for assumption in made.assumptions for span in assumption.broken]
    return sorted(spans)[:MOST_DOUBTS] + ([(end, made.config.steps)] if end is not None else [])
