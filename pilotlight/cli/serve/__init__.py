"""``pilotlight serve`` on this machine and behind the contracts of platforms."""
