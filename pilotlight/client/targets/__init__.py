"""One module for each kind of target a client can reach."""
