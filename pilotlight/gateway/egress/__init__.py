"""Requests of the gateway to URLs that callers have given."""
