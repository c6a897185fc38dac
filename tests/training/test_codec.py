"""The codec: what is refused is named by its place, with the value and what is allowed."""

from typing import Any, Literal

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from samedge_core.fields import ConfigError
from samedge_core.training import codec
from samedge_core.training.config import RunConfig
from samedge_core.training.history import Intervention
from samedge_core.training.plan import Replay
from samedge_core.training.stop import Stop
from tests.fuzz import FUZZ, taken


class Part(msgspec.Struct, forbid_unknown_fields=True):
    kind: Literal["a", "b"]
    size: int | None
    more: dict[str, Any] = {}


class Whole(msgspec.Struct, forbid_unknown_fields=True):
    name: str
    part: Part | None = None
    parts: tuple[Part, ...] = ()
    made: list[Intervention] = []
    stop: Stop | None = None


PART = {"kind": "a", "size": 1}


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ([], r"a whole must be a JSON object, got \[\]"),
        ({}, "a whole needs name"),
        ({"name": 1}, "a whole's name must be a text, got 1"),
        (
            {"name": "x", "nam": 1},
            "a whole: nothing is called 'nam'; there are: name, part, parts,",
        ),
        ({"name": "x", "part": 3}, "a whole's part must be a JSON object, got 3"),
        ({"name": "x", "part": {"kind": "c"}}, "a whole's part: kind must be one of a, b, got 'c'"),
        (
            {"name": "x", "part": {"kind": "a"}},
            "part: size must be a whole number or null, got Non",
        ),
        ({"name": "x", "part": {**PART, "size": 1.5}}, "part: size must be a whole .* got 1.5"),
        ({"name": "x", "part": {**PART, "size": True}}, "part: size must be a whole .* got True"),
        (
            {"name": "x", "part": {**PART, "by": 2}},
            "part: nothing is called 'by'; there are: kind, ",
        ),
        ({"name": "x", "part": {**PART, "more": []}}, "part: more must be a JSON object, got"),
        (
            {"name": "x", "parts": PART},
            "a whole's parts must be a list, got {'kind': 'a', 'size': 1}",
        ),
        ({"name": "x", "parts": [PART, 5]}, "a whole's part 2 must be a JSON object, got 5"),
        (
            {"name": "x", "parts": [{**PART, "y" * 99: 1}]},
            "part 1: nothing is called 'yyy.*yyy'; the",
        ),
        ({"name": "x", "made": [{"step": 1, "changes": {"eta": -1}}]}, "made 1: eta must be .* -1"),
        ({"name": "x", "made": [{"step": 1, "changes": {"seed": 1}}]}, "made 1: seed can't change"),
        ({"name": "x", "stop": {"reason": "bored"}}, "stop: reason must be one of .*, got 'bored'"),
    ],
)
def test_what_does_not_fit_is_refused_by_its_place(values, message):
    with pytest.raises(
        ConfigError, match=f"^{message}" if message.startswith("a ") else message
    ) as e:
        codec.convert(values, Whole, "a whole")
    assert len(str(e.value)) < 300


def test_a_dataclass_is_as_strict():
    with pytest.raises(ConfigError, match="nothing is called 'by'; there are: config, in"):
        codec.convert({"by": 1}, Replay, "a replay")
    with pytest.raises(ConfigError, match="a replay needs interventions"):
        codec.convert({"config": 1}, Replay, "a replay")


def test_what_fits_comes_as_its_type():
    made = [{"step": 3, "changes": {"eta": 1}}]
    found = codec.convert({"name": "x", "parts": [PART], "made": made}, Whole, "a whole")
    assert found == Whole("x", parts=(Part("a", 1),), made=[Intervention(3, {"eta": 1.0})])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[" * 100_000, r"nested too deeply; got '\[\["),
        ('{"a":' * 100_000, "nested too deeply"),
        ("9" * 5000, "not a JSON file: Exceeds the limit .* got '9999"),
        ('["\\ud800"]', "not a JSON file: .*surrogates not allowed"),
        ('{"\\uDFFF": 1}', "not a JSON file: .*surrogates not allowed"),
        (b"caf\xe9", "not a JSON file: .*invalid continuation byte|unexpected end"),
    ],
)
def test_what_no_file_can_hold_is_refused(text, message):
    with pytest.raises(ConfigError, match=message) as caught:
        codec.parse(text)
    assert len(str(caught.value)) < 300


def test_a_character_in_two_halves_is_one():
    assert codec.parse(r'["\ud83d\ude00", "\\ud8"]') == ["\U0001f600", "\\ud8"]


@settings(max_examples=FUZZ, deadline=None)
@given(st.text() | st.binary() | st.text('{}[]":,\\ud80e9-.tfn ').map(str.strip))
def test_any_text_is_taken_or_refused_in_words(text):
    config = taken(lambda: RunConfig.from_json(text), ConfigError)  # pyright: ignore
    assert config is None or config == RunConfig.from_json(config.to_json())
