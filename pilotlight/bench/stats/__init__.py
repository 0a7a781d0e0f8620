"""The statistics of the benches: intervals, changepoints, warm-up classes, and synthetic data to test them."""
