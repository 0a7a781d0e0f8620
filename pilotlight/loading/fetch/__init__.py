"""Fetches a model folder from the hub, a web server or a disk."""
