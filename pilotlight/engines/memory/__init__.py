"""Plans the memory of the text engines: what is free, what a cache of keys and values costs, and who may enter it."""
