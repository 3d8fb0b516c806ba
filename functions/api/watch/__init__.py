"""The watch: every run's repair, and the reader of the dead-letter queues."""
