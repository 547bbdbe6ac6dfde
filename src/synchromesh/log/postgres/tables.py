"""The log's tables, and the function that appends.

`partition` has a row for each partition, which whoever appends locks and nobody changes except to trim. So positions are given in the order
of commits: who sees one sees all before it. The head is the highest position in `message`, and not a counter: a counter would leave a dead
version of its row with every append, and none could be cleared away while somebody takes a backup.

`appended` makes an append that is tried again find itself. Its key is the appender and the number that it gave the append; who comes second
with a key waits until it is known what became of the first, and then takes that one's positions or writes the messages.
"""

from __future__ import annotations

from typing import Final

from synchromesh.log.agreement import LogAway, LogCorrupt, LogError, LogFull
from synchromesh.postgres.errors import Kinds
from synchromesh.postgres.schema import Part, Step

KINDS: Final = Kinds(LogError, LogFull, LogCorrupt, LogAway)
REMEMBERED: Final = 1_000
"""How many of its last appends an appender can find again. One that comes later than so many others of its own is refused."""
HEAD: Final = """
coalesce((SELECT max(m.position) FROM {schema}.message m WHERE m.partition = p.number AND m.position > p.trimmed), p.trimmed)
"""
"""The last position of a row `p` of `log_partition`. Rows that are trimmed and not yet cleared away are not looked at."""

_PARTITION: Final = """
CREATE TABLE {schema}.log_partition (
  number int GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  name text NOT NULL UNIQUE,
  trimmed bigint NOT NULL DEFAULT 0,
  chain text NOT NULL DEFAULT ''
) WITH (fillfactor = 50)
"""
# Positions of a partition stand together in the key, so that an append touches one page of it, however long the history is. Trimmed rows
# are cleared away at once: by their number and not as a share of what is there. Bodies are compressed in the archive and nowhere else.
_MESSAGE: Final = """
CREATE TABLE {schema}.message (
  partition int NOT NULL,
  position bigint NOT NULL,
  crc int NOT NULL,
  body bytea NOT NULL,
  PRIMARY KEY (partition, position)
) WITH (
  autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 50000, autovacuum_vacuum_cost_delay = 0,
  toast.autovacuum_vacuum_scale_factor = 0, toast.autovacuum_vacuum_threshold = 50000, toast.autovacuum_vacuum_cost_delay = 0
)
"""
_AS_THEY_ARE: Final = "ALTER TABLE {schema}.message ALTER COLUMN body SET STORAGE EXTERNAL"
_APPENDED: Final = """
CREATE TABLE {schema}.appended (
  appender uuid NOT NULL,
  number bigint NOT NULL,
  bases bigint[] NOT NULL,
  at timestamptz NOT NULL DEFAULT now(),
  PRIMARY KEY (appender, number)
) WITH (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 10000, autovacuum_vacuum_cost_delay = 0)
"""
# `_which` says for each body which of the names it belongs to, `_rank` the how manieth of these it is. The answer is the position before
# the first for each name. Locks are taken in one order by everybody. Each statement sees what was committed before it began, so the heads
# are read as they are once the locks are held.
_APPEND: Final = """
CREATE FUNCTION {schema}.append(_appender uuid, _number bigint, _names text[], _which int[], _rank int[], _crc int[],
  _bodies bytea[])
RETURNS bigint[] LANGUAGE plpgsql SET plan_cache_mode = force_generic_plan AS $$
DECLARE
  _found int;
  _numbers int[];
  _bases bigint[];
BEGIN
  IF current_setting('synchronous_commit') = 'off' THEN
    PERFORM set_config('synchronous_commit', 'on', true);
  END IF;
  PERFORM FROM {schema}.log_partition WHERE name = ANY (_names) ORDER BY number FOR UPDATE;
  GET DIAGNOSTICS _found = ROW_COUNT;
  IF _found < cardinality(_names) THEN
    INSERT INTO {schema}.log_partition (name) SELECT unnest(_names) ON CONFLICT (name) DO NOTHING;
    PERFORM FROM {schema}.log_partition WHERE name = ANY (_names) ORDER BY number FOR UPDATE;
  END IF;
  SELECT array_agg(p.number ORDER BY n.place), array_agg({head} ORDER BY n.place) INTO STRICT _numbers, _bases
    FROM unnest(_names) WITH ORDINALITY AS n (name, place) JOIN {schema}.log_partition p ON p.name = n.name;
  INSERT INTO {schema}.appended (appender, number, bases) SELECT _appender, _number, _bases
    WHERE NOT EXISTS (SELECT FROM {schema}.appended a WHERE a.appender = _appender AND a.number >= _number + {remembered})
    ON CONFLICT DO NOTHING;
  IF NOT FOUND THEN
    SELECT a.bases INTO _bases FROM {schema}.appended a WHERE a.appender = _appender AND a.number = _number;
    IF NOT FOUND THEN
      RAISE EXCEPTION 'too many later appends of this appender came before this one' USING ERRCODE = '40003'; -- nobody knows
    END IF;
    RETURN _bases;
  END IF;
  INSERT INTO {schema}.message (partition, position, crc, body)
    SELECT _numbers[u.which], _bases[u.which] + u.rank, u.crc, u.body
    FROM unnest(_which, _rank, _crc, _bodies) AS u (which, rank, crc, body);
  RETURN _bases;
END $$
""".replace("{head}", HEAD).replace("{remembered}", str(REMEMBERED))

PART: Final = Part("log", (Step((_PARTITION, _MESSAGE, _AS_THEY_ARE, _APPENDED, _APPEND), serves=1),))
