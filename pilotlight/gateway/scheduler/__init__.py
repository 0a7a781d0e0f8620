"""Queues, workers and scaling: which prediction runs where and when."""
