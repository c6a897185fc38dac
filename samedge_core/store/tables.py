"""The catalogue's tables, as SQLAlchemy knows them; migrations/ makes them."""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Float,
    ForeignKey,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
)

metadata = MetaData()

servers = Table(
    "servers",
    metadata,
    Column("id", String(32), primary_key=True),
    Column("host", String(255), nullable=False),
    Column("pid", Integer, nullable=False),
    Column("seen", Float, nullable=False),  # heartbeat, seconds since 1970
)

runs = Table(
    "runs",
    metadata,
    Column("id", String(64), primary_key=True),
    Column("created", Float, nullable=False, index=True),
    Column("updated", Float, nullable=False),
    # what it is
    Column("problem", String(64), nullable=False, index=True),
    Column("rule", String(16), nullable=False),
    Column("eta", Float, nullable=False),
    Column("rho", Float, nullable=False),
    Column("beta", Float, nullable=False),
    Column("batch_size", Integer, nullable=False),
    Column("seed", Integer, nullable=False),
    Column("config", Text, nullable=False),
    Column("group_key", String(64), nullable=False, index=True),  # equal but for the seed
    Column("interventions", Integer, nullable=False),
    # where it comes from
    Column("root", String(64), nullable=False, index=True),
    Column("parent", String(64), index=True),
    Column("parent_step", Integer),
    Column("branch", String(8)),
    # how it goes; `server` records it, none once it has stopped
    Column("server", String(32), ForeignKey("servers.id", ondelete="SET NULL")),
    Column("stop_reason", String(16), index=True),
    Column("stop_what", Text),
    Column("steps", Integer, nullable=False),
    Column("last_step", Integer, nullable=False),
    Column("parameters", Integer),
    Column("loss", Float),
    Column("accuracy", Float),
    Column("grad_norm", Float),
    Column("sharpness", Float),
    Column("edge", Float),
    Column("ratio", Float),
    Column("deviation", Float),
    Column("spark", LargeBinary),  # float32: sharpness / edge, thinned
    Column("row_bytes", BigInteger, nullable=False),
    Column("snapshot_bytes", BigInteger, nullable=False),
    Column("snapshots", Integer, nullable=False),
    # what people say about it
    Column("title", String(200), nullable=False),
    Column("note", Text, nullable=False),
    Column("starred", Boolean, nullable=False),
    Column("pinned", Boolean, nullable=False),
    Column("removed", Float),  # when the quota took its folder, seconds since 1970
)

tags = Table(
    "tags",
    metadata,
    Column("run", String(64), ForeignKey("runs.id", ondelete="CASCADE"), primary_key=True),
    Column("tag", String(64), primary_key=True, index=True),
)
