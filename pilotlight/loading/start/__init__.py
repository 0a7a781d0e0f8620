"""Reading files ahead of a start: prefetch, start files."""
