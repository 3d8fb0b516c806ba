"""The edge: HTTP and WebSocket in, PostgreSQL and queues behind; no litellm here."""
