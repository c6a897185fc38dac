"""Labels: what people say about a run, kept beside its record, and so wherever the run is."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, fields
from typing import TYPE_CHECKING, Any

from samedge_core.store.texts import checked_labels
from samedge_core.training import codec

if TYPE_CHECKING:
    from samedge_core.store.catalogue import Entry

SCHEMA = 1


@dataclass(frozen=True)
class Labels:
    """Title, note, tags, star and pin.

    Raises:
        ValueError: a text too long, or too many tags.
    """

    title: str = ""
    note: str = ""
    tags: tuple[str, ...] = ()
    starred: bool = False
    pinned: bool = False

    def __post_init__(self) -> None:
        checked = checked_labels(vars(self))
        object.__setattr__(self, "tags", tuple(checked["tags"]))

    @classmethod
    def of(cls, entry: Entry) -> Labels:
        """Those of a run in the catalogue."""
        return cls(**{field.name: getattr(entry, field.name) for field in fields(cls)})

    def values(self) -> dict[str, Any]:
        """By name, for the catalogue."""
        return asdict(self)

    def to_json(self) -> str:
        """All of it, with the schema number."""
        return json.dumps({"schema": SCHEMA, **asdict(self)}, indent=1)

    @classmethod
    def from_json(cls, text: str) -> Labels:
        """The inverse of `to_json`.

        Raises:
            ValueError: it is no such JSON, or of a newer schema.
        """
        values = codec.parse(text)
        codec.check_schema(values, SCHEMA, "labels")
        del values["schema"]
        return codec.convert(values, cls, "labels")
