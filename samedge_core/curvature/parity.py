"""Parity: what the tracker carries from one measurement to the next, for even or for odd steps.

In compiled functions m is a `HessianModel`, carried a `Carried`, settings a record of
`TrackerSettings`, and constants the array (1,) of it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple, Self

import numpy as np
import torch
from numba import njit
from numpy.typing import NDArray
from torch import Tensor

from samedge_core.curvature import bounds, restart, vectors
from samedge_core.curvature import hessian_model as hm
from samedge_core.curvature.hessian_model import KNOWN, Array, HessianModel, Vectors, as_vector
from samedge_core.curvature.operator import LinearOperator
from samedge_core.curvature.settings import MEASURED, TrackerSettings, packed

Noise = Callable[[LinearOperator], Tensor]  # a random unit vector (P,)

compiled = njit(cache=True)

STATE = np.dtype(
    (
        np.record,
        [
            ("error", np.float64),  # running prediction error of T, a share of the sharpness
            ("change", np.float64),  # the same for a T that is not extrapolated
            ("newest_error", np.float64),  # of this measurement
            ("newest_change", np.float64),
            ("others_error", np.float64),  # of directions other than the leader, slowly forgotten
            ("unrefreshed", np.int64),  # measurements since a refresh; more after a search
            ("unprobed", np.float64),  # change of T since the last probe, a share
            ("probe", np.int64),  # number of the probe's product in this measurement, or -1
            ("correction", np.int64),  # of the last residual's, or -1
            ("rayleigh_outside", np.float64),  # of what was new to the basis lately, a share
            ("invalid", np.bool_),  # the prediction error was above `TrackerSettings.invalid`
            ("has_probe", np.bool_),
            ("has_hint", np.bool_),
            ("leader_size", np.int64),  # coordinates of `leader`; 0 for none
        ],
    )
)


class Carried(NamedTuple):
    """What is carried besides the model.

    Attributes:
        state: one record of `STATE`, (1,).
        probe: the next vector outside the basis, (P,).
        hint: what the other parity found, (P,).
        leader: coordinates of the last leading vector, (room,).
    """

    state: NDArray[Any]
    probe: Vectors
    hint: Vectors
    leader: Array


class Pairs(NamedTuple):
    """Ritz values (k,) and norms of their residuals (k,), NaN where there are not so many, and
    estimated eigenvectors (k or fewer, P); whether the basis may be too small for all that lead."""

    values: Array
    residuals: Array
    vectors: Tensor
    crowded: bool


class Found(NamedTuple):
    """Hints for the other parity: Ritz values, as shares of the sharpness, and their vectors, or
    more of these.

    The leader, which is new where it is not the last one, and the next one where it contends.
    """

    values: Array
    vectors: NDArray[np.floating]
    new_leader: bool


@compiled
def change_metric(m, carried, ratio):
    """Go over to other coordinates, multiplied by `ratio` (P,), in all that is carried; the model
    is invalid where they leave no basis."""
    state = carried.state[0]
    vectors.stretch(carried.probe, ratio)
    vectors.stretch(carried.hint, ratio)
    inverse, size = hm.change_metric(m, ratio), state.leader_size
    state.invalid = len(inverse) == 0
    state.leader_size = 0 if state.invalid else size
    if state.leader_size > 0:
        leader = np.linalg.solve(inverse[:size, :size].T.copy(), carried.leader[:size].copy())
        carried.leader[:size] = leader / np.sqrt(np.dot(leader, leader))


@compiled
def begin(m, carried, constants):
    """Begin a measurement; the vector that should lead is ready."""
    settings = constants[0]
    hm.predict(m, settings.lasting)
    carried.state[0].probe = carried.state[0].correction = -1
    hm.solve(m)
    m.chosen[:] = m.pairs[0]
    hm.write_direction(m)


@compiled
def absorb(m, carried, settings):
    """Take in the newest product, and learn how wrong the prediction was."""
    error, change, age = hm.absorb(m, settings.learned, settings.lasting)
    if not m.counts[0].finite:
        return
    scale, state = abs(m.ritz[0]), carried.state[0]
    error, change = (error / scale, change / scale) if scale > 0 else (0.0, 0.0)
    if m.counts[0].products == 1:
        state.newest_error, state.newest_change = error, change
        state.error = max(state.error, error, state.others_error)
        state.change = max(state.change, change)
        state.invalid = error > settings.invalid
        state.unrefreshed += 1
        state.unprobed += max(change, settings.probe_change / (settings.probe_every - 0.5))
    elif age < KNOWN:
        state.others_error = max(state.others_error, error / age)
        state.error = max(state.error, error / age)
    else:
        _learn_outside(m, state, settings)


@compiled
def _learn_outside(m, state, settings):
    """Learn how high that lies which was outside the basis until now."""
    number, k = m.counts[0].products - 1, m.counts[0].dimension - 1
    scale, most = abs(m.ritz[0]), 1 - settings.gap
    high = min(most, abs(m.projected[k, k]) / scale) if scale > 0 else most
    # of the leader's first residual: this is what `gap_outside` is asked about next time
    first = number == 1 and state.correction == number
    state.rayleigh_outside = high if first else max(high, state.rayleigh_outside)


@compiled
def take_hints(m, carried, constants, values, found, new_leader, ratio):
    """Keep the first of `Found` that is unknown here as the hint, if there is one; `ratio` is by
    what they are multiplied in the coordinates here, (P,), or (0,) for nothing."""
    settings = constants[0]
    carried.state[0].has_hint = False
    hm.solve(m)
    top = abs(m.values[0])
    for i in range(len(values)):
        vector = m.scratch[0]
        vector[:] = found[i]
        if len(ratio):
            vectors.stretch(vector, ratio)
        c = vectors.project(m.basis, m.counts[0].dimension, vector)
        inside = np.dot(c, c)
        if 1 - inside > settings.new:
            unknown = new_leader and values[i] == 1.0
        else:
            here = abs(bounds.form(m.projected, c))
            low = here < (values[i] - settings.hint_margin) * inside * top
            unknown = low and bounds.form(m.age, c) > settings.hint_age * inside
        if unknown:
            carried.hint[:] = vector
            carried.state[0].has_hint = True
            return


@compiled
def _next_probe(m, carried, constants, noise):
    """What the image of this measurement's probe has outside the basis, and noise."""
    settings = constants[0]
    number = carried.state[0].probe
    carried.probe[:] = noise
    if number < m.counts[0].products and m.outside[number] > 0:
        kind = noise.dtype.type
        carried.probe[:] *= kind(settings.probe_noise)
        carried.probe[:] += kind(1 / np.sqrt(m.outside[number])) * m.hv[number]


@compiled
def _end(m, carried, constants, kept, wanted):
    """As `Parity.end`: the fields of `Pairs`, then those of `Found`, whose vectors are the first of
    the pairs' or more."""
    settings = constants[0]
    state, size, products = carried.state[0], m.counts[0].dimension, m.counts[0].products
    scale = abs(m.ritz[0])
    hints = min(2, _above(1 - settings.hint_margin, m.ritz[:products]))
    values, norms = np.full(wanted, np.nan), np.full(wanted, np.nan)
    for i in range(min(wanted, products)):
        bounds.residual(m, i)
        values[i], norms[i] = m.ritz[i], m.residual_norms[i]
    relative = np.abs(m.ritz[:hints])
    if scale > 0:
        relative /= scale
    new_leader = not _leads_still(m, carried, settings)
    restart.correct(m, _above(settings.high, m.ritz[:products]), settings.bulk)
    _forget(state, settings)
    found = restart.eigenvectors(m, max(hints, min(wanted, products)))
    crowded = _is_crowded(m, settings)
    leader = m.pairs[0, :size].copy()
    kept = max(kept, min(_above(settings.high, m.values[:size]), settings.kept + settings.further))
    if size > kept + settings.slack:
        leader = restart.truncate(m, kept) @ leader
    state.leader_size = len(leader)
    carried.leader[: len(leader)] = leader
    return values, norms, found, crowded, relative, new_leader


@compiled
def _is_crowded(m, settings):
    """Whether more eigenvalues than are kept may lie near the leader, and turn."""
    last, leader = settings.kept + settings.further - 1, abs(m.values[0])
    if m.counts[0].dimension <= last:
        return False
    unsettled = m.residual_norms[0] > settings.unsettled * abs(m.ritz[0])
    return unsettled and abs(m.values[last]) > settings.crowded * leader


@compiled
def _leads_still(m, carried, settings):
    """Whether the leader is that of the last measurement."""
    size = carried.state[0].leader_size
    overlap = abs(np.dot(carried.leader[:size], m.coordinates[0, :size]))
    return size > 0 and 1 - overlap * overlap <= settings.new


@compiled
def _forget(state, settings):
    """Update the running means of what was learned, and forget a little of it."""
    state.error += settings.error_weight * (state.newest_error - state.error)
    state.change += settings.error_weight * (state.newest_change - state.change)
    state.others_error *= 1 - settings.others_fading
    state.rayleigh_outside += settings.gap_forgotten * (1 - settings.gap - state.rayleigh_outside)


@compiled
def _above(share, values):
    """How many of the `values` (n,), by magnitude, are above this share of the first."""
    above = 0
    for i in range(len(values)):
        above += abs(values[i]) > share * abs(values[0])
    return above


class Parity:
    """A model of the Hessian at even or at odd steps, and how well it predicts.

    Attributes:
        model: the basis and the projected Hessian.
        carried: all else.
        operator: of this measurement.
        root: the `root` (P,) of the last measured operator, None without one.
    """

    operator: LinearOperator
    root: Vectors | None = None

    def __init__(self, model: HessianModel, settings: TrackerSettings = MEASURED) -> None:
        self.model, self.settings, self.constants = model, settings, packed(settings)
        basis = model.basis
        state = np.zeros(1, STATE)
        self.carried = Carried(
            state, np.zeros_like(basis[0]), np.zeros_like(basis[0]), np.zeros(len(basis))
        )
        state["error"] = state["change"] = settings.first_error
        state["rayleigh_outside"] = 1 - settings.gap
        # A search tells where all stand, not how fast they move: the next two measurements refresh.
        # The other parity begins with a copy: a step old at the first of them, and then two.
        state["unrefreshed"] = 2 * settings.refresh_every - 2
        state["probe"] = state["correction"] = -1

    @property
    def invalid(self) -> bool:
        """Whether the prediction error was above `TrackerSettings.invalid`."""
        return bool(self.carried.state["invalid"][0])

    def begin(self, operator: LinearOperator, noise: Noise) -> None:
        """Begin a measurement; the vector that should lead is ready."""
        if not self.carried.state["has_probe"][0]:
            self.carried.probe[:] = as_vector(noise(operator))
            self.carried.state[0].has_probe = True
        root = root_of(operator)
        ratio = _ratio(self.root, root)
        if ratio is not None:
            change_metric(self.model, self.carried, ratio)
        self.operator, self.root = operator, root
        begin(self.model, self.carried, self.constants)

    def starts(self) -> list[Tensor]:
        """The vectors (P,) that a search starts from: the leading ones of the model, and the sum of
        the rest, where something may have risen that leads by now."""
        m, first, kind = self.model, self.settings.search_pairs, self.model.basis.dtype
        hm.solve(m)
        size = m.counts[0].dimension
        pairs, basis = m.pairs[:size, :size], torch.from_numpy(m.basis[:size])
        leading, rest = pairs[:first].astype(kind), pairs[first:].sum(0).astype(kind)
        return [*(torch.from_numpy(leading) @ basis), torch.from_numpy(rest) @ basis]

    def take_hints(self, found: Found, root: Vectors | None = None) -> None:
        """Keep what the other parity found, where it is unknown here, for the next measurement;
        `root` is that of the operator there."""
        ratio = _ratio(root, self.root)
        if ratio is None:
            ratio = self.model.basis[0, :0]
        take_hints(self.model, self.carried, self.constants, *found, ratio)

    def end(self, noise: Noise, kept: int, wanted: int = 1) -> tuple[Pairs, Found]:
        """Make ready for the next measurement; returns the leading pairs, and the hints."""
        m, carried = self.model, self.carried
        if carried.state["probe"][0] >= 0:
            _next_probe(m, carried, self.constants, as_vector(noise(self.operator)))
        values, norms, found, crowded, relative, new = _end(
            m, carried, self.constants, kept, wanted
        )
        pairs = Pairs(values, norms, torch.from_numpy(found[:wanted]), crowded)
        return pairs, Found(relative, found, new)

    def state(self) -> dict[str, Any]:
        """Tensors and numbers only, in main memory; their names are those of stored runs."""
        state, carried = self.carried.state[0], self.carried
        return {
            **hm.to_state(self.model),
            "off": float(state.error),
            "moved": float(state.change),
            "news": _copy(carried.hint) if state.has_hint else None,
            "leader": _copy(carried.leader[: state.leader_size]) if state.leader_size else None,
            "scout": _copy(carried.probe) if state.has_probe else None,
            "unscouted": float(state.unprobed),
            "others_off": float(state.others_error),
            "beyond": float(state.rayleigh_outside),
            "unlooked": int(state.unrefreshed),
            **({} if self.root is None else {"root": _copy(self.root)}),
        }

    @classmethod
    def restore(
        cls, stored: dict[str, Any], room: int, settings: TrackerSettings = MEASURED
    ) -> Self:
        """The inverse of `state`."""
        parity = cls(hm.from_state(stored, room), settings)
        state, carried = parity.carried.state[0], parity.carried
        state.error, state.change = stored["off"], stored["moved"]
        state.unprobed, state.unrefreshed = stored["unscouted"], stored["unlooked"]
        state.others_error, state.rayleigh_outside = stored["others_off"], stored["beyond"]
        for name, part in (
            ("news", carried.hint),
            ("scout", carried.probe),
            ("leader", carried.leader),
        ):
            if stored[name] is not None:
                part[: len(stored[name])] = stored[name].numpy()
        state.has_hint, state.has_probe = stored["news"] is not None, stored["scout"] is not None
        state.leader_size = 0 if stored["leader"] is None else len(stored["leader"])
        parity.root = stored["root"].numpy().copy() if "root" in stored else None
        return parity


def root_of(operator: LinearOperator) -> Vectors | None:
    """The `root` of an operator, in main memory."""
    root = getattr(operator, "root", None)
    return None if root is None else as_vector(root)


def _ratio(old: Vectors | None, new: Vectors | None) -> Vectors | None:
    """By what vectors in the coordinates of one root are multiplied in those of another; None where
    these are the same."""
    if old is None:
        return None if new is None else 1 / new
    return old.copy() if new is None else old / new


def _copy(part: NDArray[np.floating]) -> Tensor:
    return torch.from_numpy(part.copy())
