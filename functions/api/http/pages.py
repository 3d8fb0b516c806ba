"""Pages of what a search finds: headers that say where the next one begins."""

from collections.abc import Sequence

from fastapi import Response

from shared.database.pages import Page

NEXT = "x-pagination-next"
TOTAL = "x-pagination-total"


def announced[T](page: Page[T], response: Response) -> Sequence[T]:
    """What the page has; the headers are set on ``response``.

    ``x-pagination-next`` is the next page's offset, if there is one; ``x-pagination-total`` how many there are, or at
    least are, as a LangGraph server counts.
    """
    if not page.is_last:
        response.headers[NEXT] = str(page.end)
    response.headers[TOTAL] = str(page.end + (not page.is_last))
    return page.items
