"""The commands that run one prediction, and those about targets."""
