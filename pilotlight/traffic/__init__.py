"""Divides requests among versions or targets. Pure: time and random numbers are arguments."""

from pilotlight.traffic.split import Route, Traffic, choose

__all__ = ["Route", "Traffic", "choose"]
