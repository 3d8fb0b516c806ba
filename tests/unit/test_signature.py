"""Signatures, against botocore's."""

from datetime import datetime

import botocore.auth
import pytest
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from yarl import URL

from shared.aws.signature import Signer


@pytest.mark.parametrize("token", [None, "a/long+token=="])
@pytest.mark.parametrize(
    ("method", "url", "body"),
    [
        ("POST", "https://a1.execute-api.eu-central-1.amazonaws.com/live/@connections/L0SM9cOFvHcCIhw%3D", b"{}"),
        ("DELETE", "https://a1.execute-api.eu-central-1.amazonaws.com/live/@connections/a%2Fb%20~-._c%3D", b""),
        ("POST", "http://127.0.0.1:4566/@connections/x%3D", '{"text": "größer 🙂"}'.encode()),
        ("POST", "https://example.com:443/", b"\x00\xff"),
    ],
)
def test_it_signs_as_botocore_does(
    monkeypatch: pytest.MonkeyPatch, method: str, url: str, body: bytes, token: str | None
) -> None:
    given = {"ACCESS_KEY_ID": "AKID", "SECRET_ACCESS_KEY": "secret", "DEFAULT_REGION": "eu-central-1"}
    for name, value in given.items():
        monkeypatch.setenv(f"AWS_{name}", value)
    if token is None:
        monkeypatch.delenv("AWS_SESSION_TOKEN", raising=False)
    else:
        monkeypatch.setenv("AWS_SESSION_TOKEN", token)
    signer = Signer("execute-api")

    for _ in range(2):
        headers = signer.headers(method, URL(url, encoded=True), body)

        signed_at = datetime.strptime(headers["X-Amz-Date"], "%Y%m%dT%H%M%S%z")
        monkeypatch.setattr(botocore.auth, "get_current_datetime", lambda signed_at=signed_at: signed_at)
        request = AWSRequest(method=method, url=url, data=body)
        SigV4Auth(Credentials("AKID", "secret", token), "execute-api", "eu-central-1").add_auth(request)
        assert headers == dict(request.headers.items())
