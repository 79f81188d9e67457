"""What can be configured of the social stream (conf/social.toml), checked as it is read."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from etl_spark.core.errors import UsageError
from etl_spark.core.settings import fingerprint
from etl_spark.core.uri import refuse_credentials

KINDS = ("mention", "reply")
"""What there is a count of in customer_activity_daily."""


@dataclass(frozen=True, kw_only=True)
class SocialSettings:
    """`kinds` are those of an acceptable record, of KINDS. `max_objects` is how many objects are taken in at a time.

    An event may be told to have happened up to `max_ahead_seconds` after the hour of its object. A batch of which more
    than `max_rejected_share` is rejected is told of, and taken in all the same: a stream has no run to fail. Raises
    UsageError for a value that cannot work.
    """

    reader_version: ClassVar[int] = 1
    """To be raised by a change of code that would judge the same record otherwise."""

    source: str
    kinds: tuple[str, ...]
    max_objects: int
    max_ahead_seconds: int
    max_rejected_share: float

    def __post_init__(self) -> None:
        refuse_credentials(self.source)
        if not self.kinds or not set(self.kinds) <= set(KINDS):
            raise UsageError(f"kinds are those of an acceptable record, one or more of {', '.join(KINDS)}")
        if self.max_objects < 1 or self.max_ahead_seconds < 0:
            raise UsageError("max_objects must be at least 1, and max_ahead_seconds at least 0")
        if not 0 <= self.max_rejected_share <= 1:
            raise UsageError(f"max_rejected_share is a share of 1, not {self.max_rejected_share}")

    @property
    def rules_version(self) -> str:
        """A fingerprint of the rules and of the code that applies them: the same on every machine."""
        return fingerprint(self.reader_version, self.kinds, self.max_ahead_seconds)
