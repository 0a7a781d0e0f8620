"""Receives webhooks: verifies signatures, and provides a Starlette route that handles each message once."""

from pilotlight.client.webhooks.route import Notice, webhook_route
from pilotlight.client.webhooks.verify import verify_webhook

__all__ = ["Notice", "verify_webhook", "webhook_route"]
