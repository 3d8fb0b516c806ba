"""Measurements against peers. Each prints a table and, last, one line of JSON, kept in ``bench/results``."""
