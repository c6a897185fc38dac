"""Links: every run comes back from its link, and no link does harm."""

import re
from urllib.parse import parse_qsl, urlencode, urlsplit

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import samedge_core as se
from samedge_core.problems.registry import PROBLEMS
from samedge_core.sharing import links
from samedge_core.sharing.links import (
    PAGE_PARAMETERS,
    LinkError,
    Shared,
    from_query,
    is_link,
    to_query,
    to_url,
)
from samedge_core.training.config import FIELDS, LIVE_FIELDS
from samedge_core.training.plan import as_recorded
from tests.fuzz import FUZZ
from tests.training.test_config import allowed, configs

changes = st.dictionaries(st.sampled_from(LIVE_FIELDS), st.none()).flatmap(
    lambda names: st.fixed_dictionaries({name: allowed(FIELDS[name]) for name in names})
)
# a run of 30 steps meets the cap, repeated steps and wrong order often
interventions = st.lists(st.builds(se.Intervention, st.integers(0, 32), changes), max_size=8)

DEFAULTS_OF_VERSION_1 = {
    "problem": "digits-mlp",
    "rule": "sam",
    "eta": 1.0,
    "rho": 0.05,
    "beta": 0.9,
    "beta2": 0.999,
    "eps": 1e-8,
    "weight_decay": 0.0,
    "schedule": "constant",
    "warmup": 500,
    "period": 0,
    "sharpness_every": 0,
    "batch_size": 0,
    "seed": 0,
    "cadence": "every",
    "measure_every": 1,
    "measure_on": "step",
    "hessian_share": 1.0,
    "batch_sharpness_every": 0,
    "batch_sharpness_batches": 32,
    "top_k": 1,
    "steps": 1300,
    "dtype": "float32",
    "device": "cpu",
}
OPTIONS_OF_VERSION_1 = {
    "digits-mlp": "n=500 n_test=0 activation=relu width=100 depth=2 init=torch loss=mse",
    "digits-cnn": "n=250 n_test=0 init=glorot loss=mse",
    "points-mlp": "shape=circles n=200 n_test=200 noise=0.1 activation=tanh width=30 depth=2 "
    "init=torch loss=mse",
    "chebyshev-mlp": "n=20 degree=6 activation=tanh init=fan-in loss=half-mse",
    "deep-linear": "n=500 n_test=0 width=50 depth=2 init=torch loss=mse",
    "two-weight": "a=2.5 b=0.6",
    "quadratic": "eigenvalues=6_2_0.6 rotated=true",
    "mnist-mlp": "n=1000 n_test=1000 width=200 depth=3 loss=mse",
    "cifar-cnn": "n=100 n_test=200 channels=16 blocks=2 layers=1 loss=mse",
    "shakespeare-transformer": "n=10000 n_test=256 length=32 layers=2 heads=4 key=16 model=64",
    "own-images": "path= n=500 n_test=500 network=mlp width=100 depth=3 channels=16 blocks=2 "
    "loss=mse",
    "own-text": "path= n=200 n_test=256 length=32 layers=2 heads=4 key=16 model=64",
}


def without_path(config: se.RunConfig) -> se.RunConfig:
    names = [f.name for f in PROBLEMS[config.problem].options if f.kind == "path"]
    return config.replace(options={**config.options, **dict.fromkeys(names, "")})


# --- round trips ----------------------------------------------------------------------------


@given(configs(), st.one_of(st.just(30), st.none()), interventions)
def test_every_run_comes_back_from_its_url(config, steps, made):
    config = config.replace(steps=steps) if steps else config
    url = to_url("https://example.org/lab?old=1#top", config, made)
    parts = urlsplit(url)
    assert (parts.scheme, parts.netloc, parts.path, parts.fragment) == (
        "https",
        "example.org",
        "/lab",
        "",
    )
    query = dict(parse_qsl(parts.query, strict_parsing=True, keep_blank_values=True))
    assert is_link(query)
    assert from_query(query) == Shared(without_path(config), as_recorded(config, made))


@given(configs(), interventions)
def test_no_encoder_has_anything_to_escape(config, made):
    query = to_query(config.replace(steps=30), made)
    assert all(re.fullmatch(r"[A-Za-z0-9._-]*", text) for pair in query.items() for text in pair)
    assert urlencode(query) == "&".join(f"{name}={text}" for name, text in query.items())


def test_only_what_differs_is_named():
    assert to_query(se.RunConfig()) == {"v": "1"}
    config = se.RunConfig(eta=2, rho=0.1, options={"width": 50})
    made = [
        se.Intervention(300, {"rule": "gd"}),
        se.Intervention(120, {"eta": 0.5, "rho": 0.1}),  # this rho is in force already
        se.Intervention(121),
    ]
    assert to_query(config, made) == {
        "v": "1",
        "eta": "2",
        "rho": "0.1",
        "width": "50",
        "at": "120_eta_0.5__300_rule_gd",
    }
    quadratic = se.RunConfig(problem="quadratic", options={"eigenvalues": [4, -0.5, 1e-7]})
    assert to_query(quadratic)["eigenvalues"] == "4_-0.5_1e-07"


def test_interventions_are_what_the_run_would_record():
    config = se.RunConfig(problem="two-weight", eta=0.1, steps=30)
    made = [
        se.Intervention(40, {"eta": 0.2}),
        se.Intervention(9, {"eta": 0.2, "rule": "gd"}),
        se.Intervention(9, {"rule": "sam", "rho": 0.05}),
        se.Intervention(5, {"eta": 0.1}),
        se.Intervention(3),
    ]
    shared = from_query(to_query(config, made))
    recorded = se.run(config, interventions=sorted(made, key=lambda item: item.step)).interventions
    assert list(shared.interventions) == recorded
    assert recorded == [
        se.Intervention(9, {"eta": 0.2, "rule": "gd"}, {"eta": 0.1, "rule": "sam"}),
        se.Intervention(9, {"rule": "sam"}, {"rule": "gd"}),
    ]


def test_a_value_that_is_none_is_refused_on_the_way_out():
    with pytest.raises(se.ConfigError, match=r"eta must be .*, got -1"):
        to_query(se.RunConfig(), [se.Intervention(1, {"eta": -1})])


def test_the_longest_configuration_fits():
    longest = -5.0000000000000012e-300
    assert len(repr(longest)) == 23
    config = se.RunConfig(problem="quadratic", options={"eigenvalues": [longest] * 200})
    assert from_query(to_query(config)) == Shared(config)


def test_what_does_not_fit_is_refused_on_the_way_out():
    config = se.RunConfig()
    made = [se.Intervention(step, {"eta": 1 + (step + 1) / 3}) for step in range(300)]
    with pytest.raises(LinkError, match="at most 200 interventions, got 300: save a replay file"):
        to_query(config, made)
    long = [
        se.Intervention(item.step, {"eta": item.changes["eta"], "rho": 1 / (item.step + 3)})
        for item in made[:200]
    ]
    with pytest.raises(LinkError, match=r"at most 8,000 characters, got 9,\d+: save a replay"):
        to_query(config, long)


# --- the contract of version 1 ---------------------------------------------------------------


def test_names_do_not_collide():
    # the page's own parameters, and those that Streamlit keeps for itself
    settings = [*FIELDS, "v", "at", "run", "preset", "embed", "embed_options"]
    for spec in PROBLEMS.values():
        names = settings + [field.name for field in spec.options]
        assert len(names) == len(set(names)), spec.name


def test_the_separator_is_in_no_part_of_an_intervention():
    words = [*LIVE_FIELDS, *(c for name in LIVE_FIELDS for c in FIELDS[name].choices)]
    assert not any("_" in word for word in words)


def test_a_batch_sharpness_comes_with_its_batches_and_goes_without_them():
    query = {"problem": "chebyshev-mlp", "batch_size": "10", "batch_sharpness_every": "5"}
    found = from_query(query)
    assert (found.config.batch_size, found.config.batch_sharpness_every) == (10, 5)
    assert not found.complaints
    without = from_query({**query, "batch_size": "20"})
    assert (without.config.batch_size, without.config.batch_sharpness_every) == (20, 0)
    (complaint,) = without.complaints
    assert "must be 0 with the full batch, got 5" in complaint


def test_a_changed_default_needs_a_new_version():
    """A link names only what differs: with other defaults, old links would mean other runs."""
    assert {name: field.default for name, field in FIELDS.items()} == DEFAULTS_OF_VERSION_1
    texts = {
        name: " ".join(f"{f.name}={links._text(f, f.default)}" for f in spec.options)
        for name, spec in PROBLEMS.items()
    }
    assert texts == OPTIONS_OF_VERSION_1
    assert links.VERSION == 1


# --- what is not as it should be -------------------------------------------------------------


@pytest.mark.parametrize(
    ("query", "nearest", "complaint"),
    [
        ({"eta": "1e7"}, {"eta": 1e6}, "eta must be a number > 0 and <= 1e+06, got '1e7'; 1000000"),
        ({"eta": "0"}, {"eta": 1.0}, "got '0'; 1 is taken"),
        ({"eta": "-inf"}, {"eta": 1.0}, "got '-inf'; 1 is taken"),
        ({"rho": "-3"}, {"rho": 0.0}, "rho must be a number >= 0 and <= 1000, got '-3'; 0 is"),
        ({"rho": "inf"}, {"rho": 1000.0}, "got 'inf'; 1000 is taken"),
        ({"rho": "nan"}, {"rho": 0.05}, "got 'nan'; 0.05 is taken"),
        ({"rho": "wide"}, {"rho": 0.05}, "got 'wide'; 0.05 is taken"),
        ({"rho": ""}, {"rho": 0.05}, "got ''; 0.05 is taken"),
        ({"seed": "2.7"}, {"seed": 3}, "seed must be a whole number"),
        ({"seed": "9" * 5000}, {"seed": 2**31 - 1}, "got '9999"),
        ({"top_k": "1e400"}, {"top_k": 10}, "got '1e400'; 10 is taken"),
        ({"rule": "SAM"}, {"rule": "sam"}, "rule must be one of gd, sam, usam, polyak, nesterov"),
        ({"rule": "polyack"}, {"rule": "polyak"}, "got 'polyack'; polyak is taken"),
        ({"rule": "<b>"}, {"rule": "sam"}, "got '<b>'; sam is taken"),
        ({"problem": "quadratics"}, {"problem": "quadratic"}, "got 'quadratics'; quadratic is"),
        ({"problem": "?"}, {}, "got '?'; digits-mlp is taken"),
        ({"et": "2"}, {}, "is called 'et' (did you mean eta?); there are: problem, rule, eta,"),
        ({"a": "2"}, {}, "no setting or option of digits-mlp is called 'a'; there are: "),
        ({"batch_size": "501"}, {"batch_size": 500}, "at most the data size, 500, got 501; 500"),
        ({"width": "0"}, {"options": {"width": 1}}, "width must be a whole number >= 1"),
        ({"v": "2"}, {}, "v must be 1, got '2': a newer version of this program made the link"),
        ({"v": "one"}, {}, "v must be 1, got 'one': it is read as that"),
        ({"path": "/etc/passwd"}, {}, "path is never taken from a link, got '/etc/passwd'"),
    ],
)
def test_the_nearest_configuration_and_why(query, nearest, complaint):
    shared = from_query({"v": "1", **query})
    assert shared.config == se.RunConfig(**nearest)
    assert len(shared.complaints) == 1
    assert complaint in shared.complaints[0]


@pytest.mark.parametrize(
    ("problem", "query", "options", "complaint"),
    [
        ("quadratic", {"eigenvalues": "1_2e9"}, {"eigenvalues": (1, 1e6)}, "got '1_2e9'; 1_1000"),
        ("quadratic", {"eigenvalues": "1_x"}, {}, "got '1_x'; 6_2_0.6 is taken"),
        ("quadratic", {"eigenvalues": "_".join("5" * 201)}, {"eigenvalues": [5] * 200}, "5_5..."),
        ("quadratic", {"rotated": "fals"}, {"rotated": False}, "got 'fals'; false is taken"),
        ("quadratic", {"rotated": "maybe"}, {}, "true or false, got 'maybe'; true is taken"),
        ("quadratic", {"batch_size": "1"}, {}, "must be 0, since quadratic has no data, got 1"),
        ("digits-mlp", {"n_test": "1298"}, {"n_test": 1297}, "500 leaves of 1,797, got 1,298"),
        ("digits-cnn", {"n": "1797", "n_test": "1"}, {"n": 1797}, "at most 0, what a data size"),
        ("own-text", {"path": "/tmp/own.txt"}, {}, "path is never taken from a link"),
        ("own-text", {"paht": "x"}, {}, "'paht'; there are: problem"),
    ],
)
def test_the_nearest_options_and_why(problem, query, options, complaint):
    shared = from_query({"v": "1", "problem": problem, **query})
    assert shared.config == se.RunConfig(problem=problem, options=options)
    assert len(shared.complaints) == 1
    assert complaint in shared.complaints[0]


@pytest.mark.parametrize(
    ("at", "found", "complaint"),
    [
        ("5_eta_2__x_rho_1", [(5, {"eta": 2.0})], "from 0 to 1,299, got 'x'; what it changes is"),
        ("nan_eta_2", [], "from 0 to 1,299, got 'nan'"),
        ("-4_eta_2", [(0, {"eta": 2.0})], "got '-4'; 0 is taken"),
        ("4.6_eta_2", [(5, {"eta": 2.0})], "got '4.6'; 5 is taken"),
        ("1300_eta_2", [], "a step in at must be a whole number from 0 to 1,299, got '1300'"),
        ("5_eta_1e9", [(5, {"eta": 1e6})], "got '1e9'; 1000000 is taken"),
        ("5_eta_0_rho_0", [(5, {"rho": 0.0})], "got '0'; it stays as it is"),
        ("5_rule_gdd", [(5, {"rule": "gd"})], "got 'gdd'; gd is taken"),
        ("5_rule_%", [], "got '%'; it stays as it is"),
        ("5_seed_2_eta_2", [(5, {"eta": 2.0})], "changes mid-run is called 'seed'; there are: rul"),
        ("5_etta_2", [], "'etta' (did you mean eta?)"),
        ("5_eta", [], "STEP_NAME_VALUE, as in 120_eta_0.5_rho_0.1, got '5_eta'; it is left out"),
        ("5_eta_2__", [(5, {"eta": 2.0})], "got ''; it is left out"),
        ("120:eta=0.5", [], "got '120:eta=0.5'; it is left out"),
    ],
)
def test_the_nearest_interventions_and_why(at, found, complaint):
    shared = from_query({"v": "1", "at": at})
    assert shared.config == se.RunConfig()
    assert [(item.step, dict(item.changes)) for item in shared.interventions] == found
    assert len(shared.complaints) == 1
    assert complaint in shared.complaints[0]


def test_no_interventions_are_no_fault():
    assert from_query({"v": "1", "at": ""}) == Shared(se.RunConfig())
    assert from_query({}) == Shared(se.RunConfig())
    assert not is_link({"run": "x"})


def test_a_setting_alone_is_a_link_too():
    query = {"problem": "points-mlp", "noise": "0.5"}
    assert is_link(query)
    options = {"noise": 0.5}
    assert from_query(query) == Shared(se.RunConfig(problem="points-mlp", options=options))


def test_parameters_of_the_page_are_not_looked_at():
    query = {"v": "1", "eta": "2", "run": "abc", "large": "true"}
    assert from_query(query, ignore=PAGE_PARAMETERS) == Shared(se.RunConfig(eta=2))
    assert len(from_query(query).complaints) == 2


def test_too_much_is_left_out_whole():
    shared = from_query({"v": "1", "at": "1_eta_2__" * 1000, "rho": "0.1"})
    assert shared.config == se.RunConfig(rho=0.1)
    assert shared.interventions == ()
    assert shared.complaints == (
        "a link has at most 8,000 characters; 'at', of 9,004, is left out",
    )
    many = "__".join(f"{step}_eta_{step + 2}" for step in range(205))
    shared = from_query({"v": "1", "at": many})
    assert len(shared.interventions) == 200
    assert shared.complaints == (
        "at holds at most 200 interventions, got 205; the others are left out",
    )


def test_complaints_do_not_flood_the_page():
    shared = from_query({"v": "1", **{f"x{k}": "y" * 50 for k in range(120)}})
    assert len(shared.complaints) == 21
    assert shared.complaints[-1] == "and 100 more"
    assert all(
        len(text) < 500 for text in from_query({"v": "1" * 5000, "z" * 2900: "1"}).complaints
    )


# --- any text at all -------------------------------------------------------------------------

numbers = st.one_of(st.floats().map(repr), st.integers().map(str))
words = st.sampled_from([c for field in FIELDS.values() for c in field.choices])
known = st.sampled_from(
    ["v", "at", *FIELDS, *{field.name for spec in PROBLEMS.values() for field in spec.options}]
)
# surrogates too: a link may hold any bytes
text = st.text(st.characters(), max_size=30) | st.text("0123456789.e-_ ,+nif", max_size=12)
steps = st.lists(st.one_of(numbers, words, text, st.sampled_from(LIVE_FIELDS)), max_size=12)


@settings(max_examples=FUZZ)
@given(
    st.dictionaries(
        st.one_of(known, text), st.one_of(numbers, words, text, steps.map("_".join)), max_size=20
    )
)
def test_any_mapping_gives_a_valid_configuration(query):
    shared = from_query(query)
    assert isinstance(shared.config, se.RunConfig)
    assert shared.config.replace() == shared.config  # checked again, value by value
    assert shared.interventions == as_recorded(shared.config, shared.interventions)
    again = from_query(to_query(shared.config, shared.interventions))
    assert again == Shared(shared.config, shared.interventions)


@settings(max_examples=FUZZ)
@given(configs(), interventions, st.data())
def test_a_damaged_link_gives_a_valid_configuration(config, made, data):
    query = to_query(config.replace(steps=30), made)
    name = data.draw(st.sampled_from(sorted(query)))
    place = data.draw(st.integers(0, len(query[name])))
    query[name] = query[name][:place] + data.draw(text) + query[name][place + 1 :]
    shared = from_query(query)
    assert shared.config.replace() == shared.config
    assert shared.interventions == as_recorded(shared.config, shared.interventions)
