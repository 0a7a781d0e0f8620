"""Requests of the gateway to URLs that callers have given: webhooks, and inputs that are files."""
