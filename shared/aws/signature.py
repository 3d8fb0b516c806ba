"""Signature Version 4 for the one AWS call that is made many times a second: posting to a connection.

botocore makes a request of its own for each, and a new key, which is a good part of what a post takes of the processor.
The guide "AWS Signature Version 4 for API requests" of AWS IAM describes it; this is for requests without a query.
"""

import hashlib
import hmac
import time
from urllib.parse import quote

from botocore.session import Session
from yarl import URL

_DEFAULT_PORTS = {"http": 80, "https": 443}


class Signer:
    """Signs requests to a service with the process's (rotating) credentials."""

    def __init__(self, service: str) -> None:
        """``service``: its name in signatures.

        Raises:
            RuntimeError: there are no credentials.
        """
        session = Session()
        self._service = service
        self._region = session.get_config_variable("region") or "us-east-1"
        credentials = session.get_credentials()
        if credentials is None:
            raise RuntimeError("there are no AWS credentials to sign with")
        self._credentials = credentials
        # A key is good for a day, and for the secret that it was made of.
        self._key: tuple[str, str, bytes] = ("", "", b"")

    def headers(self, method: str, url: URL, body: bytes) -> dict[str, str]:
        """The headers that authenticate a request; ``url`` as it will be sent."""
        credentials = self._credentials.get_frozen_credentials()
        stamp = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())
        day = stamp[:8]
        sent = {"X-Amz-Date": stamp}
        if credentials.token:
            sent["X-Amz-Security-Token"] = credentials.token
        host = url.host_subcomponent or ""
        if url.port != _DEFAULT_PORTS.get(url.scheme):
            host = f"{host}:{url.port}"
        signed = {"host": host} | {name.lower(): value for name, value in sent.items()}
        names = ";".join(signed)
        canonical = "\n".join(
            (
                method,
                # Escaped once more than it is sent: every service but S3 wants that.
                quote(url.raw_path, safe="/~"),
                "",
                *(f"{name}:{value}" for name, value in signed.items()),
                "",
                names,
                hashlib.sha256(body).hexdigest(),
            )
        )
        scope = f"{day}/{self._region}/{self._service}/aws4_request"
        to_sign = f"AWS4-HMAC-SHA256\n{stamp}\n{scope}\n{hashlib.sha256(canonical.encode()).hexdigest()}"
        signature = _hmac(self._key_of(credentials.secret_key or "", day), to_sign).hex()
        credential = f"{credentials.access_key}/{scope}"
        sent["Authorization"] = (
            f"AWS4-HMAC-SHA256 Credential={credential}, SignedHeaders={names}, Signature={signature}"
        )
        return sent

    def _key_of(self, secret: str, day: str) -> bytes:
        if self._key[:2] != (secret, day):
            key = f"AWS4{secret}".encode()
            for part in (day, self._region, self._service, "aws4_request"):
                key = _hmac(key, part)
            self._key = (secret, day, key)
        return self._key[2]


def _hmac(key: bytes, text: str) -> bytes:
    return hmac.digest(key, text.encode(), "sha256")
