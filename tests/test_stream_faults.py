"""The stream killed twice, as benchmarks/stream_faults.py does it many times."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.stream_faults import A_BATCH, Kill, Trial, line_of


@pytest.mark.default_spark
@pytest.mark.usefixtures("spark")
def test_nothing_is_lost_or_doubled_when_the_stream_is_killed(tmp_path: Path) -> None:
    trial = Trial(tmp_path / "faults", spark_here=True)
    trial.deliver(3 * A_BATCH)
    # Between the commits of the second batch, and once more between those of what comes again.
    outcomes = [trial.kill(Kill(table=0, commits=2, delay=0)), trial.kill(Kill(table=1, commits=1, delay=0))]
    said = "\n".join(line_of(number, outcome) for number, outcome in enumerate(outcomes, start=1))
    assert [outcome.was_running for outcome in outcomes] == [True, True], said
    assert any(outcome.was_within for outcome in outcomes), said
    assert trial.differences() == [], said
