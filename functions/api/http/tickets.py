"""The route of tickets."""

from fastapi import APIRouter
from pydantic import BaseModel

from functions.api import tickets
from functions.api.http.identity import Caller

router = APIRouter(tags=["streaming"])


class Ticket(BaseModel):
    """``ticket``: for ``?ticket=`` of a WebSocket's URL, once, within ``expires_in`` seconds."""

    ticket: str
    expires_in: int


@router.post("/ws-tickets")
async def create_ticket(caller: Caller) -> Ticket:
    """A ticket to open one WebSocket with, for clients that cannot set its headers: browsers."""
    return Ticket(ticket=await tickets.issue(caller), expires_in=tickets.LIFE_S)
