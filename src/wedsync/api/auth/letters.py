"""What letters say: a subject, plain words, and the same as a little HTML."""

from collections.abc import Mapping
from dataclasses import dataclass
from email.message import EmailMessage
from email.utils import formatdate, make_msgid
from html import escape
from string import Template

import msgspec


class Content(msgspec.Struct, frozen=True, kw_only=True):
    """What is put into a letter."""

    link: str | None = None
    code: str | None = None
    site: str = ""
    new_email: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Words:
    """A kind of letter; `$site` and `$new_email` are put in."""

    subject: str
    text: str
    button: str | None = None


WORDS: Mapping[str, Words] = {
    "signup": Words(
        subject="Confirm your address",
        text="Welcome. Please confirm that this address is yours, and your account at $site is ready.",
        button="Confirm",
    ),
    "invite": Words(
        subject="You are invited",
        text="You are invited to $site. Follow the link to accept.",
        button="Accept",
    ),
    "magiclink": Words(
        subject="Your link to sign in",
        text="Follow the link to sign in at $site. It works once, and not for long.",
        button="Sign in",
    ),
    "recovery": Words(
        subject="A new password",
        text="Somebody, hopefully you, wants a new password for $site. Follow the link to choose one.",
        button="Choose a password",
    ),
    "email_change_current": Words(
        subject="Confirm the change of your address",
        text="Your account at $site is to get the address $new_email. Please confirm it from here as well.",
        button="Confirm the change",
    ),
    "email_change_new": Words(
        subject="Confirm your new address",
        text="Please confirm that this is to be the address of your account at $site.",
        button="Confirm the address",
    ),
    "reauthentication": Words(
        subject="Your code",
        text="Enter this code at $site to go on.",
    ),
    "already_here": Words(
        subject="You have an account already",
        text="Somebody, perhaps you, wanted to use this address for an account at $site. There is one already: "
        "sign in, or ask for a new password. If it was not you, nothing is to be done.",
    ),
}
_NOT_YOU = "If you did not ask for this, do nothing: nothing happens."
_PAGE = Template('<!doctype html><html><body style="font-family:sans-serif;line-height:1.5">$parts</body></html>')


def letter(kind: str, content: Content, *, sender: str, recipient: str, identity: str) -> EmailMessage:
    """The e-mail. The same letter tried twice has the same Message-ID: mail systems drop the second."""
    words = WORDS[kind]
    values = {"site": content.site, "new_email": content.new_email or ""}
    text = Template(words.text).substitute(values)
    message = EmailMessage()
    message["Subject"] = words.subject
    message["From"] = sender
    message["To"] = recipient
    message["Date"] = formatdate()
    message["Message-ID"] = _message_id(identity, sender)
    message["Auto-Submitted"] = "auto-generated"
    message.set_content(_plain(text, content))
    message.add_alternative(_html(text, words, content), subtype="html")
    return message


def _plain(text: str, content: Content) -> str:
    parts = [text]
    if content.link is not None:
        parts.append(content.link)
    if content.code is not None:
        parts.append(f"Code: {content.code}")
    parts.append(_NOT_YOU)
    return "\n\n".join(parts) + "\n"


def _html(text: str, words: Words, content: Content) -> str:
    parts = [f"<p>{escape(text)}</p>"]
    if content.link is not None:
        parts.append(f'<p><a href="{escape(content.link)}">{escape(words.button or "Go on")}</a></p>')
    if content.code is not None:
        parts.append(f'<p>Code: <strong style="letter-spacing:.1em">{escape(content.code)}</strong></p>')
    parts.append(f"<p><small>{_NOT_YOU}</small></p>")
    return _PAGE.substitute(parts="".join(parts))


def _message_id(identity: str, sender: str) -> str:
    domain = sender.rpartition("@")[2].rstrip("> ") or "localhost"
    made = make_msgid(domain=domain)
    return f"<{identity}@{made.rpartition('@')[2]}"
