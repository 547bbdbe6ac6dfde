"""Long lists, a page of 256 names an entity, so that appending to a list of 10,000 writes a page and not the list."""

from __future__ import annotations

from synchromesh.plant.entities import Names, Pages
from synchromesh.plant.view import View

PAGE = 256


def page_key(name: str, number: int) -> str:
    """Under which name a page of a list is kept."""
    return f"{name}/{number}"


def append(view: View, name: str, value: str) -> Pages:
    """Add one name at the end; the list's header."""
    pages = view.made(Pages, "list", name)
    page = view.made(Names, "list.page", page_key(name, pages.last))
    if len(page.names) >= PAGE:
        pages.last += 1
        page = view.made(Names, "list.page", page_key(name, pages.last))
    page.names.append(value)
    pages.count += 1
    return pages


def remove(view: View, name: str, value: str) -> None:
    """Remove one name, wherever it stands; the newest pages are looked at first."""
    pages = view.of(Pages, "list", name)
    if pages is None:
        return
    for number in range(pages.last, pages.first - 1, -1):
        page = view.of(Names, "list.page", page_key(name, number))
        if page is not None and value in page.names:
            view.touch("list.page", page_key(name, number))
            page.names.remove(value)
            view.touch("list", name)
            pages.count -= 1
            return


def take(view: View, name: str) -> list[str]:
    """Remove and return the oldest names, a page of them at the most; an empty list leaves nothing behind."""
    pages = view.of(Pages, "list", name)
    if pages is None:
        return []
    key = page_key(name, pages.first)
    page = view.of(Names, "list.page", key)
    names = page.names if page is not None else []
    view.drop("list.page", key)
    view.touch("list", name)
    pages.count -= len(names)
    pages.first += 1
    if pages.count <= 0 or pages.first > pages.last:
        view.drop("list", name)
    return names


def read(view: View, name: str) -> list[str]:
    """All names, oldest first."""
    pages = view.of(Pages, "list", name)
    found: list[str] = []
    for number in range(pages.first, pages.last + 1) if pages is not None else ():
        page = view.of(Names, "list.page", page_key(name, number))
        found += page.names if page is not None else []
    return found
