"""Invoke functions through the Lambda API of a LocalStack in another process."""

import aiohttp

from suna_localstack.gateway.backend import FunctionThrottledError, InvocationError


class HttpBackend:
    """Calls `POST /2015-03-31/functions/{arn}/invocations` over kept-alive connections."""

    def __init__(self, endpoint_url: str, *, concurrency: int) -> None:
        connector = aiohttp.TCPConnector(limit=concurrency, keepalive_timeout=30)
        timeout = aiohttp.ClientTimeout(total=None)
        self._http = aiohttp.ClientSession(endpoint_url, connector=connector, timeout=timeout)

    async def invoke(self, function_arn: str, payload: bytes) -> bytes:
        """See `Backend.invoke`."""
        region, account_id = function_arn.split(":")[3:5]
        # LocalStack reads account and region from the credential scope and verifies no signature.
        scope = f"{account_id}/20200101/{region}/lambda/aws4_request"
        headers = {"Authorization": f"AWS4-HMAC-SHA256 Credential={scope}, SignedHeaders=host, Signature=0"}
        path = f"/2015-03-31/functions/{function_arn}/invocations"
        try:
            async with self._http.post(path, data=payload, headers=headers) as response:
                answer = await response.read()
        except aiohttp.ClientError as error:
            raise InvocationError(f"Lambda is out of reach: {error}") from error
        if response.status == 429:
            raise FunctionThrottledError(answer.decode(errors="replace"))
        if response.status != 200 or "X-Amz-Function-Error" in response.headers:
            raise InvocationError(f"{function_arn} failed ({response.status}): {answer[:500]!r}")
        return answer

    async def close(self) -> None:
        """See `Backend.close`."""
        await self._http.close()
