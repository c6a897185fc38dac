"""Fields: what each kind takes, how it says no, and that text and value are inverse."""

import dataclasses
import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from samedge_core.fields import (
    LARGEST_INT,
    ConfigError,
    Field,
    abridged,
    check_all,
    defaults,
    printable,
)
from samedge_core.problems.registry import PROBLEMS
from samedge_core.training.config import FIELDS
from tests.fuzz import FUZZ, taken

FLOAT = Field("size", "float", 1.0, "Size", "", low=0, open_low=True, high=10)
INT = Field("count", "int", 3, "Count", "", low=-5, high=2**53)
CHOICE = Field("colour", "choice", "red", "Colour", "", choices=("red", "blue"))
WHOLE = Field("whole", "int", 0, "Whole", "", low=0)
BOOL = Field("flag", "bool", False, "Flag", "")
FLOATS = Field("list", "floats", (1.0,), "List", "")
FREE = Field("free", "float", 0.0, "Free", "")

ALL_FIELDS = [*FIELDS.values(), *(f for spec in PROBLEMS.values() for f in spec.options)]


@pytest.mark.parametrize(
    ("field", "given_", "expected"),
    [
        (FLOAT, "2.5", 2.5),
        (FLOAT, 10, 10.0),
        (INT, "4", 4),
        (INT, 4.0, 4),
        (INT, "1e3", 1000),
        (CHOICE, "blue", "blue"),
        (BOOL, " Yes ", True),
        (BOOL, "off", False),
        (BOOL, 1, True),
        (BOOL, True, True),
        (FLOATS, "1, 2.5 -3", (1.0, 2.5, -3.0)),
        (FLOATS, [1, 2], (1.0, 2.0)),
    ],
)
def test_check_gives_the_fields_own_type(field, given_, expected):
    got = field.check(given_)
    assert got == expected
    assert type(got) is type(expected)


@pytest.mark.parametrize(
    ("field", "bad", "message"),
    [
        (FLOAT, 0, "size must be a number > 0 and <= 10, got 0"),
        (FLOAT, 10.5, "size must be a number > 0 and <= 10, got 10.5"),
        (FLOAT, "a", "size must be a number > 0 and <= 10, got 'a'"),
        (FLOAT, math.nan, "size must be a number > 0 and <= 10, got nan"),
        (FLOAT, math.inf, "size must be a number > 0 and <= 10, got inf"),
        (FLOAT, True, "size must be a number > 0 and <= 10, got True"),
        (FLOAT, None, "size must be a number > 0 and <= 10, got None"),
        (FREE, 10**400, f"free must be a number, got 1{'0' * 27}...{'0' * 29}"),
        (INT, 1.5, f"count must be a whole number >= -5 and <= {2**53}, got 1.5"),
        (INT, -6, f"count must be a whole number >= -5 and <= {2**53}, got -6"),
        (INT, False, f"count must be a whole number >= -5 and <= {2**53}, got False"),
        (CHOICE, "green", "colour must be one of red, blue, got 'green'"),
        (CHOICE, ["red"], "colour must be one of red, blue, got ['red']"),
        (BOOL, "perhaps", "flag must be true or false, got 'perhaps'"),
        (BOOL, None, "flag must be true or false, got None"),
        (FLOATS, "", "list must be a list of numbers, got ''"),
        (FLOATS, [], "list must be a list of numbers, got []"),
        (FLOATS, 3, "list must be a list of numbers, got 3"),
        (FLOATS, "1, x", "list must be a list of numbers, got '1, x'"),
        (
            FLOATS,
            [1.0] * 201,
            "list must be a list of numbers, got [1.0, 1.0, 1.0, 1.0, 1.0, 1.0, ...]",
        ),
    ],
)
def test_refusals_show_what_is_allowed_and_what_came(field, bad, message):
    with pytest.raises(ConfigError) as caught:
        field.check(bad)
    assert str(caught.value) == message
    assert caught.value.field == field.name


FINITE = st.floats(allow_nan=False, allow_infinity=False)


@given(FINITE)
def test_text_of_a_float_reads_back(value):
    assert FREE.check(FREE.text(value)) == value


@given(st.lists(FINITE, min_size=1, max_size=200).map(tuple))
def test_text_of_a_list_reads_back(values):
    assert FLOATS.check(FLOATS.text(values)) == values


@given(st.integers(-5, 2**53), st.booleans(), st.sampled_from(CHOICE.choices))
def test_text_of_the_other_kinds_reads_back(number, flag, choice):
    assert INT.check(INT.text(number)) == number
    assert BOOL.check(BOOL.text(flag)) is flag
    assert CHOICE.check(CHOICE.text(choice)) == choice


def test_text_is_short():
    assert FLOAT.text(1.0) == "1"
    assert FLOAT.text(0.05) == "0.05"
    assert FLOATS.text((6.0, 2.0, 0.6)) == "6, 2, 0.6"
    assert BOOL.text(True) == "true"


def test_minus_zero_becomes_zero():
    # equal configurations must have equal texts and hashes
    assert math.copysign(1, FREE.check(-0.0)) == 1


@pytest.mark.parametrize("field", ALL_FIELDS, ids=lambda f: f.name)
def test_every_declared_field_is_consistent(field):
    checked = field.check(field.default)
    assert checked == field.default
    assert type(checked) is type(field.default)
    assert field.check(field.text(field.default)) == field.default
    assert field.label
    assert field.help
    assert len(field.titles) in (0, len(field.choices))
    if field.suggested:
        low, high = field.suggested
        assert low < high
        assert field.check(low) == low
        assert field.check(high) == high


@pytest.mark.parametrize(
    "field", [f for f in ALL_FIELDS if f.low is not None], ids=lambda f: f.name
)
def test_every_declared_range_ends_where_it_says(field):
    wrap = (lambda x: [x]) if field.kind == "floats" else (lambda x: x)
    assert field.high is not None
    field.check(wrap(field.high))
    outside = [field.low - 1, field.high + 1]
    if field.open_low:
        outside.append(field.low)
    else:
        field.check(wrap(field.low))
    for value in outside:
        with pytest.raises(ConfigError, match=field.name):
            field.check(wrap(value))


def test_check_all_overlays_the_defaults():
    assert defaults([FLOAT, BOOL]) == {"size": 1.0, "flag": False}
    assert check_all([FLOAT, BOOL], {"flag": "on"}, "a thing") == {"size": 1.0, "flag": True}


def test_check_all_names_what_it_does_not_know():
    with pytest.raises(ConfigError, match=r"^a thing has no option 'x'; it has: size, flag$"):
        check_all([FLOAT, BOOL], {"x": 1}, "a thing")
    with pytest.raises(ConfigError, match="it has: none"):
        check_all([], {"x": 1}, "a thing")


def test_a_field_cannot_be_changed():
    with pytest.raises(dataclasses.FrozenInstanceError):
        FLOAT.high = 20  # pyright: ignore[reportAttributeAccessIssue]


def test_values_are_abridged_and_escaped_in_messages():
    assert abridged(10**5000) == "a whole number of 16,610 bits"  # Python writes no more digits
    assert len(abridged("a" * 10**6)) <= 60
    assert abridged("a\x1b[31m\n") == "'a\\x1b[31m\\n'"
    nested: list[object] = []
    for _ in range(10_000):
        nested = [nested]
    assert len(abridged(nested)) <= 60


@pytest.mark.parametrize("value", [2**53 + 1, LARGEST_INT, str(2**53 + 1), str(LARGEST_INT)])
def test_whole_numbers_are_exact_in_63_bits(value):
    assert WHOLE.check(value) == int(value)


@pytest.mark.parametrize("value", [LARGEST_INT + 1, str(LARGEST_INT + 1), "9" * 5000, 1e19, "1e19"])
def test_whole_numbers_beyond_63_bits_are_refused(value):
    with pytest.raises(ConfigError, match="whole must be a whole number >= 0, got") as caught:
        WHOLE.check(value)
    assert len(str(caught.value)) < 120


def test_a_path_that_is_not_utf8_is_refused():
    # no record could be written of a run on it
    with pytest.raises(ConfigError, match=r"path must be .*, got 'caf\\udce9.npz'"):
        Field("path", "path", "", "", "", suffix=".npz").check("caf\udce9.npz")


def test_what_acts_on_a_terminal_is_shown_as_its_escape():
    acting = "a\x1b[31m\x07\n\u2028\u202eb\u2066\udce9\x9b\ufeff"
    shown = r"a\x1b[31m\x07\n\u2028\u202eb\u2066\udce9\x9b\ufeff"
    assert printable(acting) == shown
    assert printable(shown) == shown


@pytest.mark.parametrize("text", ["η = 0.5, ρ\u00a0=\u00a01", "\U0001f469\u200d\U0001f52c", "שלום"])
def test_letters_of_any_script_stay(text):
    assert printable(text) == text


TEXT = st.text(st.characters())  # half characters too
ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | TEXT | st.binary(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
)


@settings(max_examples=FUZZ, deadline=None)
@given(st.sampled_from([*ALL_FIELDS, WHOLE]), ANYTHING)
def test_any_value_is_taken_or_refused_in_words(field, value):
    checked = taken(lambda: field.check(value), ConfigError)
    assert checked is None or field.check(field.text(checked)) == checked
