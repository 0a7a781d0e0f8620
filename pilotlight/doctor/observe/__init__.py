"""Runs a project under the real Cog server and records what the rules need."""
