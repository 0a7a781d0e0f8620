"""Reads a project without running it."""
