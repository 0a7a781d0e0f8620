from cog import Input
from pydantic import BaseModel


class Weights(BaseModel):
    loss: float
    steps: int


def train(steps: int = Input(ge=1, default=10), optimizer: str = Input(choices=["adam", "sgd"])) -> Weights:
    return Weights(loss=0.0, steps=steps)
