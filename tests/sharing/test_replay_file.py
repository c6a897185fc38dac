"""Replay files: a run comes back, and what strangers wrote is refused in words."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import samedge_core as se
from samedge_core.sharing.replay_file import ExchangeError, from_json, to_json
from samedge_core.training.plan import Replay, as_recorded
from tests.sharing.test_links import interventions, without_path
from tests.training.test_config import configs

CONFIG = {"schema": 1, "problem": "two-weight", "eta": 0.3, "steps": 30}
GOOD = {
    "samedge": "replay",
    "schema": 1,
    "config": CONFIG,
    "interventions": [{"step": 5, "changes": {"eta": 0.2}}],
}


def with_interventions(*items: Any) -> dict[str, Any]:
    return {**GOOD, "interventions": list(items)}


@given(configs(), interventions)
def test_every_run_comes_back(config, made):
    config = without_path(config).replace(steps=30)
    text = to_json(config, made, about={"title": "δ", "versions": {"torch": "2"}})
    expected = Replay(config, as_recorded(config, made))
    assert from_json(text) == expected
    assert from_json(text.encode()) == expected
    assert from_json("\ufeff" + text) == expected


@given(st.integers(1, 25), st.lists(st.integers(0, 30), max_size=6), st.data())
def test_as_recorded_is_what_the_run_records(steps, at, data):
    values = {"eta": (0.1, 0.2), "rho": (0.0, 0.05), "rule": ("gd", "sam"), "beta": (0.9, 0.5)}
    some = st.fixed_dictionaries({}, optional={n: st.sampled_from(v) for n, v in values.items()})
    made = [se.Intervention(step, data.draw(some)) for step in sorted(at)]
    config = se.RunConfig(problem="two-weight", eta=0.1, steps=steps)
    assert se.run(config, interventions=made).interventions == list(as_recorded(config, made))


def test_the_file_says_what_it_is():
    record = json.loads(to_json(se.RunConfig(), [se.Intervention(3, {"eta": 2})]))
    assert list(record) == ["samedge", "schema", "config", "interventions", "about"]
    assert (record["samedge"], record["schema"]) == ("replay", 1)
    assert record["config"] == json.loads(se.RunConfig().to_json())
    assert record["interventions"] == [{"step": 3, "changes": {"eta": 2.0}}]


def test_a_short_file_is_filled_up_with_defaults():
    replay = from_json(json.dumps(GOOD))
    assert replay.config == se.RunConfig(problem="two-weight", eta=0.3, steps=30)
    assert replay.interventions == (se.Intervention(5, {"eta": 0.2}, {"eta": 0.3}),)


def test_a_file_of_ones_own_is_refused_on_the_way_out():
    config = se.RunConfig(problem="own-text", options={"path": "/home/me/secret.txt"})
    with pytest.raises(ExchangeError, match="a replay can't contain, got problem own-text") as e:
        to_json(config)
    assert "secret" not in str(e.value)
    assert from_json(to_json(without_path(config))).config == without_path(config)


@pytest.mark.parametrize("about", [{"x": object()}, {"x": float("nan")}, {("a", "b"): 1}])
def test_about_must_be_json(about):
    with pytest.raises(ExchangeError, match="about must be JSON, got"):
        to_json(se.RunConfig(), about=about)


def test_what_could_not_be_read_is_not_written():
    with pytest.raises(ExchangeError, match="at most 1,000,000 bytes, got 2,0"):
        to_json(se.RunConfig(), about={"title": "x" * 2_000_000})
    made = [se.Intervention(step, {"eta": 1 + step % 2}) for step in range(1, 10_003)]
    config = se.RunConfig(steps=20_000)
    with pytest.raises(ExchangeError, match="there may be 10,000 interventions, got 10,00"):
        to_json(config, made)
    assert len(from_json(to_json(config, made[:10_000])).interventions) > 9_990


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        ([], r"a replay must be a JSON object, got \[\]"),
        ("replay", "a replay must be a JSON object, got 'replay'"),
        ({}, 'not a replay: "samedge" must be "replay", got None'),
        ({"samedge": "run"}, "must be \"replay\", got 'run'"),
        ({**GOOD, "schema": 2}, "^schema must be 1, got 2: a newer version of this program wrote"),
        ({**GOOD, "schema": True}, "schema must be 1, got True"),
        ({**GOOD, "schema": None}, "schema must be 1, got None$"),
        ({**GOOD, "code": "x"}, "nothing is called 'code'; there are: samedge, schema, config,"),
        ({"samedge": "replay", "schema": 1, "config": CONFIG}, "a replay needs interventions"),
        ({**GOOD, "arithmetic": "exact"}, "must be one of compiled, plain, got 'exact'"),
        ({**GOOD, "arithmetic": ["plain"]}, r"must be one of compiled, plain, got \['plain'\]"),
        ({**GOOD, "about": 3}, "about must be a JSON object, got 3"),
        ({**GOOD, "config": None}, "config must be a JSON object, got None"),
        ({**GOOD, "config": {"eta": 1}}, "config: schema must be 1, got None"),
        ({**GOOD, "config": {"schema": 3}}, "config: schema must be 1, got 3: a newer version"),
        ({**GOOD, "config": {**CONFIG, "lr": 1}}, "config: nothing is called 'lr'; there are: pro"),
        ({**GOOD, "config": {**CONFIG, "eta": -1}}, "config: eta must be a number > 0 .* got -1"),
        ({**GOOD, "config": {**CONFIG, "eta": [[1]]}}, r"config: eta must be .* got \[\[1\]\]"),
        ({**GOOD, "config": {**CONFIG, "eta": 10**400}}, "config: eta must be .* got 1000"),
        ({**GOOD, "config": {**CONFIG, "problem": {}}}, "config: problem must be one of .*got {}"),
        ({**GOOD, "config": {**CONFIG, "batch_size": 3}}, "batch_size must be 0: two-weight has"),
        (
            {**GOOD, "config": {**CONFIG, "options": [1]}},
            r"config: options must be a mapping of names to values, got \[1\]",
        ),
        (
            {**GOOD, "config": {**CONFIG, "options": {"n": 1}}},
            "config: problem two-weight has no option 'n'; it has: a, b",
        ),
        ({**GOOD, "config": {**CONFIG, "options": {"a": 11}}}, "config: a must be .* got 11"),
        (
            {**GOOD, "config": {"schema": 1, "problem": "own-text", "options": {"path": "a.txt"}}},
            "the option path names a file of one's own, which a replay can't contain",
        ),
        ({**GOOD, "interventions": {}}, "interventions must be a list, got {}"),
        (with_interventions(5), "intervention 1 must be a JSON object, got 5"),
        (with_interventions({"step": 5}), "intervention 1: changes must be a JSON object, got No"),
        (with_interventions({"changes": {}}), "intervention 1: step must be .* 0 to 29, got None"),
        (with_interventions({"step": True, "changes": {}}), "from 0 to 29, got True"),
        (with_interventions({"step": -1, "changes": {}}), "from 0 to 29, got -1"),
        (with_interventions({"step": 2.5, "changes": {}}), "from 0 to 29, got 2.5"),
        (with_interventions({"step": 30, "changes": {}}), "from 0 to 29, got 30"),
        (
            with_interventions({"step": 8, "changes": {}}, {"step": 7, "changes": {}}),
            r"intervention 2: step must be a whole number from 8 to 29 \(they must be in order; the"
            r" one before is at 8\), got 7",
        ),
        (with_interventions({"step": 1, "changes": {}, "by": 1}), "1: nothing is called 'by'; the"),
        (
            with_interventions({"step": 1, "changes": {"seed": 2}}),
            "1: seed can't change mid-run; what",
        ),
        (with_interventions({"step": 1, "changes": {"eta": 0}}), "intervention 1: eta must be .*0"),
        (with_interventions(*[GOOD["interventions"][0]] * 10_001), "may be 10,000 .* got 10,001"),
    ],
)
def test_what_is_no_replay_is_refused(bad, message):
    with pytest.raises(ExchangeError, match=message) as caught:
        from_json(json.dumps(bad))
    assert len(str(caught.value)) < 500


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "not a JSON file: Expecting value: .*; got ''"),
        ("{", "not a JSON file"),
        (b"PK\x03\x04\xff\xfe", "not a JSON file: 'utf-8' codec can't decode"),
        (json.dumps(GOOD).encode("utf-16"), "not a JSON file: 'utf-8' codec"),
        (json.dumps(GOOD) + "}", "Extra data"),
        (" " * 1_000_001, "at most 1,000,000 bytes, got 1,000,001"),
        ("δ" * 600_000, "at most 1,000,000 bytes, got 1,200,000"),
        (b" " * 1_000_001, "at most 1,000,000 bytes, got 1,000,001"),
        ("[" * 900_000, "nested too deeply"),
        ('{"a":' * 150_000, "nested too deeply"),
        ('{"config": NaN}', "numbers must be finite, got NaN"),
        ('{"config": [-Infinity]}', "numbers must be finite, got -Infinity"),
        ('{"eta": 1, "rho": 2, "eta": 3}', "once in an object, got 'eta' twice"),
        ('{"eta": ' + "9" * 5000 + "}", "not a JSON file: Exceeds the limit"),
        ('{"' + "x" * 900_000 + '": 1, "samedge": "replay", "schema": 1}', "called 'xxx"),
        (json.dumps(GOOD).replace("0.3", "1e999"), "config: eta must be .* got inf"),
    ],
)
def test_bytes_that_are_no_replay_are_refused(text, message):
    with pytest.raises(ExchangeError, match=message) as caught:
        from_json(text)
    assert len(str(caught.value)) < 500


def test_depth_below_the_limit_of_the_parser_is_refused_too():
    for depth in range(100, 3000, 50):
        deep = "[" * depth + "]" * depth
        with pytest.raises(ExchangeError, match=r"config: eta must be|nested too deeply"):
            from_json(json.dumps(GOOD).replace("0.3", deep))


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=9),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=9), inner),
    max_leaves=10,
)


def accepted_or_refused(text: str | bytes) -> None:
    try:
        replay = from_json(text)
    except ExchangeError:
        return
    text = to_json(replay.config, replay.interventions, arithmetic=replay.arithmetic or "compiled")
    assert from_json(text) == replay


@pytest.mark.parametrize("arithmetic", ["compiled", "plain"])
def test_the_arithmetic_comes_back(arithmetic):
    assert from_json(to_json(se.RunConfig(), arithmetic=arithmetic)).arithmetic == arithmetic


def test_a_replay_that_says_nothing_of_it_is_of_a_compiled_run():
    assert from_json(json.dumps(GOOD)).arithmetic == "compiled"


@given(st.text() | st.binary() | json_values.map(json.dumps))
def test_any_text_is_accepted_or_refused(text):
    accepted_or_refused(text)


@given(configs(), interventions, json_values, st.data())
def test_any_value_anywhere_is_accepted_or_refused(config, made, value, data):
    record = json.loads(to_json(without_path(config).replace(steps=30), made))
    places = [record, record["config"], record["config"]["options"], *record["interventions"]]
    places += [item["changes"] for item in record["interventions"]]
    place = data.draw(st.sampled_from(places))
    place[data.draw(st.sampled_from(sorted(place)) | st.text(max_size=5))] = value
    accepted_or_refused(json.dumps(record))


@pytest.mark.parametrize("name", ["x` - at `$.b", "a - at `$.steps[0].c", "x` - at `$[7]"])
def test_a_name_that_looks_like_a_place_is_refused_as_any_other(name):
    inside = {"step": 1, "changes": {}, name: 1}
    for text in (json.dumps({**GOOD, name: 1}), json.dumps({**GOOD, "interventions": [inside]})):
        with pytest.raises(ExchangeError, match="replay"):
            from_json(text)
