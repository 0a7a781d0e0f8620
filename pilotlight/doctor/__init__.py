"""Find the faults of a Cog project: ten common mistakes of serving a model, and what makes an image slow.

``reading`` and ``observe`` collect the facts and contain all effects; ``rules`` judges the facts and is pure;
``diagnose`` runs the rules.
"""

__all__: list[str] = []
