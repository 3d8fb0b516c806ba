"""The event stream of a thread: events, the log that remembers them, and their delivery to connections."""
