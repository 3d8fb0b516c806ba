"""The deployed APIs of a LocalStack in another process, kept current by a long poll."""

import asyncio
import logging

import aiohttp

from suna_localstack.gateway.apis import Apis, parse_apis

LOG = logging.getLogger(__name__)

APIS_PATH = "/_suna/gateway/apis"
_RETRY_S = 0.5
_POLL_TIMEOUT_S = 40.0


class RemoteApis:
    """Holds the last view of what is deployed; while LocalStack is away the last view stays."""

    def __init__(self, endpoint_url: str) -> None:
        self._endpoint_url = endpoint_url
        self._version = ""
        self.current = Apis()

    async def follow(self) -> None:
        """Poll until cancelled: each answer comes when something has changed."""
        timeout = aiohttp.ClientTimeout(total=_POLL_TIMEOUT_S)
        async with aiohttp.ClientSession(self._endpoint_url, timeout=timeout) as http:
            while True:
                try:
                    await self._poll(http)
                except (aiohttp.ClientError, TimeoutError) as error:
                    LOG.warning("LocalStack at %s is out of reach: %s", self._endpoint_url, error)
                    await asyncio.sleep(_RETRY_S)

    async def _poll(self, http: aiohttp.ClientSession) -> None:
        async with http.get(APIS_PATH, params={"after": self._version}) as response:
            response.raise_for_status()
            document = await response.json()
        self.current = parse_apis(document)
        self._version = document["version"]
