"""The generator: same seed, same bytes, and the real shares."""

from __future__ import annotations

import json
from collections import Counter
from datetime import date
from pathlib import Path

from etl_spark.core.dates import DateRange
from etl_spark.pipelines.viewing.generate import day_lines, generate
from tests.pipelines.viewing.log_lines import judge
from tests.places import SAMPLE

DAY = date(2022, 4, 1)


def day(day: date = DAY, *, seed: int = 1, contracts: int = 20_000, rows_per_day: int = 20_000) -> bytes:
    return b"".join(day_lines(day, seed=seed, contracts=contracts, rows_per_day=rows_per_day))


def test_a_day_depends_on_seed_sizes_and_day_alone(tmp_path: Path) -> None:
    generate(DateRange(DAY, date(2022, 4, 2)), tmp_path / "two", seed=3, contracts=50, rows_per_day=70)
    generate(DateRange(DAY, DAY), tmp_path / "one", seed=3, contracts=50, rows_per_day=70)
    first = (tmp_path / "two" / "20220401.json").read_bytes()
    assert first == (tmp_path / "one" / "20220401.json").read_bytes()
    assert sorted(file.name for file in (tmp_path / "two").iterdir()) == ["20220401.json", "20220402.json"]
    others = {day(seed=4, contracts=50, rows_per_day=70), day(date(2022, 4, 2), seed=3, contracts=50, rows_per_day=70)}
    assert first not in others


def test_the_sample_is_what_the_generator_makes() -> None:
    made = day(seed=2022, contracts=1_100, rows_per_day=850)
    assert made == (SAMPLE / "viewing" / "20220401.json").read_bytes()


def test_the_sample_is_small() -> None:
    assert sum(file.stat().st_size for file in (SAMPLE / "viewing").iterdir()) < 5_000_000


def test_the_shares_are_the_real_ones() -> None:
    lines = [line for line in day().split(b"\n") if line.strip()]
    verdicts = [verdict for verdict in map(judge, lines) if verdict]
    judged = zip(lines, verdicts, strict=True)
    sources = [json.loads(line)["_source"] for line, verdict in judged if verdict.reason != "not_json_object"]
    count = len(verdicts)
    reasons = Counter(verdict.reason for verdict in verdicts)
    apps = Counter(source.get("AppName") for source in sources)
    assert abs(reasons["contract_not_a_code"] / count - 0.0512) < 0.006
    assert abs(reasons["duration_not_positive"] / count - 0.0015) < 0.0012
    assert abs(apps["CHANNEL"] / count - 0.9028) < 0.02
    assert abs(apps["VOD"] / count - 0.0517) < 0.02
    accepted = {verdict.contract for verdict in verdicts if verdict.reason is None}
    assert 0.6 < len(accepted) / count < 0.85  # 1.25 million contracts in 1.6 million rows a day


def test_customers_come_and_go() -> None:
    def viewers(one: date) -> set[str]:
        verdicts = (judge(line) for line in day(one, contracts=2_000, rows_per_day=6_000).split(b"\n"))
        return {str(verdict.contract) for verdict in verdicts if verdict and verdict.reason is None}

    april, june = viewers(DAY), viewers(date(2022, 6, 15))
    assert len(april - june) > 50
    assert len(june - april) > 50
    assert len(april & june) > 1_000
