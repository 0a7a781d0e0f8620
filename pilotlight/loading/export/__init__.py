"""Makes artifacts for faster engines from a model folder."""
