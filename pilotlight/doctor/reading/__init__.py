"""Read a project without running it."""
