"""The worlds of these tests end with the laws as well."""

from tests.engine.conftest import _laws

__all__ = ["_laws"]
