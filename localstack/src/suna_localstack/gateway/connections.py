"""The open connections, and the sweep that ends idle and old ones."""

import asyncio
import time

from suna_localstack.gateway.session import GOING_AWAY, Session
from suna_localstack.gateway.settings import GatewaySettings


class Connections:
    """Open sessions by connection id; used on one event loop."""

    def __init__(self, settings: GatewaySettings) -> None:
        self._settings = settings
        self._sessions: dict[str, Session] = {}

    def __len__(self) -> int:
        return len(self._sessions)

    def add(self, session: Session) -> None:
        """Make a connection reachable; called after `$connect` has accepted it."""
        self._sessions[session.context.connection_id] = session

    def remove(self, session: Session) -> None:
        """Forget a connection; before its `$disconnect`, so that a post from there gets 410."""
        self._sessions.pop(session.context.connection_id, None)

    def find(self, connection_id: str) -> Session | None:
        """Return the session if it is open."""
        session = self._sessions.get(connection_id)
        return session if session and session.is_open else None

    async def close_all(self, *, timeout_s: float) -> None:
        """Close every connection with 1001 and wait until all have ended, at most `timeout_s`."""
        sessions = list(self._sessions.values())
        for session in sessions:
            session.close(*GOING_AWAY)
        if sessions:
            await asyncio.wait([session.ended for session in sessions], timeout=timeout_s)

    async def sweep(self) -> None:
        """End connections past the idle limit or the lifetime, until cancelled.

        Only messages count as activity: whether AWS counts control frames is not documented, so nothing here may
        depend on it.
        """
        limits = self._settings
        interval_s = min(1.0, limits.websocket_idle_s / 4, limits.websocket_lifetime_s / 4)
        while True:
            await asyncio.sleep(interval_s)
            now_s = time.monotonic()
            for session in list(self._sessions.values()):
                is_idle = now_s - session.last_active_s >= limits.websocket_idle_s
                if is_idle or now_s - session.opened_s >= limits.websocket_lifetime_s:
                    session.close(*GOING_AWAY)
