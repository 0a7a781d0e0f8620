"""Takes a secret, and shows that it has arrived without showing it."""

from cog import BasePredictor, Input, Secret


class Predictor(BasePredictor):
    def predict(
        self,
        token: Secret = Input(description="Never shown"),
        fail: bool = Input(default=False),
    ) -> int:
        print(f"given {token}")
        if fail:
            raise ValueError(f"{token} does not open the door")
        return len(token.get_secret_value() or "")
