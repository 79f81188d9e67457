"""What is shown of the churn job: its snapshots, how its features drift, and what models make of them."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta

from etl_spark.core.dates import DateRange
from etl_spark.dashboard import charts
from etl_spark.dashboard.queries import Condition, of_range, select
from etl_spark.dashboard.results import Query, Rows
from etl_spark.dashboard.shown import Chart, Figure, Read, Section, Sheet, count, day, decimal, exactly, percent

DEFINITIONS: Mapping[str, str] = {
    "Customers": "customers of the newest snapshot: who bought in the 90 days before it",
    "Churn rate": "share of a snapshot's customers without an order in the 30 days from it on",
    "Drift": "change of a feature's mean since the snapshot before, in its standard deviations",
    "AUC": "chance that one who left has a higher score than one who stayed; 0.5 is chance",
    "Brier score": "mean squared error of the probabilities; 0 is best",
    "Lift": "how many times more leave of the tenth with the highest scores than of all",
}
MODELS: Mapping[str, str] = {
    "recency": "Days since the last order alone",
    "logistic_regression": "Logistic regression",
    "gradient_boosted_trees": "Boosted trees",
}


def snapshots() -> Query:
    """A row per snapshot."""
    return Query(
        "SELECT d.snapshot_date, d.split, MAX(d.row_count) AS row_count, MAX(d.churn_rate) AS churn_rate "
        "FROM churn_dataset d GROUP BY d.snapshot_date, d.split ORDER BY d.snapshot_date"
    )


def drifting(most: int) -> Query:
    """The features of the newest snapshot whose means moved most."""
    return select(
        "SELECT d.feature, d.drift, d.mean, d.null_share FROM churn_dataset d",
        [
            Condition("d.snapshot_date = (SELECT MAX(n.snapshot_date) FROM churn_dataset n)"),
            Condition("d.drift IS NOT NULL"),
        ],
        "ORDER BY ABS(d.drift) DESC, d.feature LIMIT :most",
        most=most,
    )


def evaluation(asked: DateRange) -> Query:
    """How well each model tells who leaves."""
    return select(
        "SELECT e.split, e.model, e.row_count, e.churn_rate, e.auc, e.average_precision, e.brier, "
        "e.calibration_error, e.top_tenth_lift FROM churn_evaluation e",
        [of_range(asked, "e")],
        "ORDER BY e.split, e.model",
    )


def calibration(asked: DateRange) -> Query:
    """What each model foretells of tenths of the customers, and what became of them."""
    return select(
        "SELECT c.model, c.bin, c.mean_predicted, c.observed_rate, c.lift FROM churn_calibration c",
        [of_range(asked, "c")],
        "ORDER BY c.model, c.bin",
    )


def web_days(read: Read) -> DateRange | None:
    """The days whose web logs the snapshots look at: 90 before the first, to the one before the last; None of none."""
    days = [row["snapshot_date"] for row in read(snapshots())]
    return DateRange(days[0] - timedelta(days=90), days[-1] - timedelta(days=1)) if days else None


def dataset(read: Read, most: int = 15) -> Section:
    """The training table: its snapshots and its drift."""
    rows = read(snapshots())
    if not rows:
        return Section("Customers who leave")
    newest = rows[-1]
    labelled = [row for row in rows if row["churn_rate"] is not None]
    drifts = read(drifting(most))
    moved: tuple[Chart, ...] = ()
    if drifts:
        moved = (
            Chart(
                "Features that moved most since the snapshot before",
                charts.bars(
                    drifts, "feature", "drift", x="Drift, standard deviations", y="Feature", one_colour=charts.ORANGE
                ),
                f"Of the snapshot {newest['snapshot_date']}.",
            ),
        )
    return Section(
        "Customers who leave",
        (
            Figure("Snapshots", count(len(rows)), "days on which customers were looked at"),
            Figure("Newest snapshot", day(newest["snapshot_date"]), "its label may not be known yet"),
            Figure("Customers", count(newest["row_count"]), DEFINITIONS["Customers"], exactly(newest["row_count"])),
            Figure(
                "Churn rate",
                percent(labelled[-1]["churn_rate"]) if labelled else percent(None),
                DEFINITIONS["Churn rate"]
                + (f"; of the snapshot {labelled[-1]['snapshot_date']}, the newest known" if labelled else ""),
            ),
        ),
        (
            Chart(
                "Churn rate by snapshot",
                charts.lines(
                    {
                        "Churn rate": (
                            [row["snapshot_date"] for row in labelled],
                            [row["churn_rate"] * 100 for row in labelled],
                        )
                    },
                    x="Snapshot",
                    y="Customers who left, %",
                    unit="%",
                    points=True,
                ),
            ),
            Chart(
                "Customers by snapshot",
                charts.lines(
                    {"Customers": charts.series(rows, "snapshot_date", "row_count")},
                    x="Snapshot",
                    y="Customers",
                    unit="customers",
                    points=True,
                ),
            ),
            *moved,
        ),
    )


def models(read: Read, asked: DateRange) -> Section:
    """What three models make of the training table."""
    rows = [{**row, "name": MODELS.get(row["model"], row["model"])} for row in read(evaluation(asked))]
    tested = [row for row in rows if row["split"] == "test"]
    curves: Rows = [{**row, "name": MODELS.get(row["model"], row["model"])} for row in read(calibration(asked))]
    left = [{**row, "left": row["observed_rate"] * 100} for row in curves]
    by_bin = charts.by_name(left, "name", "bin", "left", list(dict.fromkeys(row["name"] for row in curves)))
    best = max(tested, key=lambda row: row["auc"], default=None)
    return Section(
        "Is it worth it: what models tell",
        (
            Figure("Best AUC", decimal(best["auc"], 3), DEFINITIONS["AUC"] + f"; {best['name']}"),
            Figure("Brier score", decimal(best["brier"], 3), DEFINITIONS["Brier score"]),
            Figure("Lift of the top tenth", decimal(best["top_tenth_lift"], 2), DEFINITIONS["Lift"]),
        )
        if best
        else (),
        (
            Chart(
                "Who left, by tenth of the score",
                charts.lines(
                    by_bin,
                    x="Tenth by score, 1 is the most likely to leave",
                    y="Customers who left, %",
                    unit="%",
                    points=True,
                ),
            ),
        )
        if curves
        else (),
        (
            Sheet(
                "Models in numbers",
                {
                    "name": ("Model", "text"),
                    "split": ("Split", "text"),
                    "row_count": ("Customers", "count"),
                    "churn_rate": ("Churn rate", "percent"),
                    "auc": ("AUC", "decimal"),
                    "average_precision": ("Average precision", "decimal"),
                    "brier": ("Brier score", "decimal"),
                    "top_tenth_lift": ("Lift of the top tenth", "decimal"),
                },
                rows,
            ),
        ),
    )
