"""The tools that come with the runner."""
