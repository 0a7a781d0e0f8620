"""How requests are divided among versions or targets. Pure: time and chance are arguments."""

from pilotlight.traffic.split import Route, Traffic, choose

__all__ = ["Route", "Traffic", "choose"]
