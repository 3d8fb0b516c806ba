"""Posting to subscribers while no run is executed."""
