"""The WebSocket API: connections and their commands."""
