"""The HTTP routes of the gateway, and what stands before them."""
