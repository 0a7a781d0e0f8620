"""A calibration as a file, and back."""

import pytest
from pydantic import ValidationError

from pilotlight.bench.calibrate.results import CalibrationFile
from tests.bench.report.made import calibration


def test_what_is_written_is_what_is_read():
    found = calibration()
    file = CalibrationFile.model_validate_json(CalibrationFile.of(found).model_dump_json())
    assert file.calibration() == found
    assert (file.format, file.ok, file.runs, file.seed) == ("pilotlight-bench-calibration", True, 500, 0)
    assert [entry.ok for entry in file.figures] == [figure.ok for figure in found.figures]


def test_a_field_that_nobody_knows_is_refused():
    with pytest.raises(ValidationError, match="surprise"):
        CalibrationFile.model_validate({**CalibrationFile.of(calibration()).model_dump(), "surprise": 1})
