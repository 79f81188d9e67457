"""User and password of a secret at AWS, which a run is told by its name alone."""

from __future__ import annotations

import json

import boto3
from botocore.exceptions import BotoCoreError, ClientError

from etl_spark.core.errors import UsageError

PARAMETER = "ssm:"
"""What the name of a parameter of Systems Manager begins with; any other is that of a secret of Secrets Manager."""


def read_secret(name: str) -> tuple[str, str]:
    """User and password: what `name` holds must be JSON with username and password, as AWS itself writes it.

    Raises UsageError, without a word of what is in it.
    """
    try:
        if name.startswith(PARAMETER):
            parameter = name.removeprefix(PARAMETER)
            found = boto3.client("ssm").get_parameter(Name=parameter, WithDecryption=True)["Parameter"]["Value"]
        else:
            found = boto3.client("secretsmanager").get_secret_value(SecretId=name)["SecretString"]
    except (BotoCoreError, ClientError) as error:
        raise UsageError(f"cannot read the secret {name}: {error}") from None
    except KeyError:
        raise UsageError(f"the secret {name} is no text") from None
    try:
        values = json.loads(found)
        return str(values["username"]), str(values["password"])
    except (ValueError, KeyError, TypeError):
        raise UsageError(f'the secret {name} must be JSON: {{"username": ..., "password": ...}}') from None
