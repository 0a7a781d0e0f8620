"""Every home, started once for all cases: pytest takes the cases of one home together, whichever file they are in."""

from concurrent.futures import ThreadPoolExecutor

import pytest

from pilotlight.errors import PilotlightError
from tests.client.capabilities import HOMES
from tests.client.platforms import home


@pytest.fixture(scope="session")
def failed_setups(tmp_path_factory):
    """What a caller hears of a project that cannot be set up: by home, a future of the error.

    Asked for before anything else, and all at once, as homes take their time to give up.
    """

    def call(kind, path):
        with home(kind, "run_broken", path) as broken:
            with pytest.raises(PilotlightError) as caught:
                broken.client.run({"prompt": "a"}, timeout_s=1 if broken.can.holds_calls else 60)
            return caught.value

    with ThreadPoolExecutor(len(HOMES)) as pool:
        # pytest's factory is not for several threads.
        yield {kind: pool.submit(call, kind, tmp_path_factory.mktemp(f"broken-{kind}")) for kind in HOMES}


@pytest.fixture(scope="session", params=HOMES)
def kind(request, failed_setups):
    return request.param


@pytest.fixture(scope="session")
def streams(kind, tmp_path_factory):
    """A predictor that yields text and holds one prediction at once: ``run_text``."""
    with home(kind, "run_text", tmp_path_factory.mktemp(kind)) as found:
        yield found


@pytest.fixture(scope="session")
def values(kind, tmp_path_factory):
    """An async predictor that returns values and holds eight predictions at once: ``home_values``."""
    with home(kind, "home_values", tmp_path_factory.mktemp(kind)) as found:
        yield found
