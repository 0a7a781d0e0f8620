"""Fake workers for the tests of what keeps them running."""

import asyncio

from pilotlight.runtime import FakeWorker


class Makes:
    """A factory of the given workers, in order; the last one is made again and again."""

    def __init__(self, *makers):
        self.made = []
        self._makers = list(makers) or [FakeWorker]

    def __call__(self):
        make = self._makers.pop(0) if len(self._makers) > 1 else self._makers[0]
        self.made.append(make())
        return self.made[-1]


def runs(scenario):
    """Run an asynchronous test that cannot hang."""

    def test():
        async def bounded():
            async with asyncio.timeout(120):
                await scenario()

        asyncio.run(bounded())

    test.__name__ = scenario.__name__
    return test


async def until(condition):
    while not condition():  # noqa: ASYNC110 - a fake has no event for each thing that a test waits for
        await asyncio.sleep(0.001)
