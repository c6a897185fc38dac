"""Predictions come back to the bit from a run's folder and its zip file; a strange file is refused
by name."""

import base64
import io
import json
import math
import zlib
from contextlib import closing

import numpy as np
import pytest

from samedge_core.prediction.prediction import Assumption, Outcome, Point, Prediction
from samedge_core.sharing.files import SavedError
from samedge_core.store import open_store, predictions
from samedge_core.store.archive import ArchiveError, bring_in, take_out
from samedge_core.store.folder import LARGEST_PREDICTIONS, PREDICTIONS, RunFolder
from samedge_core.store.predictions import MOST_POINTS, MOST_SPANS, MOST_STRETCHES
from samedge_core.training.stop import Stop, StopReason
from tests.store.hostile import run_files, zipped
from tests.store.made import SMALL

SPANS = Assumption("domain", "It changes slowly.", ((3, 5), (9, 9)))
END = Outcome(Stop(StopReason.STEP_CAP, 1000, "all 1,000 steps are taken"), (SPANS,), 12, 34)


def made(begin: int = 0, rows: int = 20, outcome: Outcome | None = END, **live) -> Prediction:
    config = SMALL.replace(**live)
    found = Prediction(SMALL, "hop", config.hyperparameters, begin)
    values = np.random.default_rng(begin).random((rows, 6))
    values[0, -1] = math.nan  # as the first cosine is
    found.extend(Point(begin + i, *row) for i, row in enumerate(values.tolist()))
    found.outcome = outcome
    return found


def same(one: Prediction, other: Prediction) -> bool:
    parts = [(m.points, m.outcome, m.hyper, m.begin, m.flow, m.config.steps) for m in (one, other)]
    return repr(parts[0]) == repr(parts[1])


def test_they_come_back_to_the_bit(tmp_path):
    kept = [made(), made(300, rule="gd", eta=0.25), made(400, outcome=None)]
    folder = RunFolder(tmp_path / "a")
    folder.create()
    assert folder.predictions(SMALL) == ()
    before = folder.sizes()[0]
    folder.write_predictions(kept)
    found = folder.predictions(SMALL.replace(steps=2000))  # resumed at its cap since
    assert all(same(*pair) for pair in zip(kept, found, strict=True))
    assert folder.sizes()[0] - before == (folder.path / PREDICTIONS).stat().st_size


def test_one_beyond_the_first_cap_of_a_cosine_keeps_its_step_sizes():
    begun = SMALL.replace(schedule="cosine", rule="gd", steps=20)
    kept = Prediction(begun.capped(40), "hop")
    kept.extend(Point(i, *[1.0] * 6) for i in range(40))
    (found,) = predictions.from_json(predictions.to_json([kept]), begun)
    assert found.columns()["edge"].tolist() == kept.columns()["edge"].tolist()


def test_the_largest_that_can_be_made_can_be_read(tmp_path):
    config = SMALL.replace(steps=10_000_000)
    sentence = Assumption("domain", "x" * 500, tuple((9_999_990, 9_999_999) for _ in range(2000)))
    kept = []
    for begin in range(MOST_STRETCHES):
        one = Prediction(config, "hop", begin=begin)
        rows = ([float(i) / 3] * 6 for i in range(MOST_POINTS))
        one.extend(Point(begin + i, *row) for i, row in enumerate(rows))
        one.outcome = Outcome(END.stop, (sentence,) * 4, 1, 1)
        kept.append(one)
    folder = RunFolder(tmp_path / "a")
    folder.create()
    folder.write_predictions(kept)
    assert (folder.path / PREDICTIONS).stat().st_size < LARGEST_PREDICTIONS
    found = folder.predictions(config)
    assert [len(one) for one in found] == [MOST_POINTS] * MOST_STRETCHES
    assert len(found[0].assumptions[0].broken) == MOST_SPANS


def test_they_travel_in_the_zip_file(tmp_path):
    files = run_files(tmp_path) | {PREDICTIONS: predictions.to_json([made()]).encode()}
    with closing(open_store(tmp_path / "one")) as one, closing(open_store(tmp_path / "two")) as two:
        run = bring_in(one, zipped(files))
        again = bring_in(two, io.BytesIO(take_out(one.folder(run))))
        (found,) = two.folder(again).predictions(SMALL)
        assert same(found, made())


def signed(values: dict) -> bytes:
    """With a checksum that fits: as a stranger would make it."""
    body = {name: value for name, value in values.items() if name not in ("crc32", "schema")}
    crc = zlib.crc32(json.dumps(body, sort_keys=True).encode())
    return json.dumps({"schema": 1, **body, "crc32": crc}).encode()


def with_points(table: list[list[float]]) -> dict:
    return {"points": base64.b64encode(np.array(table, "<f8").tobytes()).decode()}


ROW = [0.0] + [1.0] * 6
HOSTILE = {
    "no flow": ({"flow": "../x"}, "flow must be one of"),
    "no rule": ({"rule": "bogus"}, "rule must be one of"),
    "eta": ({"eta": -1.0}, "eta must be"),
    "beyond its end": ({"begin": 1000}, "begin must be from 0 to 999"),
    "before its start": ({"begin": -1}, "begin must be"),
    "too many steps": ({"steps": 10**9}, "steps must be"),
    "another type": ({"points": 3}, "points must be"),
    "no base64": ({"points": "#"}, "base64"),
    "half a row": ({"points": base64.b64encode(b"1234567").decode()}, "rows of 56 bytes"),
    "too many rows": (with_points([ROW] * (MOST_POINTS + 1)), "at most 10,000 rows"),
    "the same step twice": (with_points([ROW, ROW]), "steps must grow"),
    "half a step": (with_points([[0.5, *ROW[1:]]]), "steps must grow"),
    "a step that is none": (with_points([[math.nan, *ROW[1:]]]), "steps must grow"),
    "a step beyond the end": (with_points([[1000.0, *ROW[1:]]]), "steps must grow"),
    "a norm below 0": (with_points([[0.0, 1.0, -1.0, *ROW[3:]]]), "grad_norm must be >= 0"),
    "another name": ({"pickle": "x"}, "nothing is called"),
    "long words": (
        {"outcome": {"stop": {"reason": "stopped", "step": 1, "what": "x" * 20_000}}
         | {"assumptions": [], "gradients": 0, "products": 0}},
        "10,000 characters",
    ),
    "many spans": (
        {"outcome": {"stop": {"reason": "stopped", "step": 1, "what": "x"}}
         | {"assumptions": [["k", "s", [[0, 1]] * 1001]], "gradients": 0, "products": 0}},
        "1,000 spans",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", HOSTILE)
def test_a_strange_one_is_refused_in_words_and_nothing_of_it_stays(tmp_path, case):
    changes, message = HOSTILE[case]
    good = json.loads(predictions.to_json([made()]))
    good["predictions"][0] |= changes
    files = run_files(tmp_path) | {PREDICTIONS: signed(good)}
    with closing(open_store(tmp_path / "home")) as store:
        with pytest.raises(ArchiveError, match=message) as refused:
            bring_in(store, zipped(files))
        assert PREDICTIONS in str(refused.value)
        assert store.find().total == 0
        assert list((store.settings.home / "incoming").iterdir()) == []


def test_whatever_else_is_no_such_file_is_refused(tmp_path):
    folder = RunFolder(tmp_path / "a")
    folder.create()
    good = json.loads(predictions.to_json([made()]))
    many = {"predictions": [made(i) for i in range(MOST_STRETCHES + 1)]}["predictions"]
    twice = json.loads(predictions.to_json([made(), made()]))
    for content, message in (
        (b"\x80\x04.", "not a JSON file|UTF-8|decode"),
        (b"[]", "JSON object"),
        (json.dumps(good | {"schema": 2}).encode(), "newer version"),
        (json.dumps(good | {"crc32": 1}).encode(), "checksum"),
        (predictions.to_json(many).encode(), "may have 6 predictions, got 7"),
        (json.dumps(twice).encode(), "one after the other"),
        (b" " * (LARGEST_PREDICTIONS + 1), "may have 5,000,000 bytes"),
    ):
        (folder.path / PREDICTIONS).write_bytes(content)
        with pytest.raises(SavedError, match=message):
            folder.predictions(SMALL)
