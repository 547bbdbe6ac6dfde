"""The log in a stream of NATS JetStream, replicated, for gateways and workers on many hosts.

`log` is what callers hold; `frame` is how records lie in messages; `connection` and `stream` speak with the servers; `tail` knows where
every partition ends; `writer`, `reader` and `trimmer` do what their names say.
"""

from synchromesh.log.jetstream.access import Options
from synchromesh.log.jetstream.log import JetStreamLog, open_log, version_of

__all__ = ["JetStreamLog", "Options", "open_log", "version_of"]
