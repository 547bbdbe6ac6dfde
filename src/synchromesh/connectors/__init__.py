"""Business systems. `agreement` is what each of them must keep; one folder a system, found by entry point."""
