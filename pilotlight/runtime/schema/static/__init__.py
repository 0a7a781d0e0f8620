"""Read a predictor's signature from its source, without importing it, by the rules of Cog 0.23.1's build tool.

``reader.read_handler`` is the way in. The rules are those of ``pkg/schema`` in Cog's repository, surprises included,
because that is the schema which the image gets.
"""
