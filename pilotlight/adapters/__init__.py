"""The predictor inside somebody else's contract."""

__all__: list[str] = []
