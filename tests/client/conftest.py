"""Every platform, started once for all cases: pytest runs the cases of one platform together, across files."""

from concurrent.futures import ThreadPoolExecutor

import pytest

from pilotlight.errors import PilotlightError
from tests.client.capabilities import PLATFORMS
from tests.client.platforms import open_platform


@pytest.fixture(scope="session", params=PLATFORMS)
def kind(request):
    return request.param


@pytest.fixture(scope="session")
def failed_setup(kind, tmp_path_factory):
    """A future of the error that a caller gets for a project that cannot be set up.

    Asked for before anything else, as platforms take their time to give up.
    """

    def call(path):
        with open_platform(kind, "run_broken", path) as broken:
            with pytest.raises(PilotlightError) as caught:
                broken.client.run({"prompt": "a"}, timeout_s=1 if broken.can.holds_calls else 120)
            return caught.value

    with ThreadPoolExecutor(1) as pool:
        yield pool.submit(call, tmp_path_factory.mktemp(f"broken-{kind}"))


@pytest.fixture(scope="session")
def streams(kind, failed_setup, tmp_path_factory):
    """A predictor that yields text and holds one prediction at once: ``run_text``."""
    with open_platform(kind, "run_text", tmp_path_factory.mktemp(kind)) as found:
        yield found


@pytest.fixture(scope="session")
def values(kind, failed_setup, tmp_path_factory):
    """An async predictor that returns values and holds eight predictions at once: ``platform_values``."""
    with open_platform(kind, "platform_values", tmp_path_factory.mktemp(kind)) as found:
        yield found
