"""RunConfig: round trips, refusals, equality and immutability."""

import copy
import dataclasses
import json
import pickle

import pytest
from hypothesis import given
from hypothesis import strategies as st

from samedge_core.fields import ConfigError, Field
from samedge_core.problems.registry import PROBLEMS
from samedge_core.theory.rules import Hyperparameters
from samedge_core.training.config import FIELDS, LIVE_FIELDS, SCHEMA, Changes, RunConfig


def allowed(field: Field) -> st.SearchStrategy:
    """Valid values of a field."""
    if field.kind == "choice":
        return st.sampled_from(field.choices)
    if field.kind == "bool":
        return st.booleans()
    if field.kind == "path":
        return st.just("") | st.text("ab/é ", max_size=9).map(lambda stem: stem + field.suffix)
    low, high = field.low, field.high
    assert low is not None
    assert high is not None
    if field.kind == "int":
        return st.integers(int(low), int(high))
    if field.kind == "floats":
        return st.lists(st.floats(low, high), min_size=1, max_size=200).map(tuple)
    return st.floats(low, high, exclude_min=field.open_low)


@st.composite
def configs(draw) -> RunConfig:
    values = {name: draw(allowed(field)) for name, field in FIELDS.items()}
    spec = PROBLEMS[values["problem"]]
    options = {option.name: draw(allowed(option)) for option in spec.options}
    if spec.examples:
        options["n_test"] = draw(st.integers(0, spec.examples - options["n"]))
    most = options[spec.data_size] if spec.data_size else 0
    values["batch_size"] = draw(st.integers(0, most))
    if values["batch_size"] in (0, most):  # the full batch has no batch sharpness
        values["batch_sharpness_every"] = 0
    return RunConfig(**{**values, "options": options})


@given(configs())
def test_json_round_trip(config):
    text = config.to_json()
    again = RunConfig.from_json(text)
    assert again == config
    assert hash(again) == hash(config)
    assert again.to_json() == text
    assert type(again.options) is type(config.options)
    assert json.loads(text)["schema"] == SCHEMA


@given(configs())
def test_pickle_and_copies_are_equal(config):
    for again in (pickle.loads(pickle.dumps(config)), copy.deepcopy(config), copy.copy(config)):
        assert again == config
        assert hash(again) == hash(config)


@given(configs(), configs())
def test_equal_means_every_value_is_equal(one, other):
    same = dataclasses.asdict(one) == dataclasses.asdict(other)
    assert (one == other) == same
    assert one == one.replace()


def test_configurations_work_as_keys():
    one, same, other = RunConfig(rho=0.0), RunConfig(rho=-0.0), RunConfig(rho=0.1)
    assert one == same
    assert len({one, same, other}) == 2


def test_defaults():
    config = RunConfig()
    for name, field in FIELDS.items():
        assert getattr(config, name) == field.default
    assert config.options == {o.name: o.default for o in PROBLEMS["digits-mlp"].options}
    assert set(LIVE_FIELDS) == {"rule", "eta", "rho", "beta"}
    assert config.hyperparameters == Hyperparameters("sam", 1.0, 0.05, 0.9)


def test_every_setting_of_the_dataclass_has_its_field():
    assert [f.name for f in dataclasses.fields(RunConfig) if f.name != "options"] == list(FIELDS)


def test_text_and_integers_take_the_fields_type():
    config = RunConfig(eta="0.5", seed="7", steps=10.0, options={"n": "50"})  # pyright: ignore
    assert (config.eta, config.seed, config.steps) == (0.5, 7, 10)
    assert config.options["n"] == 50
    assert type(RunConfig(eta=1).eta) is float


BAD = {
    "problem": ["mnist", None],
    "rule": ["adamw", 3],
    "eta": [0, -1, float("nan"), float("inf"), 1e7, "fast", None, True],
    "rho": [-0.1, float("nan"), 1001],
    "beta": [-0.1, 1.0, "x"],
    "beta2": [-0.1, 1.0, None],
    "eps": [0, -1e-8, 2],
    "weight_decay": [-0.1, 1001, "x"],
    "schedule": ["step", None],
    "warmup": [0, 1.5],
    "period": [-1, 1.5],
    "sharpness_every": [-1, 0.5],
    "batch_size": [-1, 1.5, 1_000_001],
    "seed": [-1, 2**31, 0.5],
    "cadence": ["often", None],
    "measure_every": [0, 100_001],
    "measure_on": ["batch", None],
    "hessian_share": [0, 1.1, "all"],
    "batch_sharpness_every": [-1, 100_001, 0.5],
    "batch_sharpness_batches": [1, 10_001, "all"],
    "top_k": [0, 11, 2.5],
    "steps": [0, 10_000_001],
    "dtype": ["float16", None],
    "device": ["gpu", None],
}


def test_every_field_is_among_the_refusals():
    assert set(BAD) == set(FIELDS)


@pytest.mark.parametrize(("name", "value"), [(n, v) for n, vs in BAD.items() for v in vs])
def test_refusals_show_the_value_and_what_is_allowed(name, value):
    with pytest.raises(ConfigError) as caught:
        RunConfig(**{name: value})
    assert str(caught.value) == f"{name} must be {FIELDS[name].allowed()}, got {value!r}"
    assert caught.value.field == name


@pytest.mark.parametrize(
    ("name", "option", "value"),
    [
        ("digits-mlp", "n", 9),
        ("digits-mlp", "activation", "gelu"),
        ("digits-cnn", "n", 1798),
        ("chebyshev-mlp", "degree", 0),
        ("deep-linear", "loss", "cross-entropy"),
        ("two-weight", "a", float("nan")),
        ("quadratic", "eigenvalues", "six"),
        ("quadratic", "rotated", "maybe"),
    ],
)
def test_bad_options_are_refused_by_name(name, option, value):
    with pytest.raises(ConfigError) as caught:
        RunConfig(problem=name, options={option: value})
    assert caught.value.field == option
    assert str(caught.value).startswith(f"{option} must be ")
    assert str(caught.value).endswith(f"got {value!r}")


def test_unknown_options_are_refused_with_the_known_ones():
    with pytest.raises(ConfigError, match=r"problem two-weight has no option 'n'; it has: a, b"):
        RunConfig(problem="two-weight", options={"n": 5})


@pytest.mark.parametrize("options", [None, 5, [], "n=5", [["n", 5]]])
def test_options_that_are_no_mapping_are_refused(options):
    with pytest.raises(ConfigError, match="options must be a mapping of names to values, got"):
        RunConfig(options=options)


@pytest.mark.parametrize("problem", ["digits-mlp", "digits-cnn", "deep-linear"])
def test_what_is_held_out_is_not_trained_on(problem):
    options = {"n": 1000, "n_test": 797}
    assert RunConfig(problem=problem, options=options).options["n_test"] == 797
    allowed = "at most 797, what a data size of 1,000 leaves of 1,797"
    with pytest.raises(ConfigError, match=f"n_test must be {allowed}, got 798"):
        RunConfig(problem=problem, options={**options, "n_test": 798})


def test_a_batch_is_at_most_the_data():
    assert RunConfig(options={"n": 50}, batch_size=50).batch_size == 50
    with pytest.raises(ConfigError, match="batch_size must be at most the data size, 50, got 51"):
        RunConfig(options={"n": 50}, batch_size=51)
    with pytest.raises(ConfigError, match="batch_size must be 0: quadratic has no data, got 1"):
        RunConfig(problem="quadratic", batch_size=1)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "not a JSON file: Expecting property name .*; got '{'"),
        ("[1, 2]", r"a configuration must be a JSON object, got \[1, 2\]"),
        ("{}", "schema must be 1, got None"),
        ('{"schema": 2}', "schema must be 1, got 2"),
        (
            '{"schema": 1, "lr": 1, "decay": 0}',
            "nothing is called 'lr'; there are: problem, options, rule",
        ),
        ('{"schema": 1, "eta": -1}', "eta must be .*, got -1"),
        ('{"schema": 1, "eta": NaN}', "numbers must be finite, got NaN"),
        (
            '{"schema": 1, "options": {"depht": 2}}',
            "has no option 'depht'; it has: n, n_test, activation",
        ),
        ('{"schema": 1, "options": null}', "options must be a mapping"),
    ],
)
def test_files_that_are_refused(text, message):
    with pytest.raises(ConfigError, match=message):
        RunConfig.from_json(text)


def test_a_short_file_is_filled_up_with_defaults():
    assert RunConfig.from_json('{"schema": 1, "eta": 0.5}') == RunConfig(eta=0.5)


def test_nothing_can_be_changed():
    given_ = {"n": 50}
    config = RunConfig(options=given_)
    given_["n"] = 60
    assert config.options["n"] == 50
    with pytest.raises(dataclasses.FrozenInstanceError):
        config.eta = 2.0  # pyright: ignore[reportAttributeAccessIssue]
    for same in (config, pickle.loads(pickle.dumps(config)), copy.deepcopy(config)):
        options: dict = same.options  # pyright: ignore[reportAssignmentType]
        for change in (
            lambda o: o.__setitem__("n", 1),
            lambda o: o.__delitem__("n"),
            lambda o: o.update(n=1),
            lambda o: o.setdefault("m", 1),
            lambda o: o.pop("n"),
            lambda o: o.popitem(),
            lambda o: o.clear(),
            lambda o: o.__ior__({"n": 1}),
        ):
            with pytest.raises(TypeError, match="can't be changed"):
                change(options)
        assert options["n"] == 50


def test_replace_keeps_what_it_is_not_told():
    config = RunConfig(options={"n": 50}, eta=0.5)
    assert config.replace(rho=0.2) == RunConfig(options={"n": 50}, eta=0.5, rho=0.2)
    assert config.replace(problem="digits-mlp").options["n"] == 50
    with pytest.raises(ConfigError, match="eta"):
        config.replace(eta=0)


def test_another_problem_starts_from_its_own_options():
    config = RunConfig(options={"n": 50, "width": 7})
    assert config.replace(problem="chebyshev-mlp") == RunConfig(problem="chebyshev-mlp")
    assert config.replace(problem="deep-linear", options={"n": 20}) == RunConfig(
        problem="deep-linear", options={"n": 20}
    )


def test_changes_are_checked_once_and_stay_as_they_are():
    made = Changes.of({"eta": "0.5", "rho": 0})
    assert made == {"eta": 0.5, "rho": 0.0}
    assert Changes.of(made) is made
    again = pickle.loads(pickle.dumps(made))
    assert (type(again), again) == (Changes, made)
    with pytest.raises(TypeError, match="can't be changed"):
        made["eta"] = 1.0
    with pytest.raises(ConfigError, match=r"eta must be .*, got -1"):
        Changes.of({"eta": -1})
    with pytest.raises(
        ValueError, match="seed can't change mid-run; what can: rule, eta, rho, bet"
    ):
        Changes.of({"seed": 1})
