"""A server that takes connections and says nothing: how often it was tried."""

import socket


def tries_at(silent: socket.socket) -> int:
    """How many connections have been made to it since it was last asked; nobody need have accepted them."""
    silent.setblocking(False)
    tries = 0
    while True:
        try:
            connection, _ = silent.accept()
        except BlockingIOError:
            return tries
        connection.close()
        tries += 1
