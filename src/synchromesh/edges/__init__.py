"""Protocols. `agreement` is what each edge keeps; one folder a protocol, found by entry point."""
