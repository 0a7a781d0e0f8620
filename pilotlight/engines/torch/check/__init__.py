"""The self-check of a model at its start, and what is chosen by it."""
