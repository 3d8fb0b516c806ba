"""What the worker imports: its modules stand by themselves, for a worker has no packages."""
