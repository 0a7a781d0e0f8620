"""A module whose bytecode Python keeps."""

FACTOR = 1
