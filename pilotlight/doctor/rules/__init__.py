"""The rules of ``pilotlight doctor``."""
