"""Finds what is wrong with a Cog project: the ten common mistakes of serving a model, and what makes an image slow.

``reading`` and ``observe`` collect facts and are the only effects; ``rules`` judges them and is pure; ``diagnose`` runs
the rules.
"""

__all__: list[str] = []
