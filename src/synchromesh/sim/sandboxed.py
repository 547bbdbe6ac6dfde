"""The sandbox ERP's books as the auditor reads them."""

from __future__ import annotations

from collections.abc import Iterator

from synchromesh.connectors.sandbox import books as sandbox
from synchromesh.model.posting import PostingKind
from synchromesh.sim.evidence import Books, Document
from synchromesh.sim.truth import Place


def books_of(books: sandbox.Books) -> Books:
    """Everything that the sandbox's books hold now."""
    balances = {Place(b.item, b.location, b.lot, b.status): b.quantity.amount for b in books.balances()}
    return Books(list(_documents(books)), balances)


def _documents(books: sandbox.Books) -> Iterator[Document]:
    """The documents; one that others cancelled is marked, and the paper that cancels it is left out."""
    documents = books.documents
    by_others = {d.reverses for d in documents.values() if d.by_hand and d.reverses}
    for document in documents.values():
        if document.by_hand and document.reverses:
            continue
        yield Document(
            document.number,
            document.key,
            document.kind,
            "",
            document.order,
            document.effective,
            document.lines if document.kind is not PostingKind.REVERSAL else (),
            document.reverses,
            document.number in by_others,
            document.by_hand,
            document.operation,
            document.labour_seconds,
            document.machine_seconds,
            document.original,
        )
