"""Secrets that the stack makes for itself, kept so that tokens outlive a restart."""

import secrets
import uuid
from dataclasses import dataclass

from suna_localstack.up.files import read_json, write_json
from suna_localstack.up.folders import Folders


@dataclass(frozen=True)
class LocalSecrets:
    """``hs256_secret`` signs development tokens; ``account_id`` is whom the printed token is for."""

    hs256_secret: str
    account_id: str


def local_secrets(folders: Folders) -> LocalSecrets:
    """The secrets in ``state/secrets.json``, made at first use."""
    path = folders.state / "secrets.json"
    stored = read_json(path)
    if stored is None:
        stored = {"hs256_secret": secrets.token_urlsafe(48), "account_id": str(uuid.uuid4())}
        write_json(path, stored)
    return LocalSecrets(str(stored["hs256_secret"]), str(stored["account_id"]))
