"""The engines on torch and transformers."""
