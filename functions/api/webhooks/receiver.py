"""Where webhooks may go: servers of the public internet, over TLS."""

from ipaddress import ip_address

from yarl import URL

from shared.errors import InvalidRequestError
from shared.network.addresses import Address, RefusedAddressError, Resolver, require_public, resolve
from shared.settings import webhook_settings

LONGEST_URL = 2048


def checked_url(text: str) -> str:
    """``text``, if a webhook may be there as far as can be said without asking anybody.

    Names are resolved when they are connected to: what they stand for by then is what counts.

    Raises:
        InvalidRequestError: says what is wrong.
    """
    if len(text) > LONGEST_URL:
        raise InvalidRequestError(f"webhook: a URL has {LONGEST_URL} characters at most")
    if not text.isprintable() or "\\" in text or " " in text:
        raise InvalidRequestError("webhook: the URL has characters that must be escaped in one")
    try:
        url = URL(text)
        host, port = url.host, url.port
    except ValueError as error:
        raise InvalidRequestError(f"webhook: {error}") from error
    if not host or not port or url.scheme not in {"https", "http"}:
        raise InvalidRequestError("webhook: it must be a whole URL, such as https://example.com/hook")
    if url.user is not None or url.password is not None:
        raise InvalidRequestError("webhook: a URL with a name or password is not used; the signature proves who calls")
    if _is_allowed(url):
        return text
    if url.scheme != "https":
        raise InvalidRequestError("webhook: only https:// URLs are called")
    try:
        literal = ip_address(host.partition("%")[0])
    except ValueError:
        return text
    try:
        require_public(host, [literal])
    except RefusedAddressError as error:
        raise InvalidRequestError(f"webhook: {error.message}") from error
    return text


async def addresses_of(url: URL, *, resolver: Resolver = resolve) -> list[Address]:
    """The addresses that may be connected to for ``url``: all that its host has, each of them checked.

    Raises:
        RefusedAddressError: one of them is not public, or the URL is not of https.
        OSError: the name does not resolve.
    """
    host, port = url.host or "", url.port or 0
    if not _is_allowed(url) and url.scheme != "https":
        raise RefusedAddressError("only https:// URLs are called")
    try:
        found = await resolver(host, port)
    except UnicodeError as error:
        raise OSError(f"{host!r} cannot be a name") from error
    if not _is_allowed(url):
        require_public(host, found)
    if not found:
        raise OSError(f"{host!r} has no address")
    return found


def _is_allowed(url: URL) -> bool:
    return (url.host, url.port) in webhook_settings().private_receivers
