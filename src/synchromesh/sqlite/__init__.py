"""A database file of this machine, as the log and the state keep one: opened one way, written by one process at a time,
created whole or not at all, its errors in words. Knows nothing of what is stored."""
