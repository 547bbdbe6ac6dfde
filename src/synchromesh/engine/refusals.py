"""What a person is told about a posting that was sent and got no further, where it is not the business system that says so."""

from __future__ import annotations

import msgspec

from synchromesh.model import subject
from synchromesh.model.posting import Category, Fate, Posting, Refusal


def given_up(posting: Posting, refusal: Refusal | None, tried: int, minutes: int) -> Refusal:
    """The refusal of a posting that is certainly not booked, and that trying again unchanged has not helped."""
    why = refusal or Refusal(
        Category.OTHER, subject.about(posting), f"The {posting.kind} was sent and had no answer, and it is not booked."
    )
    since = f" in {minutes} minute(s)" if minutes else ""
    return msgspec.structs.replace(
        why,
        subject=subject.about(posting) if why.subject == subject.SYSTEM and why.category is not Category.LOCKED else why.subject,
        sentence=f"{why.sentence} It was tried {tried} time(s){since}.",
        remedy=f"{why.remedy} Then retry, or dismiss it.".strip(),
    )


def withdrawn(posting: Posting, was: Fate) -> Refusal:
    """The refusal of a posting that waited for an approval, or to be booked, and is gone: somebody threw it away there."""
    about = subject.posting(posting.key)
    if was is Fate.ACCEPTED:
        sentence = f"ERP had accepted the {posting.kind} to book it later, and it is not there any more."
        return Refusal(Category.OTHER, about, sentence, "Look there why it was dropped; then retry, or dismiss it.")
    sentence = f"The {posting.kind} waited for an approval in ERP and is not there any more."
    return Refusal(Category.NOT_PERMITTED, about, sentence, "Ask its approver; then retry, or dismiss it.")


def unsettled(posting: Posting) -> Refusal:
    """The exception of a posting that nobody but a person can settle."""
    what = f"{posting.kind} for order {posting.order}" if posting.order else posting.kind
    return Refusal(
        Category.OTHER,
        subject.posting(posting.key),
        f"The {what} was sent and no answer came; this system cannot be asked whether it is booked.",
        "Look for it there and settle it: booked, with the document's number, or not booked.",
    )


def unanswered(posting: Posting, asked: int) -> Refusal:
    """The exception of a posting about which the business system does not answer, though it answers about others."""
    return Refusal(
        Category.OTHER,
        subject.posting(posting.key),
        f"Whether the {posting.kind} is booked was asked {asked} times without an answer.",
        "Look for it in ERP and settle it: booked, with the document's number, or not booked.",
    )
