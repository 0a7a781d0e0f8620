"""A queue that its owners share: which prediction is next, and who may still add one. Pure.

The owner of a prediction is the token that created it. Where no token is needed there is one owner, and this is a
plain queue.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable, Iterator, Mapping

from pilotlight.gateway.scheduler.active import ActivePrediction

Owner = str | None


class FairQueue:
    """Waiting predictions; those of one owner keep their order.

    The next one is of an owner who has the fewest predictions running; among those, the owner who has waited for a
    turn for longest. So owners share the slots evenly, whatever they have queued and however long they run.
    """

    def __init__(self) -> None:
        # In the order of turns; owners without predictions are left out.
        self._by_owner: dict[Owner, deque[ActivePrediction]] = {}

    def __len__(self) -> int:
        return sum(map(len, self._by_owner.values()))

    def __iter__(self) -> Iterator[ActivePrediction]:
        for predictions in self._by_owner.values():
            yield from predictions

    @property
    def oldest_at(self) -> float | None:
        """When the prediction was created that has waited for longest; ``None`` where none waits."""
        return min((predictions[0].created_at for predictions in self._by_owner.values()), default=None)

    def counts(self) -> Counter[Owner]:
        """Return how many predictions wait, by owner."""
        return Counter({owner: len(predictions) for owner, predictions in self._by_owner.items()})

    def append(self, active: ActivePrediction) -> None:
        """Add a prediction after those of its owner."""
        self._by_owner.setdefault(active.owner, deque()).append(active)

    def pop(self, running: Callable[[], Mapping[Owner, int]]) -> ActivePrediction:
        """Remove and return the next prediction; at least one waits.

        Args:
            running: returns how many predictions run, by owner; called only where several owners wait.
        """
        owner = next(iter(self._by_owner))
        if len(self._by_owner) > 1:
            now = running()
            owner = min(self._by_owner, key=lambda one: now.get(one, 0))
        predictions = self._by_owner.pop(owner)
        active = predictions.popleft()
        if predictions:
            self._by_owner[owner] = predictions
        return active

    def remove(self, active: ActivePrediction) -> bool:
        """Remove a prediction, and return whether it was waiting."""
        predictions = self._by_owner.get(active.owner, deque())
        if active not in predictions:
            return False
        predictions.remove(active)
        if not predictions:
            del self._by_owner[active.owner]
        return True


def has_room(waiting: Mapping[Owner, int], owner: Owner, max_waiting: int) -> bool:
    """Return whether an owner may add one more prediction to a queue.

    The queue takes ``max_waiting`` predictions of whoever comes first. Beyond that it takes those of owners who have
    less than an even share, so that nobody can fill it for others. With n owners it never holds more than
    ``max_waiting * (1 + 1/2 + ... + 1/n) + n``.

    Args:
        waiting: how many predictions wait, by owner.
        owner: who adds one.
        max_waiting: the limit of the queue.
    """
    owners = len({*waiting, owner})
    return sum(waiting.values()) < max_waiting or waiting.get(owner, 0) < -(-max_waiting // owners)
