"""What is submitted: a job with its options, checked on this machine, and how Spark is to run it there."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from etl_spark.submit.package import MAPPING, PLACE


@dataclass(frozen=True)
class Submission:
    """A job and its options.

    `arguments` are what the user wrote behind the job, untouched, and `label` is what the run is called. `source` and
    `output` are where rows come from and go to; no `source` is read where it is empty. `conf` are Spark's options,
    `jars` and `packages` what it must have beside Delta, and `requires` the Python packages that this job alone needs.
    `secrets` are names of secrets, by that of a source or sink.
    """

    job: str
    arguments: Sequence[str]
    label: str
    source: str
    output: str
    place: Path
    mapping: Path | None
    conf: Mapping[str, str]
    jars: Sequence[str]
    packages: Sequence[str]
    requires: tuple[str, ...]
    loads_redshift: bool
    secrets: Mapping[str, str]

    @property
    def arguments_there(self) -> list[str]:
        """The arguments for a cluster: files have their names in the package, and a place is the same from anywhere.

        Of an option that is given twice the last counts.
        """
        there = [*self.arguments, "--config", PLACE, "--output", self.output]
        if self.source:
            there += ["--source", self.source]
        if self.mapping:
            there += ["--mapping", MAPPING]
        return there

    @property
    def variables(self) -> dict[str, str]:
        """The environment of the process that runs the job: names of secrets, never a secret."""
        return {f"ETL_SPARK_{name.upper()}_SECRET": secret for name, secret in self.secrets.items()}
