"""Divides requests among versions or targets. Pure: time and random numbers are arguments."""

from pilotlight.traffic.split import Route, Traffic, choose
from pilotlight.traffic.sticky import RequestKeys, StickyBy, parse_sticky

__all__ = ["RequestKeys", "Route", "StickyBy", "Traffic", "choose", "parse_sticky"]
