"""How one business system is sent to: how much at a time, how often, and what is done when it does not take it. Configured, with defaults.

The text under each field is its entry in the reference of options.
"""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import Meta

Rate = Annotated[float, Meta(ge=0, le=1_000_000, description="a number from 0 up")]
Seconds = Annotated[float, Meta(ge=0.01, le=86_400, description="a number of seconds from 0.01 to 86400")]
Count = Annotated[int, Meta(ge=0, le=10_000, description="a whole number from 0 up")]
Number = Annotated[int, Meta(ge=1, le=100_000, description="a whole number from 1 up")]


class Limits(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How much one business system is sent. What its connector can do is a bound above these, and the default."""

    concurrency: Count = 0
    """The most calls at a time. 0: as many as the connector can. After an outage it is one call, and one more with each answer."""

    batch: Count = 0
    """The most postings in one call. 0: as many as the connector can."""

    rate_per_second: Rate = 0.0
    """The most postings and questions a second; up to one second's worth may go at once. 0: no limit."""

    plant_rate_per_second: Rate = 0.0
    """The most of them that are of one plant. 0: no limit. Plants take turns in any case, so that none keeps the others waiting."""


class Retry(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What is tried again by itself, and until when. A refusal by the rules of the business (an unknown item, a closed period) is not: it
    is an exception at once."""

    backoff_seconds: Seconds = 0.1
    """The pause after a lock, an overload or a call without answer. Each further one is twice as long, and spread by chance. Where the
    system says itself when to try again, that is done."""

    longest_seconds: Seconds = 60.0
    """The longest pause that is not asked for by the system."""

    attempts: Number = 20
    """How often one posting is tried, while the system answers, before it is an exception that a person decides about."""

    minutes: Number = 15
    """How long one posting is tried that meets a lock, before it is an exception."""

    follow_seconds: Seconds = 1.0
    """The first look at a posting that the system has accepted and books later. Each further look comes after twice as long."""

    approval_seconds: Seconds = 5.0
    """The same for one that waits for a person's approval in the system."""

    longest_follow_seconds: Seconds = 300.0
    """The longest time between two looks."""
