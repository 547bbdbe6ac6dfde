"""The fold's view of a plant: committed state plus the batch's own changes, loaded on demand, cached with a bound.

The view is also where changes collect. `flush` turns them into one `Changes` for the store; `committed` or `forget` then says
whether the cache may keep them.
"""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal
from typing import Final, Protocol, TypeVar, cast

import msgspec

from synchromesh.model.message import Message
from synchromesh.model.posting import Posting
from synchromesh.plant.entities import KINDS, Clock, Entity, Totals
from synchromesh.plant.policy import DEFAULT, Policy
from synchromesh.plant.rows import Changes, EntityKey, ExceptionRow, FactRow, Identity, PostingId, PostingRow
