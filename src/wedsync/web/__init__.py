"""The gateway's pages: how the home is, for people; and whether it lives, for programs."""

from wedsync.monitoring import StatusView
from wedsync.web.gateway import gateway_app
from wedsync.web.serving import serve
from wedsync.web.sessions import create_sign_in_link

__all__ = ["StatusView", "create_sign_in_link", "gateway_app", "serve"]
