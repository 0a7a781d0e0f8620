"""Between text and tokens: tokenizers, chat templates, and texts that may be sent."""
