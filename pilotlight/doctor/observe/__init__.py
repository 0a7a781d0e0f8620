"""Run a project under the real Cog server and record what the rules need."""
