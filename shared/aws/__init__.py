"""AWS clients, made once a process: creating one is slow, and each belongs to the process's event loop."""
