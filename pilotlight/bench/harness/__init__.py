"""The parts shared by all benches: targets, result documents, the environment, process counters and warnings."""
