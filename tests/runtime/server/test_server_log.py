import json

import pytest

from pilotlight.runtime.server.server_log import LogLine, parse_line


def entry(message, target, level="INFO", **fields):
    return json.dumps({"timestamp": "now", "level": level, "fields": {"message": message, **fields}, "target": target})


@pytest.mark.parametrize(
    ("line", "parsed"),
    [
        (entry("loading", "coglet::setup", source="Stdout"), LogLine("loading", "INFO")),
        (entry("later", "coglet::user"), LogLine("later", "INFO")),
        (entry("hi", "coglet::prediction", prediction_id="p", source="Stderr"), LogLine("hi", "INFO")),
        (
            entry("Starting prediction", "coglet::prediction", prediction_id="p"),
            LogLine("Starting prediction prediction_id=p", "INFO", predictor=False),
        ),
        (
            entry("Slot poisoned", "coglet::permit::pool", "WARN", slot=3),
            LogLine("Slot poisoned slot=3", "WARN", predictor=False),
        ),
        (
            entry("<string>:1: DeprecationWarning: use run()", "coglet::user"),
            LogLine("<string>:1: DeprecationWarning: use run()", "INFO", predictor=False),
        ),
        ("Segmentation fault", LogLine("Segmentation fault")),
        ('{"timestamp": cut', LogLine('{"timestamp": cut')),
        ('{"timestamp": 1}', LogLine('{"timestamp": 1}')),
    ],
)
def test_lines(line, parsed):
    assert parse_line(line) == parsed
