"""The engine: worker, dispatcher, lease and rebuild. It knows agreements, never an implementation."""
