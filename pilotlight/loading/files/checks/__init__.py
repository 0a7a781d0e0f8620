"""Whether a checkpoint is a model that can be served, judged from headers and JSON files."""
