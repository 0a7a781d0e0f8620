"""Deployments: names for versions with weights, and limits for their workers. Every change is a release of its own."""

from __future__ import annotations

import itertools
import math
import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass, replace

from pilotlight.errors import ConfigError
from pilotlight.gateway.registry.names import ConflictError, MissingError
from pilotlight.gateway.registry.registry import Registry
from pilotlight.gateway.registry.tables import opened, writing
from pilotlight.traffic import parse_sticky

# As many as Replicate grants without being asked; on one machine far too many already.
MOST_INSTANCES = 20


@dataclass(frozen=True, slots=True)
class Share:
    """A version, and its weight among those of one deployment."""

    version: str
    weight: float = 1.0


@dataclass(frozen=True, slots=True)
class Deployment:
    """A deployment as of its latest release.

    Attributes:
        deployment: ``owner/name``.
        model: ``owner/name`` of the model whose versions it serves.
        traffic: its versions, at least one; the router divides its requests among them by their weights.
        hardware: what was asked for. It is only kept and shown: the workers run on this machine, whatever it is.
        min_instances: workers that are always there, of all versions together.
        max_instances: workers at most, of all versions together; with 0 its predictions wait.
        created_at: when this release was made; seconds since 1970.
        number: of this release, from 1 on.
        sticky: what requests of one version have in common, as ``traffic.sticky`` reads it; ``None`` for nothing.
        earlier: the traffic of the releases before, oldest first, where it changed: the router moves as few requests
            as it can from one version to another.

    Raises:
        ConflictError: the limits contradict each other, there is no version, or one is there twice.
        ConfigError: a weight is no number above 0, or ``sticky`` cannot be read.
    """

    deployment: str
    model: str
    traffic: tuple[Share, ...]
    hardware: str
    min_instances: int
    max_instances: int
    created_at: float
    number: int = 1
    sticky: str | None = None
    earlier: tuple[tuple[Share, ...], ...] = ()

    def __post_init__(self) -> None:
        if not self.traffic:
            raise ConflictError("a deployment needs a version")
        versions = [share.version for share in self.traffic]
        if twice := next((version for version in versions if versions.count(version) > 1), None):
            raise ConflictError(f"the version {twice[:80]} is given twice; give each version one weight")
        for share in self.traffic:
            if not (math.isfinite(share.weight) and share.weight > 0):
                raise ConfigError(f"the weight of {share.version[:80]} is {share.weight!r}; give a number above 0")
        parse_sticky(self.sticky)
        if not 0 <= self.min_instances <= self.max_instances:
            raise ConflictError(
                f"At least {self.min_instances} and at most {self.max_instances} instances cannot be: give a "
                "minimum of 0 or more, and a maximum that is not below it."
            )

    @property
    def version(self) -> str:
        """The version with the largest weight, where a single one is shown."""
        return max(self.traffic, key=lambda share: share.weight).version


class Deployments:
    """The deployments in a registry.

    Raises:
        StoreError: from every method: it cannot be read or written.
    """

    def __init__(self, registry: Registry) -> None:
        self._database = registry.database

    def all(self) -> list[Deployment]:
        """Return all deployments, by name."""
        with opened(self._database) as db:
            names = [row["deployment"] for row in db.execute("SELECT deployment FROM deployments ORDER BY deployment")]
            return [_read(db, name) for name in names]

    def find(self, name: str) -> Deployment:
        """Return a deployment.

        Raises:
            MissingError: there is none of that name.
        """
        with opened(self._database) as db:
            return _read(db, name)

    def create(self, new: Deployment) -> None:
        """Add a deployment.

        Raises:
            ConflictError: there is one of that name.
            MissingError: there is no such version of such a model.
        """
        with writing(self._database) as db:
            added = db.execute("INSERT OR IGNORE INTO deployments VALUES (?)", (new.deployment,)).rowcount
            if not added:
                raise ConflictError(
                    f"there is a deployment {new.deployment} already; update it, or choose another name"
                )
            _write(db, new)

    def update(
        self,
        name: str,
        *,
        now: float,
        version: str | None = None,
        traffic: Sequence[Share] = (),
        sticky: str | None = None,
        hardware: str | None = None,
        min_instances: int | None = None,
        max_instances: int | None = None,
    ) -> Deployment:
        """Make a new release of a deployment, unless nothing differs from the one before it; return the latest.

        Args:
            name: of the deployment.
            now: the time.
            version: the version that all traffic goes to from now on; as before by default.
            traffic: the versions that traffic is divided among from now on, in place of ``version``.
            sticky: what keeps requests on one version; an empty text for nothing; as before by default.
            hardware: as ``Deployment.hardware``; as before by default.
            min_instances: as ``Deployment.min_instances``; as before by default.
            max_instances: as ``Deployment.max_instances``; as before by default.

        Raises:
            MissingError: there is no such deployment, or its model has no such version.
            ConflictError: the limits contradict each other, or ``version`` and ``traffic`` are both given.
            ConfigError: a weight is no number above 0, or ``sticky`` cannot be read.
        """
        if version is not None and traffic:
            raise ConflictError("give either the version that gets all traffic, or versions with weights")
        new = tuple(traffic) if version is None else (Share(version),)
        with writing(self._database) as db:
            before = _read(db, name)
            shares = tuple(sorted(new, key=lambda share: share.version)) or before.traffic
            keeps = before.sticky if sticky is None else sticky or None
            wanted = replace(
                before,
                traffic=shares,
                sticky=keeps,
                hardware=before.hardware if hardware is None else hardware,
                min_instances=before.min_instances if min_instances is None else min_instances,
                max_instances=before.max_instances if max_instances is None else max_instances,
            )
            if wanted == before:
                return before
            earlier = before.earlier if shares == before.traffic else (*before.earlier, before.traffic)
            after = replace(wanted, number=before.number + 1, created_at=now, earlier=earlier)
            _write(db, after)
            return after

    def delete(self, name: str) -> None:
        """Remove a deployment with its history.

        Raises:
            MissingError: there is none.
        """
        with writing(self._database) as db:
            if not db.execute("DELETE FROM deployments WHERE deployment = ?", (name,)).rowcount:
                raise _missing(name)


def _read(db: sqlite3.Connection, name: str) -> Deployment:
    sql = "SELECT * FROM deployment_releases WHERE deployment = ? ORDER BY number DESC LIMIT 1"
    row = db.execute(sql, (name,)).fetchone()
    if row is None:
        raise _missing(name)
    sql = "SELECT number, version, weight FROM deployment_traffic WHERE deployment = ? ORDER BY number, version"
    releases = itertools.groupby(db.execute(sql, (name,)).fetchall(), key=lambda share: share["number"])
    traffic = [tuple(Share(share["version"], share["weight"]) for share in shares) for _, shares in releases]
    *earlier, now = (shares for shares, _ in itertools.groupby(traffic))  # only where it changed
    return Deployment(**row, traffic=now, earlier=tuple(earlier))


def _write(db: sqlite3.Connection, one: Deployment) -> None:
    for share in one.traffic:
        sql = "SELECT 1 FROM versions WHERE id = ? AND model = ?"
        if db.execute(sql, (share.version, one.model)).fetchone() is None:
            raise MissingError(f"{one.model} has no version {share.version[:80]!r}")
    columns = ("deployment", "number", "model", "hardware", "min_instances", "max_instances", "created_at", "sticky")
    marks = ", ".join("?" * len(columns))
    sql = f"INSERT INTO deployment_releases ({', '.join(columns)}) VALUES ({marks})"  # noqa: S608
    db.execute(sql, [getattr(one, column) for column in columns])
    shares = [(one.deployment, one.number, share.version, share.weight) for share in one.traffic]
    db.executemany("INSERT INTO deployment_traffic VALUES (?, ?, ?, ?)", shares)


def _missing(name: str) -> MissingError:
    return MissingError(f"there is no deployment {name} here")
