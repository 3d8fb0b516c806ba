"""Webhooks: which URLs are taken, what is signed, and when is tried again."""

import base64
from collections.abc import Iterator
from ipaddress import ip_address

import pytest
from yarl import URL

from functions.api.webhooks import signing
from functions.api.webhooks.delivery import MOST_ATTEMPTS, OLDEST_S, verdict
from functions.api.webhooks.receiver import LONGEST_URL, addresses_of, checked_url
from shared import settings
from shared.database.webhooks import Attempt
from shared.errors import InvalidRequestError
from shared.network.addresses import Address, RefusedAddressError


@pytest.fixture(autouse=True)
def _settings(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("DATABASE_SECRET_ARN", "arn")
    monkeypatch.setenv("WEBHOOK_ALLOWED_PRIVATE", "127.0.0.1:9000, hooks.test:80")
    settings.settings.cache_clear()
    settings.webhook_settings.cache_clear()
    yield
    settings.settings.cache_clear()
    settings.webhook_settings.cache_clear()


@pytest.mark.parametrize(
    "url",
    [
        "https://example.com/hook?a=1",
        "https://example.com:8443",
        "https://93.184.215.14/",
        "https://[2606:2800:21f:cb07:6820:80da:af6b:8b2c]/x",
        "http://127.0.0.1:9000/hook",
        "http://hooks.test/",
    ],
)
def test_a_url_that_may_be_called_is_taken_as_it_is(url: str) -> None:
    assert checked_url(url) == url


@pytest.mark.parametrize(
    ("url", "problem"),
    [
        ("", "whole URL"),
        ("example.com/hook", "whole URL"),
        ("/hook", "whole URL"),
        ("ftp://example.com/", "whole URL"),
        ("file:///etc/passwd", "whole URL"),
        ("http://example.com/", "only https"),
        ("https://user:pass@example.com/", "password"),
        ("https://user@example.com/", "password"),
        ("https://example.com:99999/", "webhook"),
        ("https://exa mple.com/", "escaped"),
        ("https://example.com\\@127.0.0.1/", "escaped"),
        ("https://example.com/\n", "escaped"),
        ("https://127.0.0.1/", "not on the public internet"),
        ("https://127.0.0.1:9001/", "not on the public internet"),
        ("https://10.1.2.3/", "not on the public internet"),
        ("https://169.254.169.254/latest/meta-data", "not on the public internet"),
        ("https://[::1]/", "not on the public internet"),
        ("https://[fe80::1]/", "not on the public internet"),
        ("https://[fd00:ec2::254]/", "not on the public internet"),
        ("https://[::ffff:127.0.0.1]/", "not on the public internet"),
        ("https://0.0.0.0/", "not on the public internet"),
        ("https://example.com/" + "a" * LONGEST_URL, "characters at most"),
    ],
)
def test_a_url_that_may_not_be_called_is_refused(url: str, problem: str) -> None:
    with pytest.raises(InvalidRequestError, match=problem):
        checked_url(url)


def _resolves_to(*found: str) -> object:
    async def resolver(host: str, port: int) -> list[Address]:
        return [ip_address(one) for one in found]

    return resolver


@pytest.mark.parametrize(
    "found", [["127.0.0.1"], ["93.184.215.14", "10.0.0.1"], ["169.254.169.254"], ["::1"], ["::ffff:10.0.0.1"]]
)
async def test_a_name_is_refused_for_any_private_address_that_it_has(found: list[str]) -> None:
    with pytest.raises(RefusedAddressError):
        await addresses_of(URL("https://example.com/"), resolver=_resolves_to(*found))  # type: ignore[arg-type]


async def test_a_public_name_is_connected_to_at_what_was_checked() -> None:
    found = await addresses_of(URL("https://example.com/"), resolver=_resolves_to("93.184.215.14"))  # type: ignore[arg-type]
    assert found == [ip_address("93.184.215.14")]


@pytest.mark.parametrize("host", ["localhost", "2130706433", "0x7f000001", "127.1", "127.0.0.1"])
async def test_every_spelling_of_this_machine_is_refused(host: str) -> None:
    with pytest.raises(RefusedAddressError):
        await addresses_of(URL(f"https://{host}/"))


async def test_without_tls_only_what_is_allowed_is_called() -> None:
    with pytest.raises(RefusedAddressError):
        await addresses_of(URL("http://example.com/"), resolver=_resolves_to("93.184.215.14"))  # type: ignore[arg-type]
    assert await addresses_of(URL("http://127.0.0.1:9000/")) == [ip_address("127.0.0.1")]


def test_the_signature_is_that_of_the_standards_own_example() -> None:
    # The example of the Standard Webhooks libraries' tests (github.com/standard-webhooks/standard-webhooks).
    secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
    key = base64.b64decode(secret.removeprefix("whsec_"))
    assert signing.shown(key) == secret
    signed = signing.headers(
        key, webhook_id="msg_p5jXN8AQM9LWM0D4loKWxJek", timestamp_s=1614265330, body=b'{"test": 2432232314}'
    )
    assert signed == {
        "webhook-id": "msg_p5jXN8AQM9LWM0D4loKWxJek",
        "webhook-timestamp": "1614265330",
        "webhook-signature": "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
    }


def _attempt(attempts: int = 1, age_s: float = 1.0) -> Attempt:
    return Attempt(url="https://example.com", attempts=attempts, age_s=age_s)


@pytest.mark.parametrize(
    ("status", "outcome"),
    [(200, "delivered"), (204, "delivered"), (410, "gone")]
    + [(status, "pending") for status in (0, 301, 302, 307, 400, 401, 404, 408, 429, 500, 503)],
)
def test_what_an_answer_means(status: int, outcome: str) -> None:
    assert verdict(_attempt(), status, jitter=1)[0] == outcome


def test_attempts_are_further_and_further_apart_and_bounded() -> None:
    waits = [verdict(_attempt(number), 500, jitter=1) for number in range(1, MOST_ATTEMPTS + 1)]
    assert [outcome for outcome, _ in waits] == ["pending"] * (MOST_ATTEMPTS - 1) + ["given_up"]
    seconds = [wait for _, wait in waits[:-1]]
    assert seconds == [5, 20, 80, 320, 1280, 5120, 14400, 14400]
    assert sum(seconds) * 1.25 < OLDEST_S
    assert verdict(_attempt(2), 500, jitter=1.25) == ("pending", 25)


def test_an_old_end_is_given_up() -> None:
    assert verdict(_attempt(2, age_s=OLDEST_S - 10), 500, jitter=1)[0] == "given_up"
