"""Models, versions and deployments: what was pushed, and its files."""
