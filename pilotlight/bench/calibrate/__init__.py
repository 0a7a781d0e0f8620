"""``pilotlight bench calibrate``: check whether this machine's statistics and clock can be trusted."""
