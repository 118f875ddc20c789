"""What payment providers tell us: signed messages, kept once and done once."""

from wedsync.api.webhooks.endpoint import WebhookApp

__all__ = ["WebhookApp"]
