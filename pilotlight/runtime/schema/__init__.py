"""A predictor's OpenAPI document: made, cached, and used to validate inputs."""
