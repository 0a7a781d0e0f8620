"""``pilotlight serve``: on this machine, or as a worker of another platform."""
