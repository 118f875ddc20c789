"""Sign-in: accounts, tokens, links and codes, second factors, in the protocol that the client libraries speak."""

from wedsync.api.auth.app import SignIn, auth_app
from wedsync.api.auth.post import FilePost, Post, SmtpPost

__all__ = ["FilePost", "Post", "SignIn", "SmtpPost", "auth_app"]
