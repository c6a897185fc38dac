"""RunRecord: all of it comes back from its JSON, and nothing else is taken for one."""

import json
import math
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from samedge_core.fields import LARGEST_INT
from samedge_core.store import Origin, RunRecord
from samedge_core.store.record import LATEST, MOST_FACTS, machine, versions
from samedge_core.training.history import Intervention
from samedge_core.training.stop import Stop, StopReason
from tests.store.made import SMALL, record

steps = st.integers(0, 10**7)
ids = st.text("0123456789abcdefXYZ", min_size=1, max_size=64)
changes = st.fixed_dictionaries(
    {},
    optional={
        "eta": st.floats(1e-300, 1e6),
        "rho": st.floats(0, 1e3),
        "beta": st.floats(0, 0.9999),
        "rule": st.sampled_from(["gd", "sam", "usam"]),
    },
)
records = st.builds(
    RunRecord,
    id=ids.map(lambda run: f"{run[:63]}r"),  # none comes from itself
    config=st.builds(
        SMALL.replace,
        eta=st.floats(1e-300, 1e6),
        seed=st.integers(0, 2**31 - 1),
        top_k=st.integers(1, 10),
    ),
    stretch=st.integers(1, 10**7),
    created=st.floats(0, LATEST, exclude_max=True),
    origin=st.none() | st.builds(Origin, ids, steps, st.sampled_from(["fork", "rewind"])),
    parameters=st.none() | st.integers(1, 10**9),
    interventions=st.lists(st.builds(Intervention, steps, changes, changes)).map(tuple),
    stop=st.none() | st.builds(Stop, st.sampled_from(StopReason), steps, st.text()),
    versions=st.dictionaries(st.text(), st.text()),
    machine=st.dictionaries(
        st.text(),
        st.text() | st.integers(-LARGEST_INT, LARGEST_INT) | st.none(),
        max_size=MOST_FACTS,
    ),
)


@given(records)
def test_a_record_comes_back_from_its_json(record):
    assert RunRecord.from_json(record.to_json()) == record


def test_it_says_what_decides_a_runs_numbers():
    assert set(versions()) == {"python", "torch", "numpy"}
    assert record().versions == versions()
    assert record().machine == machine()


def altered(**new) -> str:
    """A record with some values replaced, whose checksum nobody has written."""
    values = json.loads(record(origin=Origin("b", 3)).to_json())
    del values["crc32"]
    return json.dumps({**values, **new})


def test_a_record_without_a_checksum_is_read():
    assert RunRecord.from_json(altered(stretch=7)).stretch == 7


@pytest.mark.parametrize(
    ("new", "message"),
    [
        ({"schema": 2}, "schema must be 1, got 2: a newer version of this program wrote it"),
        ({"schema": None}, "schema must be 1, got None"),
        ({"id": "../up"}, r"a run's id must be up to 64 letters and digits, got '\.\./up'"),
        ({"id": ""}, "a run's id must be"),
        ({"id": "a" * 65}, "a run's id must be"),
        ({"id": "ä"}, "a run's id must be"),
        ({"id": 5}, "a run's id must be"),
        ({"origin": {"parent": "a/b", "step": 1, "branch": "fork"}}, "a run's id must be"),
        ({"origin": {"parent": "a", "step": 1, "branch": "twig"}}, "fork, rewind, got 'twig'"),
        ({"config": {"schema": 1, "eta": -1}}, "eta must be"),
        ({"interventions": [{"step": 1, "changes": {"seed": 2}, "before": {}}]}, "seed can't"),
        ({"interventions": [{"step": 1, "changes": {}, "before": {"eta": "<b>"}}]}, "got '<b>'"),
        ({"machine": {"arithmetic": "exact"}}, "one of compiled, plain, got 'exact'"),
        (
            {"stop": {"reason": "bored", "step": 1, "what": ""}},
            "reason must be one of diverged, .*, failed, got 'bored'",
        ),
    ],
)
def test_what_is_no_record_is_refused(new, message):
    with pytest.raises((ValueError, LookupError), match=message):
        RunRecord.from_json(altered(**new))


def test_every_changed_digit_is_noticed():
    expected = record(created=math.pi, stop=Stop(StopReason.STOPPED, 12, "by hand"))
    text = expected.to_json()
    for position in (i for i, character in enumerate(text) if character.isdigit()):
        changed = "1" if text[position] == "0" else "0"
        bad = text[:position] + changed + text[position + 1 :]
        with pytest.raises((ValueError, LookupError)):
            RunRecord.from_json(bad)


def test_the_arithmetic_of_a_run_is_that_of_its_history():
    assert record().arithmetic == record().empty_history().arithmetic == "compiled"
    plain = record().on(arithmetic="plain", threads=2)
    assert plain.arithmetic == plain.empty_history().arithmetic == "plain"
    assert plain.machine == {**machine(), "arithmetic": "plain", "threads": 2}
    assert RunRecord.from_json(plain.to_json()) == plain


def test_an_empty_history_has_the_records_configuration_and_no_rows():
    history = replace(record(), parameters=454).empty_history()
    assert (len(history), history.config, history.parameters) == (0, SMALL, 454)
