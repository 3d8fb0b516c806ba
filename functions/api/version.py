"""The version that the APIs' descriptions say."""

VERSION = "0.1.0"
"""pyproject.toml's, which no bundle contains: tests/unit/test_project_files.py holds all of them together."""
