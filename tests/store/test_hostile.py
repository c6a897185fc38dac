"""A file of a few kilobytes costs the server at most 200 MB and 2 s, however it is made."""

import io
import json
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from tests.store.hostile import (
    ROWS,
    STATE,
    STEPS,
    Files,
    equal_rows,
    run_files,
    wide,
    with_values,
    zipped,
)

MEGABYTES, SECONDS = 200, 2.0

TAKE_IN = """
import json, resource, sys, time
from pathlib import Path
from samedge_core.store import open_store
from samedge_core.store.archive import ArchiveError, bring_in

def peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024

home, good, *files = map(Path, sys.argv[1:])
store = open_store(home)
with good.open("rb") as file:
    bring_in(store, file)  # loads what the first one loads
before = peak()
for bad in files:
    began, said = time.process_time(), ""
    try:
        with bad.open("rb") as file:
            store.load(bring_in(store, file))
    except ArchiveError as error:
        said = str(error)
    took = time.process_time() - began
    print(json.dumps({"megabytes": peak() - before, "seconds": took, "said": said}), flush=True)
store.close()
"""


def renamed(run: Files, rows: int, content: bytes) -> Files:
    others = {name: text for name, text in run.items() if name != ROWS}
    config = json.loads(run["run.json"])["config"] | {"steps": rows}
    record = with_values(run["run.json"], {"config": config})
    return {f"rows/{0:010}-{rows - 1:010}.parquet": content, **others, "run.json": record}


def wide_rows(run: Files) -> bytes:
    """With a column of 1.6 GB in some kilobytes."""
    inner = pa.array([b"\0" * 10_000_000], pa.binary())
    repeated = pa.DictionaryArray.from_arrays(np.zeros(STEPS, "i4"), inner)
    return wide(run[ROWS], pa.concat_arrays([repeated]).cast(pa.large_binary()))


def footers(count: int) -> bytes:
    """A Parquet file whose footer says that it has so many row groups."""
    footer = b"\x15\x02\x19\xfc" + count.to_bytes(4, "little") + b"\x0f"
    return b"PAR1" + footer + len(footer).to_bytes(4, "little") + b"PAR1"


def state_of(header: bytes) -> bytes:
    return len(header).to_bytes(8, "little") + header


CASES = {
    "many equal rows": lambda run: renamed(run, 3_000_000, equal_rows(3_000_000)),
    "many rows under a short name": lambda run: run | {ROWS: equal_rows(3_000_000)},
    "the most rows that are taken in": lambda run: renamed(run, 250_000, equal_rows(250_000)),
    "a wide column": lambda run: run | {ROWS: wide_rows(run)},
    "a footer of 2 billion groups": lambda run: run | {ROWS: footers(0x7FFFFFFF)},
    "a long record": lambda run: run | {"run.json": b"[" + b"{}," * 20_000_000 + b"{}]"},
    "as long as is read": lambda run: run | {"run.json": b"[" + b"{}," * 1_660_000 + b"{}]"},
    "a state of zeros": lambda run: run | {STATE: bytes(150_000_000)},
    "a state with a long header": lambda run: (
        run | {STATE: state_of(b'{"__metadata__":{"samedge":[' + b"{}," * 20_000_000)}
    ),
    "labels": lambda run: run | {"labels.json": b'"' + b"x" * 60_000_000 + b'"'},
    "all too large": lambda run: (
        run | {f"snapshots/{i:010}.safetensors": bytes(10_000_000) for i in range(21)}
    ),
}
TAKEN = ("the most rows that are taken in", "a wide column")


@pytest.mark.skipif(sys.platform != "linux", reason="ru_maxrss is in other units elsewhere")
def test_the_promise_is_kept(tmp_path):
    run = run_files(tmp_path / "made")
    files = {"good": zipped(run)} | {name: zipped(make(run)) for name, make in CASES.items()}
    for name, content in files.items():
        (tmp_path / name).write_bytes(content.getvalue())
        assert len(content.getvalue()) < 1_500_000
    paths = [tmp_path / "home", *(tmp_path / name for name in files)]
    command = [sys.executable, "-c", TAKE_IN, *map(str, paths)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    found = dict(zip(CASES, map(json.loads, done.stdout.splitlines()), strict=True))
    for name, one in found.items():
        assert one["megabytes"] <= MEGABYTES, (name, found)
        assert one["seconds"] <= SECONDS, (name, found)
        assert bool(one["said"]) == (name not in TAKEN), (name, found)


def test_entries_that_say_less_than_they_hold_are_refused(tmp_path):
    from samedge_core.store import open_store, unzipping
    from samedge_core.store.archive import ArchiveError, bring_in

    content = bytearray(zipped(run_files(tmp_path) | {STATE: bytes(3_000_000)}).getvalue())
    at = content.rindex(STATE.encode()) - 46  # its entry in the directory
    content[at + 24 : at + 28] = (100).to_bytes(4, "little")
    assert zipfile.ZipFile(io.BytesIO(content)).getinfo(STATE).file_size == 100
    store = open_store(Path(tmp_path) / "home")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(unzipping, "MOST_BYTES", 1_000_000)
        with pytest.raises(ArchiveError):
            bring_in(store, io.BytesIO(content))
    store.close()
