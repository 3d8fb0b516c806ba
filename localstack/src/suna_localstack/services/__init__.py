"""PostgreSQL and Redis as plain child processes, from PyPI wheels: nothing is installed on the machine."""
