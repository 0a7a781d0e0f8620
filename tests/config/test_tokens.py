"""Two variables for two tokens, the old one for both, and none for predictors."""

import pytest

from pilotlight.config.tokens import api_token, gateway_token, predictor_environment, renamed
from pilotlight.config.variables import API_TOKEN, GATEWAY_TOKEN

OLD, GATEWAY, API = "PILOTLIGHT_TOKEN", "PILOTLIGHT_GATEWAY_TOKEN", "PILOTLIGHT_API_TOKEN"


@pytest.mark.parametrize(
    ("environ", "for_callers", "own"),
    [
        ({}, None, None),
        ({OLD: "old"}, "old", "old"),
        ({GATEWAY: "g"}, "g", None),
        ({API: "a"}, None, "a"),
        ({OLD: "old", GATEWAY: "g"}, "g", "old"),
        ({OLD: "old", GATEWAY: "g", API: "a"}, "g", "a"),
        ({OLD: "", GATEWAY: "", API: ""}, None, None),
    ],
)
def test_each_has_its_variable_and_the_old_one_stands_in(environ, for_callers, own):
    assert (gateway_token(environ), api_token(environ)) == (for_callers, own)


def test_the_old_name_is_noted_only_where_it_is_used():
    assert "set PILOTLIGHT_API_TOKEN here" in renamed({OLD: "old"}, API_TOKEN)
    assert "set PILOTLIGHT_GATEWAY_TOKEN here" in renamed({OLD: "old", API: "a"}, GATEWAY_TOKEN)
    assert renamed({OLD: "old", API: "a"}, API_TOKEN) is None
    assert renamed({OLD: ""}, API_TOKEN) is None
    assert "secret" not in renamed({OLD: "secret"}, API_TOKEN)


def test_a_predictor_gets_everything_but_tokens():
    environ = {OLD: "1", GATEWAY: "2", API: "3", "PILOTLIGHT_MODEL": "m", "HF_TOKEN": "h"}
    assert predictor_environment(environ) == {"PILOTLIGHT_MODEL": "m", "HF_TOKEN": "h"}
