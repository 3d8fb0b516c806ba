"""One WebSocket connection after its upgrade: frames in and out, limits, and how it ends.

Framing is websockets' sans-I/O protocol (it enforces the frame and message limits), bytes come from and go to the
transport without a task in between: an idle connection costs memory only, a post is written in the caller's turn of
the event loop, and posts therefore leave in the order in which they were accepted.
"""

import asyncio
import logging
import time
from collections import deque
from collections.abc import Callable

from websockets.frames import CloseCode, Frame, Opcode
from websockets.protocol import Protocol, Side, State

from suna_localstack.gateway.settings import GatewaySettings
from suna_localstack.gateway.websocket_events import ConnectionContext

# The protocol reports each connection's end at INFO; ten thousand of them say nothing.
_PROTOCOL_LOGGER = logging.getLogger("suna_localstack.gateway.frames")
_PROTOCOL_LOGGER.setLevel(logging.WARNING)

GOING_AWAY = (CloseCode.GOING_AWAY, "Going away")
CLOSED_BY_BACKEND = (CloseCode.NORMAL_CLOSURE, "Connection Closed Normally")
_UNSUPPORTED = (CloseCode.UNSUPPORTED_DATA, "Unsupported data")
_INVALID_TEXT = (CloseCode.INVALID_DATA, "Invalid UTF-8")
_NO_STATUS = (CloseCode.NO_STATUS_RCVD, "Client-side close frame status not set")
ABNORMAL = (CloseCode.ABNORMAL_CLOSURE, "Connection Closed Abnormally")
_RETRY_S = 0.05


class ClientBufferFullError(Exception):
    """The client reads too slowly: nothing was sent."""


class Session:
    """An open connection. Its methods are called on the event loop only.

    `ended` resolves once, with the close code and reason that `$disconnect` reports.
    """

    __slots__ = (
        "_close_timer",
        "_in_flight",
        "_loop",
        "_on_text",
        "_outcome",
        "_partial",
        "_pending",
        "_protocol",
        "_reading_paused",
        "_settings",
        "_transport",
        "context",
        "ended",
        "last_active_s",
        "opened_s",
    )

    def __init__(
        self,
        *,
        context: ConnectionContext,
        transport: asyncio.Transport,
        settings: GatewaySettings,
        on_text: Callable[["Session", str], None],
    ) -> None:
        self.context = context
        self._loop = asyncio.get_running_loop()
        self.ended: asyncio.Future[tuple[int, str]] = self._loop.create_future()
        self.opened_s = self.last_active_s = time.monotonic()
        self._transport = transport
        self._settings = settings
        self._on_text = on_text
        self._protocol = Protocol(
            Side.SERVER,
            state=State.OPEN,
            max_size=(settings.websocket_message_bytes, settings.websocket_frame_bytes),
            logger=_PROTOCOL_LOGGER,
        )
        self._partial: list[bytes] | None = None
        self._pending: deque[str] | None = None
        self._in_flight = 0
        self._reading_paused = False
        self._outcome: tuple[int, str] | None = None
        self._close_timer: asyncio.TimerHandle | None = None

    @property
    def is_open(self) -> bool:
        """True until either side has started to close."""
        return self._protocol.state is State.OPEN and not self.ended.done()

    def send(self, message: bytes) -> None:
        """Send a text message (UTF-8) of an open connection, split into frames of at most the frame limit.

        Raises
        ------
        ClientBufferFullError
            More than the write buffer's limit would wait for the client.
        """
        waiting = self._transport.get_write_buffer_size()
        if waiting + len(message) > self._settings.websocket_write_buffer_bytes:
            raise ClientBufferFullError
        size = self._settings.websocket_frame_bytes
        self._protocol.send_text(message[:size], fin=len(message) <= size)
        for start in range(size, len(message), size):
            self._protocol.send_continuation(message[start : start + size], fin=start + size >= len(message))
        self.last_active_s = time.monotonic()
        self._flush()

    async def send_when_possible(self, message: bytes) -> None:
        """Send once the client has read enough; returns without sending when the connection ends before that."""
        while self.is_open:
            try:
                self.send(message)
            except ClientBufferFullError:
                await asyncio.sleep(_RETRY_S)
            else:
                return

    def close(self, code: int, reason: str) -> None:
        """Start the closing handshake; the transport is dropped if the client does not answer in time."""
        if not self.is_open:
            return
        self._outcome = (code, reason)
        self._protocol.send_close(code, reason)
        self._flush()

    def message_done(self) -> None:
        """Note that a message handed to `on_text` has been dealt with; hands over the next one that waits."""
        self._in_flight -= 1
        if self._pending and self.is_open:
            self._hand_over(self._pending.popleft())
        self._regulate_reading()

    # What aiohttp calls on whatever parses an upgraded connection.

    def feed_data(self, data: bytes) -> tuple[bool, bytes]:
        """Take bytes from the client."""
        self._protocol.receive_data(data)
        for frame in self._protocol.events_received():
            if isinstance(frame, Frame) and frame.opcode in (Opcode.TEXT, Opcode.BINARY, Opcode.CONT):
                self._data_frame(frame.opcode, bytes(frame.data), frame.fin)
        self._flush()
        self._regulate_reading()
        return False, b""

    def feed_eof(self) -> None:
        """Note that the transport is gone."""
        if self._close_timer:
            self._close_timer.cancel()
        if not self.ended.done():
            self.ended.set_result(self._outcome or self._received_close() or ABNORMAL)

    def _data_frame(self, opcode: Opcode, data: bytes, fin: bool) -> None:
        if not self.is_open:
            return
        if opcode is Opcode.BINARY:
            self.close(*_UNSUPPORTED)
            return
        if opcode is Opcode.TEXT:
            self._partial = []
        if self._partial is None:
            return
        self._partial.append(data)
        if not fin:
            return
        message, self._partial = b"".join(self._partial), None
        self.last_active_s = time.monotonic()
        try:
            text = message.decode()
        except UnicodeDecodeError:
            self.close(*_INVALID_TEXT)
            return
        if self._in_flight < self._settings.websocket_concurrency:
            self._hand_over(text)
        else:
            self._pending = self._pending or deque()
            self._pending.append(text)

    def _hand_over(self, text: str) -> None:
        self._in_flight += 1
        self._on_text(self, text)

    def _regulate_reading(self) -> None:
        """Read on only while no message waits; what waits is bounded by one read from the socket."""
        pause = bool(self._pending) and self.is_open
        if pause != self._reading_paused and not self._transport.is_closing():
            self._reading_paused = pause
            (self._transport.pause_reading if pause else self._transport.resume_reading)()

    def _flush(self) -> None:
        for data in self._protocol.data_to_send():
            if data:
                self._transport.write(data)
            elif self._transport.can_write_eof() and not self._transport.is_closing():
                # Half-close: closing at once with unread input would reset the connection, and the client would
                # lose the close frame.
                self._transport.write_eof()
        if self._protocol.close_expected() and not self._close_timer:
            self._regulate_reading()
            close_sent = self._protocol.close_sent
            if self._outcome is None and close_sent is not None:
                self._outcome = self._received_close() or (close_sent.code, close_sent.reason)
            self._close_timer = self._loop.call_later(self._settings.websocket_close_s, self._transport.abort)

    def _received_close(self) -> tuple[int, str] | None:
        received = self._protocol.close_rcvd
        if received is None:
            return None
        return _NO_STATUS if received.code == CloseCode.NO_STATUS_RCVD else (received.code, received.reason)
