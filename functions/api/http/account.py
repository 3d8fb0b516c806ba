"""The route of the account itself."""

from fastapi import APIRouter

from functions.api.deletions import request_deletion
from functions.api.http.identity import TokenHolder

router = APIRouter(prefix="/account", tags=["account"])


@router.delete("", status_code=202)
async def delete_account(caller: TokenHolder) -> None:
    """Delete everything of your account: runs that are unfinished are stopped, then nothing of it is left.

    It takes a token, not an API key. Asking again changes nothing. Whoever uses the account afterwards begins anew.
    """
    await request_deletion(caller.account_id)
