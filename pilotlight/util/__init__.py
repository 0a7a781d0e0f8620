"""Small functions that several parts of the package share."""

__all__: list[str] = []
