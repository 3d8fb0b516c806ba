"""Signatures of webhooks, as Standard Webhooks 1.0 has them: HMAC-SHA256 over id, timestamp and body."""

import base64
import hashlib
import hmac
import json

from shared.aws.secrets import secret
from shared.settings import webhook_settings

_PREFIX = "whsec_"


async def account_key(account_id: str) -> bytes:
    """The account's key, 32 bytes: derived from the stack's, so that none is stored (docs/decisions/0005)."""
    root = json.loads(await secret(webhook_settings().webhook_secret_arn))["webhook_key"]
    return hmac.digest(root.encode(), f"webhooks of {account_id}".encode(), hashlib.sha256)


def shown(key: bytes) -> str:
    """The key as receivers' libraries take it."""
    return _PREFIX + base64.b64encode(key).decode()


def headers(key: bytes, *, webhook_id: str, timestamp_s: int, body: bytes) -> dict[str, str]:
    """What proves to the receiver who sent ``body``, and when."""
    signed = b".".join([webhook_id.encode(), str(timestamp_s).encode(), body])
    signature = base64.b64encode(hmac.digest(key, signed, hashlib.sha256)).decode()
    return {
        "webhook-id": webhook_id,
        "webhook-timestamp": str(timestamp_s),
        "webhook-signature": f"v1,{signature}",
    }
