"""Rolling summaries of long conversations."""
