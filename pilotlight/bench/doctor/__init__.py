"""What is wrong with a Cog project: the ten classic mistakes of serving a model, and what makes an image slow.

``reading`` and ``observe`` collect facts, the only effects; ``rules_*`` judge them, pure; ``diagnose`` runs the rules.
"""
