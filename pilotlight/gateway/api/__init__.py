"""The HTTP routes of the gateway, and the security checks before them."""
