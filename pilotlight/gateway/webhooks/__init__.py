"""Webhooks: which are due, how they are signed, and their delivery."""
