"""Secrets by ARN, fetched once a process."""

from shared.aws.clients import secrets_manager
from shared.scrubbing import hide

_fetched: dict[str, str] = {}


async def secret(arn: str) -> str:
    """The string that the secret ``arn`` holds (JSON, in all of ours).

    Raises:
        SecretsUnavailableError: it is not known yet, and Secrets Manager is away.
    """
    if arn not in _fetched:
        answer = await (await secrets_manager()).get_secret_value(SecretId=arn)
        hide(answer["SecretString"])
        _fetched[arn] = answer["SecretString"]
    return _fetched[arn]


def forget(arn: str) -> None:
    """What the secret held has been refused: it is fetched anew when it is needed next."""
    _fetched.pop(arn, None)
