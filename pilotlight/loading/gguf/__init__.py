"""GGUF files: what they hold, and the plain model folder made from one."""
