"""What every bench needs: targets, result documents, the environment, process counters and warnings."""
