"""The runs that this browser session shows, and what its buttons do with them; draws nothing."""

from collections.abc import Mapping, Sequence
from typing import Any, Literal

import streamlit as st

from pages.parts import server
from pages.parts.frame import navigation
from pages.parts.markdown import plain
from pages.parts.server import begin, known, registry, seen, steers
from samedge_core.experiments.comparisons import COMPARISONS, Comparison, comparison_of
from samedge_core.fields import ConfigError
from samedge_core.problems.data import DataError
from samedge_core.sharing.replay_file import PATH, lacks_file
from samedge_core.training.config import FIELDS, LIVE_FIELDS, Changes, RunConfig
from samedge_core.training.plan import Replay
from samedge_core.worker.view import RunView

Primary = Literal["Start", "Pause", "Resume"]
MOST = 6  # more runs in one chart can't be told apart
COMPARISON = "comparison"  # in the session: name of what runs side by side, or None
PLANNED = "planned"  # in the session: the Replay that new runs repeat
KEPT = ("preset", "embed", "predict")  # parameters of the page's link that outlive a change of runs


def listed() -> list[str]:
    """Ids of the runs on the charts, those included that have been deleted meanwhile."""
    return st.session_state.get("runs", [])


def shown() -> list[str]:
    """Ids of the runs on the charts that the server still knows."""
    return [run_id for run_id in listed() if known(run_id)]


def glances() -> list[RunView]:
    """The shown runs without any rows."""
    return [view for run_id in listed() if (view := seen(run_id))]


def show(run_ids: Sequence[str]) -> None:
    """Put these runs on the charts and into the link."""
    _put(run_ids)
    # a link's setting has done its part
    kept = {name: st.query_params[name] for name in KEPT if name in st.query_params}
    navigation.put_address(kept | ({"run": ",".join(run_ids)} if run_ids else {}))


def _put(run_ids: Sequence[str]) -> None:
    st.session_state["runs"] = list(run_ids)
    st.session_state["sent:live"] = {}


def attach() -> list[str]:
    """On a first visit, and after the browser's Back or Forward, take up the runs that the link
    names; else have the link name the runs that there still are. Returns the ids that are gone."""
    if navigation.by_history():
        begin_anew()
    linked = linked_runs()
    first = "runs" not in st.session_state
    wanted = linked[:MOST] if first else st.session_state["runs"]
    found = [run_id for run_id in wanted if known(run_id)]
    if first:
        _put(found)
    elif found != wanted or found != linked:
        show(found)
    if first or found != wanted:
        begun_as = _comparison_of(glances())
        st.session_state[COMPARISON] = begun_as and begun_as.name
    return [run_id for run_id in wanted if run_id not in found]


def linked_runs() -> list[str]:
    """The ids in the link, each once, and one more than are shown at most."""
    named = filter(None, st.query_params.get("run", "").split(","))
    return list(dict.fromkeys(named))[: MOST + 1]


def lost() -> bool:
    """Whether a shown run has been deleted; `attach` says so in the next run of the page."""
    return len(shown()) < len(listed())


def begin_anew() -> None:
    """The next visit to the live lab does what its link says, as a first one."""
    for name in ("runs", "preset", PLANNED):
        st.session_state.pop(name, None)


def go(run_ids: Sequence[str]) -> None:
    """Leave for the live lab, as for a first visit with these runs in its link."""
    begin_anew()
    st.switch_page("app.py", query_params={"run": ",".join(run_ids)})


def comparison() -> Comparison | None:
    """What runs side by side from the same weights, if anything does."""
    return COMPARISONS.get(st.session_state.get(COMPARISON) or "")


def _comparison_of(views: Sequence[RunView]) -> Comparison | None:
    """The comparison that these runs were started as."""
    return None if forked(views) else comparison_of([view.config for view in views])


def forked(views: Sequence[RunView]) -> bool:
    """Whether one of them was forked off another."""
    ids = [view.id for view in views]
    return any(view.origin and view.origin.parent in ids for view in views)


def steered(views: Sequence[RunView]) -> Sequence[RunView]:
    """The runs that the controls act on: all of a comparison, else the newest."""
    return views if comparison() else views[-1:]


def lead(views: Sequence[RunView]) -> RunView:
    """The run whose settings the controls show."""
    chosen = comparison()
    return views[chosen.lead if chosen and len(views) == len(chosen.values) else -1]


def restart_needed(config: RunConfig, view: RunView) -> list[str]:
    """Labels of the settings that differ from the run's and can't change mid-run."""
    fixed = [f for f in FIELDS.values() if f.name not in (*LIVE_FIELDS, "problem", "steps")]
    if config.problem != view.config.problem:
        return [FIELDS["problem"].label]
    same = config.capped(view.config.steps)  # a resumed run keeps the cosine of its first cap
    different = [f.label for f in fixed if getattr(same, f.name) != getattr(view.config, f.name)]
    if config.steps != view.stretch:
        different.append(FIELDS["steps"].label)
    options = config.spec.options
    return different + [
        f.label
        for f in options
        if config.options[f.name] != view.config.options[f.name]
        and not (f.name == PATH and lacks_file(view.config))
    ]


def primary(config: RunConfig | None, views: Sequence[RunView]) -> Primary:
    """What the first button does now."""
    views = [view for view in views if steers(view.id)]
    if any(view.phase.active for view in views):
        return "Pause"
    if not views or (config and restart_needed(config, views[-1])) or _mode_changed(views):
        return "Start"
    stops = [view.stop for view in views if view.stop]
    return "Resume" if all(stop.reason.resumable for stop in stops) else "Start"


def press_primary(config: RunConfig | None) -> None:
    """Start, pause or resume every shown run; none of them if one has been deleted meanwhile, for
    then the button said something else."""
    views = glances()
    if len(views) < len(listed()):
        return
    action = primary(config, views)
    if action == "Start" and config:
        start(config)
    for view in filter(_mine, views):
        if action == "Pause" and view.phase.active:
            registry().pause(view.id)
        elif action == "Resume":
            if config and lacks_file(view.config):  # it was recorded elsewhere
                registry().choose_file(view.id, config.options[PATH])
            resume(view.id)


def resume(run_id: str) -> None:
    """Let a run go on, or say why it can't."""
    try:
        registry().resume(run_id)
    except ValueError as error:
        st.session_state["notice"] = f"The run {run_id} stays as it is: {plain(str(error))}"


def start(config: RunConfig, *, paused: bool = False) -> None:
    """Replace the shown runs by new ones from `config`, or, where a replay is planned, from its
    eta, rho, beta and rule, with its interventions; the old ones end, their records stay."""
    _stop_shown()
    chosen, pace = comparison(), st.session_state.get("pace")
    configs, interventions = chosen.configs(config) if chosen else [config], ()
    arithmetic = None
    if not chosen and (replay := planned()):
        configs = [config.replace(**{n: getattr(replay.config, n) for n in LIVE_FIELDS})]
        interventions, arithmetic = replay.interventions, replay.arithmetic
    given = {"paused": paused, "pace": pace, "planned": interventions, "arithmetic": arithmetic}
    show([begin(c, **given) for c in configs])
    if not paused:
        # a warm worker has its first rows within moments: the first picture then shows them
        registry().wait_for_rows(shown()[0], timeout=0.3)


def planned() -> Replay | None:
    """What a new run repeats: where it starts, and the interventions on its way."""
    return st.session_state.get(PLANNED)


def step(config: RunConfig) -> None:
    """One step of every shown run, then pause."""
    views = glances()
    if primary(config, views) == "Start":
        start(config, paused=True)
    before = {view.id: view.last_step for view in views}
    stepped = list(filter(steers, shown()))
    for run_id in stepped:
        registry().advance(run_id)
    for run_id in stepped[:1]:  # its row then comes with the answer to the click
        registry().wait_for_rows(run_id, timeout=0.3, after=before.get(run_id, -1))


def reset(config: RunConfig) -> None:
    """Back to step 0 with the settings as entered; paused."""
    start(config, paused=True)


def compare(name: str | None, config: RunConfig | None) -> None:
    """Start this comparison; None: new runs are no longer compared."""
    st.session_state[COMPARISON] = name
    if config and name:
        start(config)


def keep(run_id: str) -> None:
    """Show this run alone, as far as it has come; the others end, their records stay."""
    for other in filter(steers, shown()):
        if other != run_id:
            registry().stop(other)
    st.session_state[COMPARISON] = None
    st.session_state["adopt"] = True  # the controls say what is in force in it
    show([run_id])


def leave() -> None:
    """End the shown runs and clear the charts; the last one stays as a faint line."""
    _stop_shown()
    show([])


def _stop_shown() -> None:
    for run_id in filter(steers, shown()):
        registry().stop(run_id)


def _mine(view: RunView) -> bool:
    return steers(view.id)


def apply_live(values: Mapping[str, Any]) -> None:
    """Pass eta, rho, beta and rule on to the steered runs, from their next step on."""
    views = steered(glances())
    for view, changes in zip(views, _shared(values, views), strict=False):
        if steers(view.id):
            registry().change(view.id, changes)


def _shared(entered: Mapping[str, Any], views: Sequence[RunView]) -> list[Changes]:
    """What the entered settings are for each of these runs; none, and a notice, where a multiple
    can't be used."""
    chosen = comparison()
    each = [chosen.settings(entered, i) if chosen else dict(entered) for i in range(len(views))]
    try:
        return [Changes.of(changes) for changes in each]
    except ConfigError as error:
        st.session_state["notice"] = f"{plain(str(error))}: the runs go on unchanged."
        return []


def rewind(step: int, **changes: Any) -> None:
    """Continue every shown run from `step` with `changes` as entered; what came after it stays, as
    an abandoned branch."""
    pace, new = st.session_state.get("pace"), []
    views = glances()
    for view, own in zip(views, _shared(changes, views), strict=False):
        # a run that was not yet as far goes on from where it was
        at = min(step, view.last_step + 1)
        try:
            made = server.fork(view.id, at, own, branch="rewind", pace=pace)
        except DataError as error:
            st.session_state["notice"] = f"The run {view.id} stays as it is: {plain(str(error))}"
            continue
        if steers(view.id):
            registry().stop(view.id)
        new.append(made)
    if new:
        show(new)


def fork(run_id: str, step: int, changes: Changes) -> None:
    """A second run beside this one, which shares its past up to `step`."""
    pace = st.session_state.get("pace")
    try:
        made = server.fork(run_id, step, changes, pace=pace)
    except DataError as error:
        st.session_state["notice"] = f"The run {run_id} can't be forked: {plain(str(error))}"
        return
    st.session_state[COMPARISON] = None
    show([*shown(), made])


def _mode_changed(views: Sequence[RunView]) -> bool:
    return comparison() is not None and comparison() != _comparison_of(views)
