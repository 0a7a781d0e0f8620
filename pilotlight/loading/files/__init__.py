"""The files of a model folder: names, manifest, verification."""
