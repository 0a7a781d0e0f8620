"""A Cog project on disk: ``cog.yaml`` read, checked, and turned into what its server needs to be started.

The rules are Cog 0.23.1's own (its ``pkg/config`` and JSON schema). A key that it does not know has no effect there
either; here it is named.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

from pilotlight.errors import ConfigError
from pilotlight.runtime.cog_yaml import CogYaml, TracesYaml, config_notes, read_cog_yaml
from pilotlight.runtime.decorators import concurrency_of
from pilotlight.runtime.docker_env import expand

CONFIG_NAME = "cog.yaml"


def nearest_project(folder: Path) -> Path:
    """Return the folder with a cog.yaml: ``folder``, or the nearest above it; ``folder`` where there is none."""
    whole = folder.absolute()
    return next((one for one in (whole, *whole.parents) if (one / CONFIG_NAME).is_file()), folder)


@dataclass(frozen=True, slots=True)
class Project:
    """A folder with a valid ``cog.yaml``.

    Attributes:
        root: the folder, absolute.
        predict_ref: file and name, such as ``predict.py:Predictor``; from ``run`` or the older ``predict``.
        train_ref: the same for training; ``None`` when the project cannot train.
        max_concurrency: predictions at once: ``concurrency.max``, else what ``@cog.concurrent(max=...)`` on the method
            in ``predict_ref``'s own file says, else 1.
        environment: the variables that the image would set, in the order of the file, as they are written there.
        python_version: ``build.python_version``; ``None`` without a ``build`` section.
        sdk_version: the cog release that the image installs; ``None`` for the newest.
        gpu: whether the image asks for a GPU.
        requirements: ``build.python_requirements``, absolute; ``None`` when not given.
        model: the name it is pushed under: ``model``, or the older ``image``; ``None`` when not given.
        traces: ``observability.traces`` as the variables that Cog bakes into its image; empty when off.
        notes: a line for each key of cog.yaml that has no effect here, without the file's name.
    """

    root: Path
    predict_ref: str
    train_ref: str | None
    max_concurrency: int
    environment: Mapping[str, str]
    python_version: str | None
    sdk_version: str | None
    gpu: bool
    requirements: Path | None
    model: str | None
    traces: Mapping[str, str]
    notes: tuple[str, ...] = ()

    @classmethod
    def load(cls, root: Path | str) -> Project:
        """Read ``root/cog.yaml``.

        Raises:
            ConfigError: anything is wrong with it; each line of the message names the file, the key, what was given
                and what to change.
        """
        folder = Path(root).absolute()
        if not folder.is_dir():
            raise ConfigError(f"{folder} is not a folder; give the folder that holds {CONFIG_NAME}")
        path = folder / CONFIG_NAME
        config = read_cog_yaml(path)
        notes = config_notes(config)
        predict_ref = config.run or config.predict
        if predict_ref is None:
            raise ConfigError(
                f"{path}: neither run nor predict is set, so there is nothing to serve; "
                + "; ".join([*notes, 'add a line such as run: "run.py:Runner"'])
            )
        _require_source(path, "run" if config.run else "predict", predict_ref)
        if config.train is not None:
            _require_source(path, "train", config.train)
        return cls(
            root=folder,
            predict_ref=predict_ref,
            train_ref=config.train,
            max_concurrency=_concurrency(config, folder, predict_ref),
            environment=MappingProxyType(dict(line.split("=", 1) for line in config.environment or ())),
            python_version=config.build.python_version if config.build else None,
            sdk_version=config.build.sdk_version if config.build else None,
            gpu=config.build.gpu if config.build else False,
            requirements=_requirements(path, config),
            model=config.model or config.image,
            traces=MappingProxyType(_trace_variables(config)),
            notes=notes,
        )

    @property
    def predict_file(self) -> Path:
        """The absolute path of the file of ``predict_ref``."""
        return self.root / self.predict_ref.partition(":")[0]

    @property
    def predict_name(self) -> str:
        """The class or function of ``predict_ref``."""
        return self.predict_ref.partition(":")[2]

    def server_environment(self, environ: Mapping[str, str] = os.environ) -> dict[str, str]:
        """What Cog's image sets for its server: the project's own variables and the ``COG_*`` ones.

        The server reads no cog.yaml; without these it would not know what to run.

        Args:
            environ: the variables that the project's own may refer to, as ``$HOME``.
        """
        variables = {
            **{name: expand(value, environ) for name, value in self.environment.items()},
            "COG_PREDICT_TYPE_STUB": self.predict_ref,
            "COG_MAX_CONCURRENCY": str(self.max_concurrency),
            **self.traces,
        }
        if self.train_ref is not None:
            variables["COG_TRAIN_TYPE_STUB"] = self.train_ref
        return variables


def _require_source(path: Path, key: str, ref: str) -> None:
    """Refuse a reference whose file lies outside the project or does not exist."""
    name = ref.partition(":")[0]
    source = (path.parent / name).resolve()
    if not source.is_relative_to(path.parent.resolve()):
        raise ConfigError(f"{path}: {key}: {ref!r}: {name} lies outside the project; move it next to {CONFIG_NAME}")
    if not source.is_file():
        raise ConfigError(f"{path}: {key}: {ref!r}: there is no file {name} in {path.parent}; correct the name")


def _concurrency(config: CogYaml, folder: Path, predict_ref: str) -> int:
    if config.concurrency is not None:
        return config.concurrency.max
    name, _, target = predict_ref.partition(":")
    return concurrency_of(folder / name, target) or 1


def _requirements(path: Path, config: CogYaml) -> Path | None:
    if config.build is None or config.build.python_requirements is None:
        return None
    requirements = path.parent / config.build.python_requirements
    if not requirements.is_file():
        raise ConfigError(
            f"{path}: build.python_requirements: {config.build.python_requirements!r}: there is no such file; "
            "create it or correct the name"
        )
    return requirements


def _trace_variables(config: CogYaml) -> dict[str, str]:
    """The ``COG_TRACE_*`` lines of Cog's Dockerfile generator.

    Not ``COG_OBSERVABILITY_CONFIG``: Cog takes that file only from ``/.cog`` in its image, and fails the setup with any
    other. Without it traces go out as OpenTelemetry's own variables say.
    """
    observability = config.observability
    traces = observability.traces if observability else None
    if traces is None or not traces.enabled:
        return {}
    return {"COG_TRACE_CONFIGURED": "true", "COG_TRACE_ENABLED": "true", **_sampler_variables(traces)}


def _sampler_variables(traces: TracesYaml) -> dict[str, str]:
    variables: dict[str, str] = {"COG_TRACE_SAMPLER": traces.sampler}
    if traces.sampler_arg is not None:
        variables["COG_TRACE_SAMPLER_ARG"] = traces.sampler_arg
    if traces.trace_header is not None:
        variables["COG_TRACE_HEADER"] = traces.trace_header
        variables["COG_TRACE_HEADER_FORMAT"] = traces.trace_header_format
    return variables
