"""The settings that every pipeline over daily files has, whatever it makes of them."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import re
from dataclasses import dataclass
from typing import Any, ClassVar

from etl_spark.core.errors import UsageError
from etl_spark.core.uri import refuse_credentials


@dataclass(frozen=True, kw_only=True)
class DailySettings:
    """`rules` decides what becomes of a row: a day that was read by other rules is read again.

    Raises UsageError for a value that cannot work.
    """

    reader_version: ClassVar[int] = 1
    """To be raised by a change of code that would judge the same row otherwise."""

    source: str
    layout: str
    max_rejected_share: float
    export_also: tuple[str, ...]
    rules: Any

    def __post_init__(self) -> None:
        refuse_credentials(self.source)
        directives = re.findall(r"%.?", self.layout)
        if sorted(set(directives)) != ["%Y", "%d", "%m"]:
            raise UsageError(f"layout '{self.layout}' must name the day by %Y, %m and %d, and by nothing else")
        if not 0 <= self.max_rejected_share <= 1:
            raise UsageError(f"max_rejected_share is a share of 1, not {self.max_rejected_share}")

    @property
    def rules_version(self) -> str:
        """A fingerprint of the rules and of the code that applies them: the same on every machine."""
        text = json.dumps([self.reader_version, dataclasses.asdict(self.rules)], sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:16]
