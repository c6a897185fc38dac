"""The first catalogue: runs, their tags, and the servers that record them."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the tables."""
    op.create_table(
        "servers",
        sa.Column("id", sa.String(32), primary_key=True),
        sa.Column("host", sa.String(255), nullable=False),
        sa.Column("pid", sa.Integer, nullable=False),
        sa.Column("seen", sa.Float, nullable=False),
    )
    op.create_table(
        "runs",
        sa.Column("id", sa.String(64), primary_key=True),
        sa.Column("created", sa.Float, nullable=False, index=True),
        sa.Column("updated", sa.Float, nullable=False),
        sa.Column("problem", sa.String(64), nullable=False, index=True),
        sa.Column("rule", sa.String(16), nullable=False),
        sa.Column("eta", sa.Float, nullable=False),
        sa.Column("rho", sa.Float, nullable=False),
        sa.Column("beta", sa.Float, nullable=False),
        sa.Column("batch_size", sa.Integer, nullable=False),
        sa.Column("seed", sa.Integer, nullable=False),
        sa.Column("config", sa.Text, nullable=False),
        sa.Column("group_key", sa.String(64), nullable=False, index=True),
        sa.Column("interventions", sa.Integer, nullable=False),
        sa.Column("root", sa.String(64), nullable=False, index=True),
        sa.Column("parent", sa.String(64), index=True),
        sa.Column("parent_step", sa.Integer),
        sa.Column("branch", sa.String(8)),
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
        sa.Column("spark", sa.LargeBinary),
        sa.Column("row_bytes", sa.BigInteger, nullable=False),
        sa.Column("snapshot_bytes", sa.BigInteger, nullable=False),
        sa.Column("snapshots", sa.Integer, nullable=False),
        sa.Column("title", sa.String(200), nullable=False),
        sa.Column("note", sa.Text, nullable=False),
        sa.Column("starred", sa.Boolean, nullable=False),
        sa.Column("pinned", sa.Boolean, nullable=False),
        sa.Column("removed", sa.Float),
    )
    op.create_table(
        "tags",
        sa.Column(
            "run", sa.String(64), sa.ForeignKey("runs.id", ondelete="CASCADE"), primary_key=True
        ),
        sa.Column("tag", sa.String(64), primary_key=True, index=True),
    )
