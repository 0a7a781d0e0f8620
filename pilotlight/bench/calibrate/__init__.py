"""Whether the statistics and the clock of this machine can be trusted: ``pilotlight bench calibrate``."""
