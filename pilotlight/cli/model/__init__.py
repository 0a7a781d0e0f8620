"""The commands for model folders: weights, artifacts, start files."""
