"""Asking for an account's deletion. The watch function does it (``functions.api.watch.deletion``)."""

from shared.aws import queue
from shared.aws.queue import AccountMessage
from shared.database import accounts, transaction
from shared.errors import QueueUnavailableError
from shared.runs.patience import patience_s
from shared.telemetry import logger


async def request_deletion(account_id: str) -> None:
    """Mark the account, and have somebody delete it, whatever dies next. To ask again changes nothing.

    Raises:
        DatabaseUnavailableError, QueueUnavailableError: nothing is going to be deleted.
    """
    message = AccountMessage(account_id=account_id)
    async with transaction() as connection:
        await accounts.mark(connection, account_id=account_id)
        await queue.send("watch", message, delay_s=patience_s())
    try:
        await queue.send("watch", message)
    except QueueUnavailableError:
        logger.warning("the account's deletion waits for its watch", exc_info=True)
