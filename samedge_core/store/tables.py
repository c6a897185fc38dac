"""The catalogue's tables, as SQLAlchemy knows them; migrations/ makes them."""

from __future__ import annotations

import sqlalchemy as sa

metadata = sa.MetaData()

servers = sa.Table(
    "servers",
    metadata,
    sa.Column("id", sa.String(32), primary_key=True),
    sa.Column("host", sa.String(255), nullable=False),
    sa.Column("pid", sa.Integer, nullable=False),
    sa.Column("seen", sa.Float, nullable=False),  # heartbeat, seconds since 1970
)

runs = sa.Table(
    "runs",
    metadata,
    sa.Column("id", sa.String(64), primary_key=True),
    sa.Column("created", sa.Float, nullable=False, index=True),
    sa.Column("updated", sa.Float, nullable=False),
    # what it is
    sa.Column("problem", sa.String(64), nullable=False, index=True),
    sa.Column("rule", sa.String(16), nullable=False),
    sa.Column("eta", sa.Float, nullable=False),
    sa.Column("rho", sa.Float, nullable=False),
    sa.Column("beta", sa.Float, nullable=False),
    sa.Column("batch_size", sa.Integer, nullable=False),
    sa.Column("seed", sa.Integer, nullable=False),
    sa.Column("config", sa.Text, nullable=False),
    sa.Column("group_key", sa.String(64), nullable=False, index=True),  # equal but for the seed
    sa.Column("interventions", sa.Integer, nullable=False),
    # where it comes from
    sa.Column("root", sa.String(64), nullable=False, index=True),
    sa.Column("parent", sa.String(64), index=True),
    sa.Column("parent_step", sa.Integer),
    sa.Column("branch", sa.String(8)),
    # how it goes; `server` records it, none once it has stopped
    sa.Column("server", sa.String(32), sa.ForeignKey("servers.id", ondelete="SET NULL")),
    sa.Column("stop_reason", sa.String(16), index=True),
    sa.Column("stop_what", sa.Text),
    sa.Column("steps", sa.Integer, nullable=False),
    sa.Column("last_step", sa.Integer, nullable=False),
    sa.Column("parameters", sa.Integer),
    sa.Column("loss", sa.Float),
    sa.Column("accuracy", sa.Float),
    sa.Column("grad_norm", sa.Float),
    sa.Column("sharpness", sa.Float),
    sa.Column("edge", sa.Float),
    sa.Column("ratio", sa.Float),
    sa.Column("deviation", sa.Float),
    sa.Column("spark", sa.LargeBinary),  # float32: History.sparkline
    sa.Column("row_bytes", sa.BigInteger, nullable=False),
    sa.Column("snapshot_bytes", sa.BigInteger, nullable=False),
    sa.Column("snapshots", sa.Integer, nullable=False),
    # what people say about it
    sa.Column("title", sa.String(200), nullable=False),
    sa.Column("note", sa.Text, nullable=False),
    sa.Column("starred", sa.Boolean, nullable=False),
    sa.Column("pinned", sa.Boolean, nullable=False),
    sa.Column("removed", sa.Float),  # when the quota took its folder, seconds since 1970
)

tags = sa.Table(
    "tags",
    metadata,
    sa.Column("run", sa.String(64), sa.ForeignKey("runs.id", ondelete="CASCADE"), primary_key=True),
    sa.Column("tag", sa.String(64), primary_key=True, index=True),
)
