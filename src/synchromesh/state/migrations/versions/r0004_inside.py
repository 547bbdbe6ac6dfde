"""What a database needs that many machines use at once: claims and leases inside of it, and rows that are changed where they stand.

Nothing of this is needed, or done, where the state is a file of one machine.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

_TEXTS = {
    "lease": ["name", "owner"],
    "origin": ["log"],
    "partition": ["name"],
    "entity": ["kind", "name"],
    "outbox": ["target", "lane"],
    "document": ["number"],
    "exception": ["state", "category", "subject", "of_order"],
}
_OPEN = {
    "exception_open": ["opened"],
    "exception_of_cause": ["category", "subject", "partition", "of_order", "facts", "opened", "state"],
    "exception_in_cause": ["category", "subject", "partition", "position", "ordinal"],
}
# A changed row is written beside the old one, on the same page if there is room, and then no index learns of it. The outbox's rows come
# and go all day: what they leave behind is taken away soon. The others only grow, and must not be read through for every few changes.
_STORAGE = {
    "partition": "fillfactor = 10, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 1000",
    "entity": "fillfactor = 60, autovacuum_vacuum_scale_factor = 0.05, autovacuum_vacuum_threshold = 20000",
    "fact": "fillfactor = 90",
    "posting": "fillfactor = 50, autovacuum_vacuum_scale_factor = 0.05, autovacuum_vacuum_threshold = 50000",
    "outbox": "fillfactor = 50, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 5000, "
    "autovacuum_analyze_scale_factor = 0, autovacuum_analyze_threshold = 100000, autovacuum_vacuum_cost_delay = 0",
    "exception": "fillfactor = 70",
    "identity_segment": "fillfactor = 10, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 1000",
    "lease": "fillfactor = 20, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 1000",
    "sender": "fillfactor = 20, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 1000",
    "member": "fillfactor = 20, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 1000",
}

_MAKE = """
CREATE FUNCTION {schema}.make_identities(name text) RETURNS void LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$ BEGIN
  IF name !~ '^identity_[0-9]+_[0-9]+_[0-9]+$' THEN RAISE EXCEPTION '% is no name for a table of identities', name; END IF;
  EXECUTE format('CREATE TABLE {schema}.%I (hash bigint NOT NULL, position bigint NOT NULL, source text COLLATE "C" NOT NULL, '
    'id text COLLATE "C" NOT NULL) WITH (autovacuum_vacuum_insert_threshold = 1000000)', name);
  EXECUTE format('CREATE INDEX ON {schema}.%I (hash)', name);
END $$
"""
_DROP = """
CREATE FUNCTION {schema}.drop_identities(name text) RETURNS void LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$ BEGIN
  IF name !~ '^identity_[0-9]+_[0-9]+_[0-9]+$' OR EXISTS (
    SELECT 1 FROM {schema}.identity_segment s WHERE name = concat_ws('_', 'identity', s.partition, s.segment, s.indexed))
  THEN RAISE EXCEPTION '% is not a table of identities that are forgotten', name; END IF;
  EXECUTE format('DROP TABLE IF EXISTS {schema}.%I', name);
END $$
"""


def upgrade() -> None:
    if op.get_context().dialect.name != "postgresql":
        return
    text = sa.Text(collation="C")
    for table, columns in _TEXTS.items():
        for column in columns:
            op.alter_column(table, column, type_=text)
    op.alter_column("fact", "at", type_=sa.BigInteger, server_default=None)
    op.execute("DROP SEQUENCE fact_at_seq")
    op.alter_column("forward", "sequence", type_=sa.BigInteger)
    op.execute("ALTER SEQUENCE forward_sequence_seq AS bigint")
    for name, indexed in _OPEN.items():
        op.drop_index(name)
        op.create_index(name, "exception", indexed, postgresql_where=sa.text("state = 'open'"))
    op.create_index("forward_of_partition", "forward", ["partition", "sequence"])
    _owners(text)
    _segments()
    for table, settings in _STORAGE.items():
        op.execute(f"ALTER TABLE {table} SET ({settings})")


def _segments() -> None:
    """Tables of identities come and go while workers run, whose role may own none: the owner of the schema makes and drops them for it."""
    connection = op.get_bind()
    schema = connection.exec_driver_sql("SELECT current_schema()").scalar_one()
    for function in (_MAKE, _DROP):
        # As the driver is given it: a percent sign is doubled.
        connection.exec_driver_sql(function.replace("{schema}", schema).replace("%", "%%"))


def _owners(text: sa.Text) -> None:
    op.add_column("outbox", sa.Column("claimant", text))
    op.add_column("outbox", sa.Column("claimed_at", sa.BigInteger))
    op.add_column("lease", sa.Column("until", sa.DateTime(timezone=True), nullable=False, server_default="-infinity"))
    op.create_table(
        "sender",
        sa.Column("name", text, primary_key=True),
        sa.Column("epoch", sa.BigInteger, nullable=False),
        sa.Column("owner", text, nullable=False),
        sa.Column("until", sa.DateTime(timezone=True), nullable=False, server_default="-infinity"),
        sa.Column("released", sa.BigInteger, nullable=False, server_default="0"),
        sa.Column("trouble", text, nullable=False, server_default=""),
    )
    op.create_table(
        "member",
        sa.Column("kind", text, primary_key=True),
        sa.Column("owner", text, primary_key=True),
        sa.Column("until", sa.DateTime(timezone=True), nullable=False),
    )
    op.create_table("claims", sa.Column("partition", text, primary_key=True), sa.Column("head", sa.BigInteger))
    op.create_table(
        "history",
        sa.Column("one", sa.Integer, sa.CheckConstraint("one = 1"), primary_key=True, autoincrement=False),
        sa.Column("told", text, nullable=False),
    )
