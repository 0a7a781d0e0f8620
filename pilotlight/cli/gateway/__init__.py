"""The commands of the gateway and of what was pushed to it."""
