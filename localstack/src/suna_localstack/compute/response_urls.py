"""The ResponseURLs of custom resources: paths of LocalStack's own endpoint that take one PUT each."""

import contextlib
import threading
import uuid
from collections.abc import Generator
from concurrent.futures import Future

from localstack.http import Request, Response

from localstack import config
from suna_localstack.once import once
from suna_localstack.routes import serve

_PATH = "/_suna/cloudformation-response"


class ResponseUrls:
    """Waiting receivers by token."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._receivers: dict[str, Future[bytes]] = {}

    @contextlib.contextmanager
    def open(self) -> Generator[tuple[str, Future[bytes]]]:
        """A URL, and the body of the first PUT to it."""
        token = uuid.uuid4().hex
        received: Future[bytes] = Future()
        with self._lock:
            self._receivers[token] = received
        address = config.GATEWAY_LISTEN[0]
        try:
            yield f"http://{address.host}:{address.port}{_PATH}/{token}", received
        finally:
            with self._lock:
                del self._receivers[token]

    def receive(self, request: Request, token: str) -> Response:
        """Take the answer; as with S3's presigned URLs, the answer to it is empty."""
        with self._lock:
            received = self._receivers.get(token)
            if received is None:
                return Response(status=403)
            if not received.done():
                received.set_result(request.get_data())
        return Response(status=200)


@once
def response_urls() -> ResponseUrls:
    """The one instance, registered with LocalStack's router."""
    urls = ResponseUrls()
    serve("PUT", f"{_PATH}/<token>", urls.receive)
    return urls
