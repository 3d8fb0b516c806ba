"""Pages of what a search finds: headers that say where the next one begins."""

from collections.abc import Sequence

from fastapi import Response

NEXT = "x-pagination-next"
TOTAL = "x-pagination-total"


def page_of[T](found: Sequence[T], response: Response, *, limit: int, offset: int) -> Sequence[T]:
    """The page, of ``found`` that was asked for with one more than ``limit``; the headers are set on ``response``.

    ``x-pagination-next`` is the next page's offset, if there is one; ``x-pagination-total`` how many there are, or at
    least are, as a LangGraph server counts.
    """
    end = offset + min(len(found), limit)
    if len(found) > limit:
        response.headers[NEXT] = str(end)
    response.headers[TOTAL] = str(end + (len(found) > limit))
    return found[:limit]
