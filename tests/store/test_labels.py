"""Labels go where the run goes, and nothing else is taken for them."""

import json
from contextlib import closing

import pytest
from hypothesis import given
from hypothesis import strategies as st

from samedge_core.store import open_store
from samedge_core.store.archive import bring_in, take_out
from samedge_core.store.labels import Labels
from tests.store.test_store import recorded

texts = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=64)
labels = st.builds(
    Labels,
    title=texts,
    note=texts,
    tags=st.lists(texts, max_size=5),
    starred=st.booleans(),
    pinned=st.booleans(),
)


@given(labels)
def test_labels_come_back_from_their_json(labels):
    assert Labels.from_json(labels.to_json()) == labels


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"schema": 2}, "newer version"),
        ({"title": "t" * 201}, "title must have at most 200 characters, got 201"),
        ({"note": 5}, "note must be a text, got 5"),
        ({"note": "\ud800"}, "surrogates not allowed"),
        ({"tags": "x"}, "tags must be a list, got 'x'"),
        ({"tags": ["t"] * 5 + [str(i) for i in range(40)]}, "at most 30 tags"),
        ({"starred": "yes"}, "starred must be true or false"),
        ({"owner": "me"}, "nothing is called 'owner'"),
    ],
)
def test_what_are_no_labels_is_refused(change, message):
    with pytest.raises(ValueError, match=message):
        Labels.from_json(json.dumps(json.loads(Labels().to_json()) | change))


GIVEN = Labels("mine", "a note\nof two lines", ("x", "é"), starred=True, pinned=True)


def test_labels_come_back_when_the_catalogue_is_lost(tmp_path):
    with closing(open_store(tmp_path)) as store:
        for run in "abc":
            recorded(store, run)
        assert store.label("a", **GIVEN.values())
        store.catalogue.label("b", title="by an earlier version")
        assert not store.label("nothing", title="x")
        with pytest.raises(ValueError, match="title"):
            store.label("a", title="t" * 201)
    with closing(open_store(tmp_path)):
        pass  # writes what an earlier version has kept in the catalogue alone
    (tmp_path / "catalogue.sqlite").unlink()
    with closing(open_store(tmp_path)) as store:
        entries = {entry.id: entry for entry in store.find().entries}
        assert Labels.of(entries["a"]) == GIVEN
        assert Labels.of(entries["b"]) == Labels("by an earlier version")
        assert Labels.of(entries["c"]) == Labels()
        assert store.catalogue.known_tags() == ["x", "é"]


def test_labels_go_through_a_zip_and_the_latest_ones_count(tmp_path):
    with closing(open_store(tmp_path / "a")) as store, closing(open_store(tmp_path / "b")) as other:
        recorded(store, "a")
        store.label("a", **GIVEN.values())
        store.label("a", title="later", tags=["y"])
        file = tmp_path / "run.zip"
        file.write_bytes(take_out(store.folder("a")))
        with file.open("rb") as opened:
            run = bring_in(other, opened)
        entry = other.catalogue.entry(run)
        assert entry
        assert Labels.of(entry) == Labels("later", GIVEN.note, ("y",), starred=True, pinned=True)
