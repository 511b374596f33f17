"""How every AWS client of ours signs its calls."""

import boto3

from infra.settings import Settings


def aws_session(settings: Settings) -> boto3.Session:
    """With the keys of the settings, or without any: then a role of the machine signs."""
    secret, token = settings.aws_secret_access_key, settings.aws_session_token
    return boto3.Session(
        aws_access_key_id=settings.aws_access_key_id,
        aws_secret_access_key=secret.get_secret_value() if secret else None,
        aws_session_token=token.get_secret_value() if token else None,
        region_name=settings.aws_region,
    )
