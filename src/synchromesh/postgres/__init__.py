"""A PostgreSQL database, as the log and the state keep their tables in one: opened one way, made and migrated under a lock, its errors in
words. Knows nothing of what is stored.

Nothing here needs a session of the server's own: every transaction is whole in itself, so it may run behind a pooler that gives each one
another connection.
"""
