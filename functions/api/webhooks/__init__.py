"""Webhooks: what a run's end is told to, signed as Standard Webhooks say (standardwebhooks.com)."""
