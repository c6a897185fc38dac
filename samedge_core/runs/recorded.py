"""Runs: the recorded runs of this machine, for scripts, notebooks and the command line.

    with se.open_runs() as runs:
        run = runs.run(se.RunConfig(problem="digits-mlp", rule="gd", eta=0.5, steps=300))
        run.history.to_frame()
        other = run.fork(150, eta=0.1)
        run.snapshot(150).w, other.history.interventions

Everything is recorded where the pages record it, so that each lists what the other has made.
Importing this loads no torch; `Runs.run` and a StoredRun's `snapshot`, `fork` and `resume` do.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from samedge_core.prediction.prediction import Prediction
from samedge_core.sharing import export, files, several
from samedge_core.sharing.files import SavedError
from samedge_core.store import Entry, Origin, Query, RunRecord, Store, open_store, selected
from samedge_core.store.archive import ArchiveError, bring_in, take_out
from samedge_core.theory.rules import RULES
from samedge_core.training.config import Changes, RunConfig
from samedge_core.training.history import SYMBOLS, History, Intervention
from samedge_core.training.progress import OnRow

if TYPE_CHECKING:
    from samedge_core.runs.local import LocalRun
    from samedge_core.training.edge_test import EdgeTest, ForkChange
    from samedge_core.training.portrait import Portrait
    from samedge_core.training.state import TrainState


ARCHIVE = ".zip"
FORMATS = (*export.EXPORTS, ARCHIVE)
SHORT = 8  # characters of an id, as long as they tell one run from another
NAMED = 5  # ids that a message lists


class RunKeyError(KeyError):
    """No run, or several, of that id; the message says which there are."""

    def __str__(self) -> str:
        return str(self.args[0])  # KeyError's own would put it in quotes


class DeleteError(ValueError):
    """A run that can't be deleted; the message says why."""


def open_runs(home: Path | str | None = None) -> Runs:
    """The runs recorded in the folder `home`; by default in the one that SAMEDGE_HOME names, or in
    ~/.samedge.

    Raises:
        OSError: the folder can't be made.
        CatalogueError: its catalogue can't be used.
        ValueError: a setting in the environment can't be used; shown with its value.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as home, open_runs(home) as runs:
    ...     len(runs), list(runs)
    (0, [])
    """
    return Runs(open_store(home))


class Runs:
    """All recorded runs, newest first. Close it, or use it in a `with` block.

    Attributes:
        store: where they are.

    >>> import tempfile
    >>> from samedge_core.training.history import Intervention
    >>> home = tempfile.TemporaryDirectory()
    >>> runs = open_runs(home.name)
    >>> config = RunConfig(problem="two-weight", rule="gd", eta=0.1, steps=6)
    >>> run = runs.run(config, [Intervention(3, {"eta": 0.2})])
    >>> run.history.columns()["eta"].tolist()
    [0.1, 0.1, 0.1, 0.2, 0.2, 0.2]
    >>> runs[run.id[:6]].id == run.id
    True
    >>> fork = run.fork(3, eta=0.3)
    >>> fork.origin == Origin(run.id, 3), fork.history.columns()["eta"].tolist()
    (True, [0.1, 0.1, 0.1, 0.3, 0.3, 0.3])
    >>> run.snapshot(4).step
    4
    >>> len(runs), [found.id == fork.id for found in runs.find(rule="gd")]
    (2, [True, False])
    >>> runs.close()
    >>> home.cleanup()
    """

    def __init__(self, store: Store) -> None:
        self.store = store
        self._closed = False

    def __enter__(self) -> Runs:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the catalogue; a second call does nothing."""
        if not self._closed:
            self._closed = True
            self.store.close()

    def __repr__(self) -> str:
        return f"<Runs: {len(self):,} in {self.store.settings.home}>"

    def __len__(self) -> int:
        return self.store.find(Query(limit=0)).total

    def __iter__(self) -> Iterator[StoredRun]:
        return iter(self.find())

    def __contains__(self, run: object) -> bool:
        return isinstance(run, str) and self.store.catalogue.entry(run) is not None

    def __getitem__(self, run: str) -> StoredRun:
        """The run whose id is, or begins with, `run`.

        Raises:
            RunKeyError (a KeyError): there is none, or more than one.
        """
        if not isinstance(run, str):
            raise TypeError(f"a run's id is a text, got {run!r:.80}")
        known = self.ids()
        found = [run] if run in known else sorted(id for id in known if run and id.startswith(run))
        if len(found) != 1:
            raise RunKeyError(self._which(run, found))
        entry = self.store.catalogue.entry(found[0])
        if entry is None:  # deleted meanwhile
            raise RunKeyError(self._which(run, []))
        return StoredRun(self.store, entry)

    def ids(self) -> set[str]:
        """Of all runs, those included whose rows the quota has taken."""
        return self.store.catalogue.ids()

    def _which(self, run: str, found: list[str]) -> str:
        if found:
            listed = ", ".join(found[:NAMED]) + (", ..." if len(found) > NAMED else "")
            return f"the ids of {len(found)} runs begin with {run!r:.80}: {listed}"
        newest = self.store.find(Query(limit=NAMED))
        if not newest.total:
            return f"no run has the id {run!r:.80}: there are none in {self.store.settings.home}"
        listed = ", ".join(entry.id for entry in newest.entries)
        what = f"no run has an id that begins with {run!r:.80}"
        return f"{what}; the newest of {newest.total:,}: {listed}"

    def find(self, text: str = "", **conditions: Any) -> list[StoredRun]:
        """The runs for which all that is given holds, newest first.

        Args:
            text: each of its words must occur in the title, note, problem, rule or a tag, or begin
                the id.
            conditions: of `Query`: problem, rule, status, tags, starred, pinned, root, ids,
                removed; and sort, descending, offset, limit.

        Raises:
            TypeError: there is no such condition.
            ValueError: runs can't be sorted by that.
        """
        tags = conditions.get("tags", ())
        if isinstance(tags, str):
            conditions["tags"] = (tags,)
        query = Query(text=text, **{"limit": None, **conditions})
        return [StoredRun(self.store, entry) for entry in self.store.find(query).entries]

    def run(
        self,
        config: RunConfig,
        interventions: Iterable[Intervention] = (),
        on_row: OnRow | None = None,
    ) -> StoredRun:
        """Train in this process, recorded every second, to the end or to the first Ctrl-C.

        A failure on the way is the run's stop, like any other end (`history.stop`).

        Args:
            interventions: changes to make on the way.
            on_row: called with each new measurement.

        Raises:
            ConfigError: this machine lacks the device.
            DataError: the data can't be had or can't be used.
            OSError: the run can't be recorded.
            RuntimeError: it failed at its first step.
        """
        from samedge_core.runs.local import LocalRun

        return _trained(self.store, LocalRun.new(config, interventions), on_row)

    def export(self, runs: Iterable[StoredRun], file: Path | str) -> None:
        """Write several runs to a file, over what is there: .csv or .parquet (every row, with the
        run's id, name and seed), .means.csv (mean and sample deviation at each step over runs that
        differ in the seed alone) or .ipynb (a notebook that draws the runs and repeats them).

        Raises:
            ValueError: another suffix.
            ExchangeError: no runs, or more rows than such a file may have; for .ipynb, a run of a
                problem of one's own.
            SavedError: a file of a run is missing or damaged, or the quota has taken its rows.
            OSError: the file can't be written.
        """
        file, entries = Path(file), [run.there().entry for run in runs]
        suffix = several.suffix_of(file.name)
        content = several.export(selected.chosen(self.store, entries), suffix)
        file.parent.mkdir(parents=True, exist_ok=True)
        files.replace(file, content)

    def restore(self, run: str) -> StoredRun:
        """Bring back a run that was deleted within a day, by its id or the beginning of it.

        Raises:
            RunKeyError: no such run was deleted within a day, or several begin like this.
        """
        ids = [one for one in self.store.deleted.ids() if run and one.startswith(run)]
        if len(ids) != 1:
            lacking = f"no run {run!r:.80} was deleted within a day"
            raise RunKeyError(self._which(run, ids) if ids else lacking)
        if not self.store.restore(ids):
            raise RunKeyError(f"the run {run} can't be brought back: one of this id is there")
        return self[ids[0]]

    def bring_in(self, file: Path | str) -> StoredRun:
        """Take in the .zip of another store, under a new id where its own is taken here.

        Raises:
            ArchiveError: the file is none, or too large; nothing has changed then.
            OSError: it can't be read, or the store not written to.
        """
        if (file := Path(file)).exists() and not file.is_file():
            raise ArchiveError(f"{file} is no zip file of a run")  # a device may have no end
        with file.open("rb") as source:
            return self[bring_in(self.store, source)]


class StoredRun:
    """One recorded run, its rows read on first use.

    Attributes:
        entry: the run's entry in the catalogue when this was made; `runs[id]` reads it again.
    """

    def __init__(self, store: Store, entry: Entry) -> None:
        self._store = store
        self.entry = entry
        self._loaded: tuple[RunRecord, History] | None = None

    def __repr__(self) -> str:
        entry = self.entry
        uses = (f"{SYMBOLS[name]} {getattr(entry, name):g}" for name in RULES[entry.rule].uses)
        parts = [
            f"{RULES[entry.rule].short} on {entry.problem}",
            *uses,
            f"seed {entry.seed}",
            f"{entry.last_step + 1:,} of {entry.steps:,} steps",
            entry.stop_reason or entry.status,
            *([repr(entry.title)] if entry.title else []),
        ]
        return f"<StoredRun {entry.id[:SHORT]}: {', '.join(parts)}>"

    @property
    def id(self) -> str:
        """22 hexadecimal digits."""
        return self.entry.id

    @property
    def config(self) -> RunConfig:
        """What the run started with, its step cap as last raised."""
        return RunConfig.from_json(self.entry.config)

    @property
    def record(self) -> RunRecord:
        """Configuration, interventions, versions, machine and more; raises as `history` does."""
        return self._read()[0]

    @property
    def history(self) -> History:
        """Every row and intervention, and the stop; read once.

        Raises:
            SavedError: a file is missing or damaged, or the quota has taken the rows.
        """
        return self._read()[1]

    @property
    def interventions(self) -> tuple[Intervention, ...]:
        """The changes of settings during the run; raises as `history` does."""
        return tuple(self.history.interventions)

    @property
    def predictions(self) -> tuple[Prediction, ...]:
        """What a flow predicts of the run, where that was recorded: from step 0, and from each
        change of settings; raises as `history` does."""
        return self._store.folder(self.there().id).predictions(self.config)

    @property
    def prediction(self) -> Prediction | None:
        """The last of them, or None."""
        return next(reversed(self.predictions), None)

    @property
    def origin(self) -> Origin | None:
        """Which run this one left, and at which step; None for one that began by itself."""
        return self.entry.origin

    @property
    def family(self) -> list[StoredRun]:
        """All runs that go back to the same one, this one included, oldest first."""
        query = Query(root=self.entry.root, removed=True, descending=False, limit=None)
        return [StoredRun(self._store, entry) for entry in self._store.find(query).entries]

    @property
    def snapshots(self) -> list[int]:
        """Steps before whose update the state is kept, in order: `snapshot` begins at one."""
        return self._store.folder(self.id).snapshots()

    def snapshot(self, step: int) -> TrainState:
        """The state before the update of `step`, with what was changed at that step in force.

        It equals the run's own bit for bit (on the same machine, with the same versions): the
        steps since the last kept state are repeated, with the recorded interventions.

        Raises:
            StepError (a ValueError): the run has no such step; the message says which it has.
            SavedError: a file is missing or damaged.
        """
        from samedge_core.runs.restore import state_at

        return state_at(self._store, self.there().id, step)[2]

    def edge_test(self, step: int, change: ForkChange = "eta", **options: Any) -> EdgeTest:
        """What a fork from before the update of `step` does within some steps, with twice the step
        size ("eta") or half the batch ("batch"), beside the run itself; nothing is recorded.

        Args:
            options: of `samedge_core.edge_test`.

        Raises: as `snapshot`, and as `samedge_core.edge_test`.
        """
        from samedge_core.runs.restore import state_at
        from samedge_core.training.fork_test import edge_test

        return edge_test(*state_at(self._store, self.there().id, step), change, **options)

    def portrait(self, step: int, **options: Any) -> Portrait:
        """How GD's hop and its sharpness drive each other from the update of `step` on, with what
        is in force there; nothing is recorded.

        Args:
            options: of `samedge_core.portrait`.

        Raises: as `snapshot`, and as `samedge_core.portrait`.
        """
        from samedge_core.runs.restore import state_at
        from samedge_core.training.self_stabilization import portrait

        return portrait(*state_at(self._store, self.there().id, step), **options)

    def fork(
        self, step: int, *, steps: int | None = None, on_row: OnRow | None = None, **changes: Any
    ) -> StoredRun:
        """A new run, trained in this process, that shares all rows before `step` with this one.

        From `step` on, what was in force there is, and `changes` of eta, rho, beta or rule; what
        this run changes later, the new one doesn't. Without changes its numbers are those of this
        run, to the bit.

        Args:
            steps: another step cap; by default the same, or at the cap as many steps again.
            on_row: called with each new measurement.

        Raises:
            StepError (a ValueError): the run has no such step; the message says which it has.
            ConfigError: a change outside its range, or a cap that is not beyond the step.
            SavedError: a file is missing or damaged.
            OSError: the run can't be recorded.
        """
        from samedge_core.runs.local import LocalRun

        made, store = Changes.of(changes), self._store
        run = LocalRun.forked(store, self.there().id, step, steps=steps, changes=made)
        return _trained(store, run, on_row)

    def resume(
        self, *, steps: int | None = None, on_row: OnRow | None = None, **changes: Any
    ) -> StoredRun:
        """Go on with this run in this process; returns it as it then is.

        Args:
            steps: a new step cap; a run at its cap needs one.
            on_row: called with each new measurement.
            changes: of eta, rho, beta or rule, from the first step that is not recorded.

        Raises:
            ResumeError: the run has ended for good, or another process records it.
            ConfigError: a value outside its range.
            SavedError: a file is missing or damaged.
            OSError: the run can't be recorded.
        """
        from samedge_core.runs.local import LocalRun

        made, store = Changes.of(changes), self._store
        run = LocalRun.resumed(store, self.there().id, steps=steps, changes=made)
        return _trained(store, run, on_row)

    def label(self, **labels: Any) -> None:
        """Change the labels of the run: title, note, tags, starred, pinned.

        Raises:
            ValueError: there is no such label, or it is too long.
        """
        self._store.label(self.id, **labels)
        self.entry = self._other(self.id).entry

    def choose_file(self, path: Path | str) -> None:
        """Name the file on which the run was trained elsewhere: what comes from another store names
        none of this machine. Then it can be resumed, forked and repeated.

        Raises:
            ConfigError: the run needs no file, or names one already; or there is no such file.
        """
        self._store.choose_file(self.id, path)
        self.entry, self._loaded = self._other(self.id).entry, None

    def export(self, file: Path | str) -> None:
        """Write the run to a file, over what is there: .csv or .parquet (every row), .json (what it
        takes to replay it), .html (the report), .py (a script that repeats it) or .zip (all that
        is recorded, for `Runs.bring_in`).

        Raises:
            ValueError: another suffix.
            ExchangeError: a replay can't hold this run, since it is trained on a file of one's own.
            SavedError: a file of the run is missing or damaged.
            OSError: the file can't be written.
        """
        file = Path(file)
        if file.suffix.lower() == ARCHIVE:
            file.parent.mkdir(parents=True, exist_ok=True)
            files.replace(file, take_out(self._store.folder(self.there().id)))
        else:
            export.export(self.history, file, self.about(), self.predictions)

    def about(self) -> dict[str, Any]:
        """Id, title, note, versions and machine, for readers of exported files."""
        record, entry = self.record, self.entry
        labels = {"id": self.id, "title": entry.title, "note": entry.note}
        return {**labels, "versions": dict(record.versions), "machine": dict(record.machine)}

    def there(self) -> StoredRun:
        """The run itself; raises a SavedError where the quota has removed its rows."""
        if self.entry.status == "removed":
            raise SavedError(
                f"the rows of the run {self.id} are gone: the quota has taken them; its settings "
                "are still there"
            )
        return self

    def check_deletable(self) -> None:
        """Raise a DeleteError where the run is pinned or being recorded."""
        if self.entry.pinned:
            raise DeleteError(f"the run {self.id} is pinned: unpin it first")
        if self.entry.status == "recording":
            raise DeleteError(f"the run {self.id} is being recorded: stop it first")

    def delete(self) -> None:
        """Delete the run; within a day, `Runs.restore` brings it back.

        Raises:
            DeleteError: it is pinned, or being recorded.
        """
        self._other(self.id).check_deletable()
        self._store.delete([self.id])

    def _read(self) -> tuple[RunRecord, History]:
        if self._loaded is None:
            self._loaded = self._store.load(self.there().id)
        return self._loaded

    def _other(self, run: str) -> StoredRun:
        entry = self._store.catalogue.entry(run)
        if entry is None:
            raise RunKeyError(f"the run {run} has been deleted")
        return StoredRun(self._store, entry)


def _trained(store: Store, run: LocalRun, on_row: OnRow | None) -> StoredRun:
    """The run as recorded, after training; one that failed at its first step is not recorded."""
    run.run(store, on_row=on_row or (lambda row: None))
    entry = store.catalogue.entry(run.record.id)
    if entry is None:
        raise RuntimeError(run.history.stop.what if run.history.stop else "nothing is recorded")
    return StoredRun(store, entry)


def short_length(ids: Iterable[str]) -> int:
    """How many characters, SHORT at least, tell these ids apart.

    >>> short_length(["0123456789ab", "01234567ffff", "ff"])
    9
    """
    neighbours = itertools.pairwise(sorted(ids))
    return max([SHORT, *(_shared(one, other) + 1 for one, other in neighbours)])


def _shared(one: str, other: str) -> int:
    pairs = zip(one, other, strict=False)
    return next((i for i, (a, b) in enumerate(pairs) if a != b), min(len(one), len(other)))
