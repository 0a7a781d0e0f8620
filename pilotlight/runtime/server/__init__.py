"""A Cog server as a process."""
