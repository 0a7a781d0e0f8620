"""Which tensors of a file go where, checked by name and shape before any of them is read."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from pilotlight.errors import WeightsError
from pilotlight.loading.gguf.architectures import HEAD, Architecture, Change, Place, Places
from pilotlight.loading.gguf.header import TensorEntry

SHOWN = 4  # names in a message


@dataclass(frozen=True, slots=True)
class Move:
    """One tensor of the file, its name in transformers, and the change to undo."""

    entry: TensorEntry
    name: str
    change: Change

    @property
    def shape(self) -> tuple[int, ...]:
        """The tensor's shape in transformers."""
        return self.entry.shape[::-1] if self.change == "transposed" else self.entry.shape


@dataclass(frozen=True, slots=True)
class Plan:
    """All tensors of a model.

    Attributes:
        flags: of ``config.json``, as the tensors that are there imply them.
    """

    moves: tuple[Move, ...]
    flags: Mapping[str, bool]


def plan_tensors(
    architecture: Architecture, entries: Sequence[TensorEntry], *, layers: int, sizes: Mapping[str, int], where: str
) -> Plan:
    """Return where each tensor of ``entries`` goes; ``sizes`` are of the dimensions that the places name.

    Raises:
        WeightsError: tensors are missing, left over, or of another shape; the message has names and counts.
    """
    there = {entry.name: entry for entry in entries}
    places = dict(architecture.outside)
    flags = {"tie_word_embeddings": not there.keys() & HEAD.keys()}
    if not flags["tie_word_embeddings"]:
        places |= HEAD
    in_layer = dict(architecture.layer)
    for flag, optional in architecture.choices.items():
        flags[flag] = any(_layer_name(name, layer) in there for name in optional for layer in range(layers))
        if flags[flag]:
            in_layer |= optional
    places |= _of_layers(in_layer, architecture.prefix, layers)
    _check_names(there.keys(), places.keys(), architecture.rope, where)
    for name, place in places.items():
        expected = tuple(sizes[size] for size in place.shape)
        if there[name].shape != expected:
            raise WeightsError(
                f"{where} has tensor {name!r} with the shape {list(there[name].shape)}, and its metadata says "
                f"{list(expected)}"
            )
    moves = tuple(Move(there[name], place.name, place.change) for name, place in places.items())
    return Plan(moves, flags)


def _of_layers(places: Places, prefix: str, layers: int) -> dict[str, Place]:
    return {
        _layer_name(name, layer): Place(f"{prefix}{layer}.{place.name}", place.shape, place.change)
        for layer in range(layers)
        for name, place in places.items()
    }


def _layer_name(name: str, layer: int) -> str:
    return f"blk.{layer}.{name}"


def _check_names(there: Iterable[str], expected: Iterable[str], unused: Iterable[str], where: str) -> None:
    missing = set(expected) - set(there)
    if missing:
        raise WeightsError(f"{where} lacks {_list(missing)} that a model of its architecture has")
    surplus = set(there) - set(expected) - set(unused)
    if surplus:
        raise WeightsError(f"{where} has {_list(surplus)} that pilotlight cannot place in a model of its architecture")


def _list(names: set[str]) -> str:
    shown = ", ".join(sorted(names)[:SHOWN])
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return f"{len(names)} tensor{'s' if len(names) > 1 else ''} ({shown}{more})"
