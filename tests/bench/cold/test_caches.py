from pathlib import Path

import pytest

from pilotlight.bench.cold.caches import COMPILE_VARIABLES, fresh_folders, refuse_given
from pilotlight.errors import UsageError


def test_every_variable_has_an_empty_folder_of_its_own(tmp_path):
    found = fresh_folders(COMPILE_VARIABLES, tmp_path)
    folders = [Path(value) for value in found.values()]
    assert tuple(found) == COMPILE_VARIABLES
    assert len(set(folders)) == len(folders)
    assert all(folder.parent == tmp_path and list(folder.iterdir()) == [] for folder in folders)


def test_a_cache_that_each_start_has_its_own_of_is_not_to_be_given():
    refuse_given(COMPILE_VARIABLES, {"HF_HOME": "/x"}, "--compile-cache absent")
    with pytest.raises(UsageError, match="-e TRITON_CACHE_DIR=/x: --compile-cache absent sets it for every start"):
        refuse_given(COMPILE_VARIABLES, {"TRITON_CACHE_DIR": "/x"}, "--compile-cache absent")
