"""The commands that run and manage a gateway and its pushed models."""
