"""What is read off hand-made histories."""

import math

import pytest

import samedge_core as se
from samedge_core.experiments.lessons import observations
from samedge_core.training.history import Intervention
from samedge_core.training.stop import Stop, StopReason

GD = se.RunConfig(problem="digits-mlp", rule="gd", eta=0.5)  # 2/eta = 4
SAM = se.RunConfig(problem="digits-mlp", rule="sam", eta=0.5, rho=0.1)
DIVERGED = Stop(StopReason.DIVERGED, 1, "the loss is large")


def record(
    sharpness, *, config: se.RunConfig = GD, stop: Stop | None = None, **columns
) -> se.History:
    """A history with this sharpness; `columns` hold one value a row."""
    history = se.History(config)
    for step, value in enumerate(sharpness):
        values = {name: column[step] for name, column in columns.items()}
        row = {"loss": 1.0, "grad_norm": 1.0, "converged": True, "lambda_max": value, **values}
        history.append(se.Measurement(step, **row))
    history.stop = stop
    return history


def at_edge(grad_norm: float, times: float = 1.0) -> float:
    return times * float(se.sam_edge(0.5, 0.1, grad_norm))


@pytest.mark.parametrize(
    ("last", "stop", "answer"),
    [(1e-3, None, 0), (2.1, None, 1), (0.5, DIVERGED, 1), (0.5, None, 2)],
)
def test_growth(last, stop, answer):
    found = observations.growth([record([5, 5], loss=[1.0, last], stop=stop)])
    assert found.answer == answer
    assert "from 1 to" in found.words
    assert "1 − ηλ = −1.5." in found.words


@pytest.mark.parametrize(
    ("sharpness", "stop", "answer"),
    [
        ([1, 3, 4.1, 4.6, 3.7, 3.8], None, 0),
        ([1, 4.1, 4.0, 4.1, 3.95, 4.0], None, 1),
        ([1, 2, 3, 3.5, 3.6, 3.7], None, 2),
        ([1, 3, 4.1, 4.6, 4.8, 5.0], None, None),  # on its way
        ([1, 3, 4.1, 4.6, 4.8, 3.9], DIVERGED, None),
        ([1, 4.0, 2.0, 2.0, 2.0, 2.0], None, None),  # it left the edge, downwards
    ],
)
def test_meets_edge(sharpness, stop, answer):
    found = observations.meets_edge([record(sharpness, stop=stop)])
    assert found.answer == answer
    assert ("came to its edge" in found.words) == (answer != 2)


@pytest.mark.parametrize(
    ("later", "stop", "answer"),
    [
        ([0.8] * 9, None, 0),
        ([1.05] * 9, None, 1),
        ([3.7] * 9, None, 2),
        ([4.3] * 9, None, 2),
        ([3.0] * 9, None, None),
        ([1.0] * 9, DIVERGED, 3),
        # there for a tenth of the steps; and there at last, though not since it first came there
        ([3.0] * 8 + [4.0], None, None),
        ([4.0, *[2.0] * 7, 4.0], None, None),
    ],
)
def test_progressive_sharpening(later, stop, answer):
    found = observations.progressive_sharpening([record([1.0, *later], stop=stop)])
    assert found.answer == answer
    assert f"from 1 to about {later[-1]:.3g}, where 2/η = 4" in found.words


@pytest.mark.parametrize(
    ("last", "stop", "answer"),
    [(4.1, None, 0), (7.5, None, 1), (2.0, None, 2), (6.0, None, None), (4.0, DIVERGED, 3)],
)
def test_new_edge(last, stop, answer):
    history = se.History(GD)
    for step in range(12):
        row = {"loss": 1.0, "grad_norm": 1.0, "converged": True}
        history.append(se.Measurement(step, **row, lambda_max=4.0 if step < 10 else last))
        if step == 9:
            history.intervene(Intervention(10, {"eta": 0.25}, {"eta": 0.5}))
    history.stop = stop
    found = observations.new_edge([history])
    assert found.answer == answer
    assert "Up to step 10 the sharpness was 4; the new 2/η is 8." in found.words


def test_without_an_intervention_there_is_no_new_edge():
    with pytest.raises(ValueError, match="must have an intervention, got none"):
        observations.new_edge([record([4.0, 4.0])])


@pytest.mark.parametrize(
    ("norm", "times", "stop", "answer"),
    [
        (1e-3, 1.0, None, 0),
        (0.5, 1.0, None, 1),
        (0.5, 2.0, None, None),
        (2.5, 1.0, None, 2),
        (0.5, 1.0, DIVERGED, 2),
    ],
)
def test_orbit(norm, times, stop, answer):
    sharpness = at_edge(norm, times)
    history = record([1.0, sharpness], config=SAM, grad_norm=[1.0, norm], stop=stop)
    found = observations.orbit([history])
    assert found.answer == answer
    assert f"from 1 to {norm:.3g}" in found.words


@pytest.mark.parametrize(
    ("sharpness", "answer"),
    [(4.1, 0), (at_edge(0.1), 1), (at_edge(0.1, 0.5), 2), (at_edge(0.1, 1.5), None)],
)
def test_edge_followed(sharpness, answer):
    history = record([1.0, sharpness], config=SAM, grad_norm=[1.0, 0.1])
    assert observations.edge_followed([history]).answer == answer


def run_down(end: float) -> se.History:
    """In the valley at step 1, at a sharpness of 5."""
    return record([6.0, 5.0, end], loss=[1.0, 0.01, 0.01])


@pytest.mark.parametrize(
    ("gd", "sam", "answer"), [(5.0, 4.5, 0), (5.0, 2.0, 1), (2.0, 2.0, 2), (2.0, 5.0, None)]
)
def test_valley(gd, sam, answer):
    found = observations.valley([run_down(gd), run_down(sam)])
    assert found.answer == answer
    assert (
        f"SAM came to the valley at a sharpness of 5 and ended at about {sam:.3g}." in found.words
    )


def test_a_run_that_has_not_come_to_the_valley_shows_nothing():
    found = observations.valley([run_down(5.0), record([6.0, 5.0], loss=[1.0, 0.5])])
    assert found == observations.Outcome(None, "SAM has not come to the valley.")


@pytest.mark.parametrize(
    ("loss", "accuracy", "answer"),
    [(0.04, 0.9, 0), (0.09, 0.89, 1), (0.09, 0.8, None), (0.1, 0.95, 2)],
)
def test_flatness_and_held_out(loss, accuracy, answer):
    def ended(loss: float, accuracy: float) -> se.History:
        return record([1.0], held_out_loss=[loss], held_out_accuracy=[accuracy])

    found = observations.flatness_and_held_out([ended(0.1, 0.9), ended(loss, accuracy)])
    assert found.answer == answer


@pytest.mark.parametrize(
    ("times", "accuracy", "answer"), [(1.0, 0.9, 0), (1.0, 0.12, 1), (1.3, 0.9, 2)]
)
def test_success(times, accuracy, answer):
    found = observations.success([record([4 * times], accuracy=[accuracy])])
    assert found.answer == answer
    assert "guessing gives 0.1" in found.words


def test_the_end_is_a_median_over_the_last_tenth_of_what_was_measured():
    sharpness = [math.nan, *[1.0] * 20, 3.0, math.nan, 100.0, 3.0]
    # 23 measured rows: the last two, whose median lies between
    found = observations.progressive_sharpening([record(sharpness)])
    assert "from 1 to about 51.5" in found.words


@pytest.mark.parametrize(("last", "answer"), [(0.9, 0), (0.99, 1), (1.01, 1), (1.1, 2)])
def test_rise(last, answer):
    found = observations.rise([record([1.0, *[last] * 9])])
    assert found.answer == answer
    assert f"from 1 to {last:.3g}, {last:.2f} times what it was; 2/η is 4." in found.words


def test_way_down_tells_what_is_kept():
    config = se.RunConfig("two-weight", {"a": 1.0, "b": 0.0}, rule="gd", eta=0.02)
    found = observations.way_down([record([1.6, 1.7], config=config)])
    assert found.answer == 2
    assert "was 1 at the start and is 1 at the end: √(c² + 4) = 2.236, and" in found.words


def disturbed(config: se.RunConfig, end: float) -> se.History:
    """A gradient norm of 1, of 0.1 after the disturbance in step 4, and of `end` at the end."""
    history = se.History(config)
    for step in range(40):
        norm = 1.0 if step < 4 else end if step > 30 else 0.1
        row = {"loss": 1.0, "grad_norm": norm, "converged": True, "lambda_max": 4.0}
        history.append(se.Measurement(step, **row))
        for at, changes in ((3, ({"eta": 0.3}, {"eta": 0.5})), (4, ({"eta": 0.5}, {"eta": 0.3}))):
            if step == at:
                history.intervene(Intervention(at + 1, *changes))
    return history


@pytest.mark.parametrize(
    ("gd", "sam", "answer"), [(1.0, 1.05, 0), (0.1, 1.0, 1), (1.0, 0.1, 2), (0.1, 0.5, 3)]
)
def test_comes_back(gd, sam, answer):
    found = observations.comes_back([disturbed(GD, gd), disturbed(SAM, sam)])
    assert found.answer == answer
    assert f"GD: ‖g‖ was 1, after the disturbance 0.1 (edge 4), and is {gd:.3g} at" in found.words


def test_a_run_that_ended_in_its_disturbance_shows_nothing():
    short = record([4.0] * 5, grad_norm=[1.0] * 5)
    for at in (4, 9):
        short.intervene(Intervention(at, {"eta": 0.3}, {"eta": 0.5}))
    assert observations.comes_back([short, short]).answer is None


@pytest.mark.parametrize(
    ("sharpness", "norm", "eta", "answer"),
    [
        (0.5, 0.5, 1.0, 0),  # twice the step: all in proportion
        (0.5, 1.0, 0.5, 1),
        (0.5, 0.5, 0.5, 2),
        (1.0, 0.5, 0.5, None),
        (0.5, 2.0, 0.5, None),
    ],
)
def test_scaled(sharpness, norm, eta, answer):
    half = record([sharpness] * 2, config=SAM.replace(eta=eta), grad_norm=[norm] * 2)
    found = observations.scaled([record([1.0] * 2, config=SAM, grad_norm=[1.0] * 2), half])
    assert found.answer == answer
    assert found.words.endswith("to the last bit.") == (sharpness == 0.5)


def test_a_run_without_a_measurement_is_refused():
    with pytest.raises(ValueError, match=r"must have a measured row .*, got 0"):
        observations.growth([record([math.nan])])


@pytest.mark.parametrize(("hop", "answer"), [(0.0, None), (0.1, 2), (math.nan, 2)])
def test_a_sharpness_that_rests_near_its_edge_is_not_at_it(hop, answer):
    found = observations.progressive_sharpening(
        [record([1.0, *[3.7] * 9], hopping=[math.nan, *[1.0] * 8, hop])]
    )
    assert found.answer == answer
    assert ("the steps do not hop" in found.words) == (answer is None)


ADAM = se.RunConfig(problem="digits-mlp", rule="adam", eta=0.01, beta=0.5)  # 2/eta = 200


def of_operator(config: se.RunConfig, value: float, plain: float = math.nan) -> se.History:
    """A history whose edge value is this from half-way on; the sharpness is not measured."""
    values = [1.0] * 5 + [value] * 5
    return record([math.nan] * 10, config=config, edge_value=values, plain_value=[plain] * 10)


@pytest.mark.parametrize(
    ("value", "answer"), [(150, 0), (205, 1), (590, 2), (400, None), (900, None)]
)
def test_adams_edge(value, answer):
    found = observations.adams_edge([of_operator(ADAM, value)])
    assert found.answer == answer
    assert "2/η is 200, and (2 + 2β)/(η(1 − β)) is 600" in found.words


@pytest.mark.parametrize(("plain", "answer"), [(590, 0), (200, 1), (60, 2)])
def test_sam_on_adam(plain, answer):
    config = ADAM.replace(rule="sam-adam", rho=0.1)
    found = observations.sam_on_adam([of_operator(config, 603, plain)])
    assert found.answer == answer
    assert "1.00 times the threshold" in found.words


def test_sam_on_adam_without_a_radius():
    config = ADAM.replace(rule="sam-adam", rho=0.0)
    assert observations.sam_on_adam([of_operator(config, 570)]).answer == 0
