"""One self-contained HTML file of a job's results over a range: the figures and charts of the pages, and no network.

It also says what the figures mean, which days were read, and whether the account adds up. Nothing in it depends on the
clock: of the same results comes the same file.
"""

from __future__ import annotations

import html
import os
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from plotly.offline import get_plotlyjs

from etl_spark import __version__
from etl_spark.core.dates import DateRange
from etl_spark.core.errors import EtlError, InputError
from etl_spark.dashboard import churn, forecast, quality, rental, sales, viewing
from etl_spark.dashboard.catalog import COMMANDS
from etl_spark.dashboard.queries import AUDITED, ranges
from etl_spark.dashboard.results import MissingTableError, Place, Results
from etl_spark.dashboard.shown import Chart, Figure, Read, Section, Sheet, written

_WIDTH = 700
"""Pixels of a chart: what fits on a page of A4."""

Audited = Callable[[Read, DateRange], tuple[str, ...]]


@dataclass(frozen=True)
class Subject:
    """What a report is of: `table` tells the ranges that there are, `audits` the sources of one in load_audit."""

    title: str
    table: str
    sections: Callable[[Read, DateRange], Sequence[Section]]
    audits: Audited
    definitions: Mapping[str, str]
    looks_at: Callable[[Read, DateRange], DateRange] = lambda _, asked: asked
    """The days that must have been read for the results of a range."""


def _of_viewing(read: Read, asked: DateRange) -> Sequence[Section]:
    overview = viewing.overview(read, asked)
    detail = viewing.detail(read, asked, viewing.Picked(), ranges(read, "viewing_profile"))
    return (
        Section("At a glance", overview.figures, note=overview.note),
        *overview.sections,
        Section("Tastes", charts=[chart for chart in detail.who.charts if chart.title == "Top tastes"]),
        detail.moved,
    )


def _of_sales(read: Read, asked: DateRange) -> Sequence[Section]:
    cohorts = read(sales.cohorts(asked))
    scores = read(sales.rfm_map(asked, ()))
    return (
        sales.shop(read, sales.Filters(asked, asked), 15),
        Section("Cohorts", charts=[sales.cohort_chart(cohorts, one) for one in sales.SPENDING] if cohorts else ()),
        Section("RFM", charts=sales.rfm_chart(scores) if scores else ()),
        sales.lifetime(read, asked, (), 10),
        sales.baskets(read(sales.pairs(asked, (), 10))),
    )


def _of_rental(read: Read, asked: DateRange) -> Sequence[Section]:
    return (
        rental.revenue(read, rental.Filters(asked)),
        rental.late(read, asked, ()),
        rental.use(read, asked, (), 15),
    )


def _of_forecast(read: Read, asked: DateRange) -> Sequence[Section]:
    return (
        forecast.glance(read, asked),
        forecast.backtest(read, asked),
        forecast.outlook(read, asked),
        forecast.order_list(read, asked, (), 25),
        forecast.reasons(read, asked),
    )


def _of_churn(read: Read, asked: DateRange) -> Sequence[Section]:
    return churn.dataset(read), churn.models(read, asked)


def _always(*pipelines: str) -> Audited:
    return lambda read, asked: pipelines


SUBJECTS: Mapping[str, Subject] = {
    "viewing": Subject("Viewing", "viewing_profile", _of_viewing, _always("viewing"), viewing.DEFINITIONS),
    "sales": Subject("Sales", "sales_summary", _of_sales, _always("sales"), sales.DEFINITIONS),
    "rental": Subject("Rental", "rental_revenue", _of_rental, _always("rental"), rental.DEFINITIONS),
    "churn": Subject(
        "Churn",
        "churn_evaluation",
        _of_churn,
        _always("churn.web", "churn.sales", "churn.social"),
        churn.DEFINITIONS,
        lambda read, asked: churn.web_days(read) or asked,
    ),
    "forecast": Subject("Forecast", "demand_forecast", _of_forecast, forecast.audited, forecast.DEFINITIONS),
}
"""What there are reports of, by the name of the job."""


def write(job: str, place: Place, asked: DateRange | None, output: Path) -> DateRange:
    """Writes the report of `job` over `asked`, or the newest range there is, to `output`, in one step; and which it is.

    Raises InputError where there are no results of that range, and says what makes them.
    """
    found = place.open()
    asked, page = report(job, found, asked)
    try:
        with tempfile.NamedTemporaryFile(
            "w", dir=output.absolute().parent, prefix=f".{output.name}.", suffix=".part", encoding="utf-8", delete=False
        ) as file:
            file.write(page)
        # As any new file, and not for its owner alone.
        Path(file.name).chmod(0o666 & ~_umask())
        os.replace(file.name, output)
    except OSError as error:
        raise EtlError(f"cannot write {output}: {error.strerror}") from None
    return asked


def report(job: str, found: Results, asked: DateRange | None) -> tuple[DateRange, str]:
    """The range and the HTML. Raises InputError where `found` has no results of that range."""
    subject = SUBJECTS[job]
    if not found.has(subject.table):
        raise MissingTableError(subject.table)
    there = ranges(found.rows, subject.table)
    if not there or (asked and asked not in there):
        known = ", ".join(map(str, there[:5])) or "none"
        raise InputError(
            f"there are no results of {job} over {asked or 'any range'}, there are: {known}. A run makes them, as in: "
            f"{COMMANDS['churn evaluate' if job == 'churn' else job]}"
        )
    asked = asked or there[0]
    days = subject.looks_at(found.rows, asked)
    audits = subject.audits(found.rows, asked)
    coverages = [quality.coverage(found.rows, one, days) for one in audits if one in AUDITED]
    sections = [one for one in subject.sections(found.rows, asked) if one.figures or one.charts or one.note]
    accounts = [_account(found, one, days) for one in audits]
    return asked, _page(subject, found.place, asked, coverages, [*sections, *(one for one in accounts if one)])


def _account(found: Results, pipeline: str, asked: DateRange) -> Section | None:
    """The reconciliation, and which runs read the sources; None where there is no load_audit."""
    if not found.has("load_audit"):
        return None
    rows = found.rows(quality.account(pipeline, asked))
    if not rows:
        return None
    lines = quality.reconciled(rows)
    runs = sorted({row["run_id"] for row in rows})
    verdict = "It adds up." if all(line.adds_up for line in lines) else "It does NOT add up."
    return Section(
        f"Account of what was read: {pipeline}",
        sheets=(quality.account_sheet(lines),),
        note=f"{verdict} Last read by {', '.join(runs)}.",
    )


def _page(
    subject: Subject,
    place: str,
    asked: DateRange,
    coverages: Sequence[quality.Coverage],
    sections: Sequence[Section],
) -> str:
    charts: list[str] = []
    body = "".join(_section(one, charts) for one in sections)
    covered = "".join(
        f'<p class="{"missing" if one.missing else "covered"}">{html.escape(one.says)}</p>' for one in coverages
    )
    terms = "".join(
        f"<dt>{html.escape(name)}</dt><dd>{html.escape(meaning)}</dd>" for name, meaning in subject.definitions.items()
    )
    return (
        '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        # The file asks nobody for anything, whatever stands in it.
        "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; script-src 'unsafe-inline'; "
        "style-src 'unsafe-inline'; img-src data: blob:\">"
        f"<title>{html.escape(subject.title)}, {asked}</title><style>{_STYLE}</style>"
        f"<script>{get_plotlyjs()}</script></head><body><main>\n"
        f'<h1>{html.escape(subject.title)}</h1><p class="range">{asked}</p>{covered}\n{body}'
        f"<section><h2>Definitions</h2><dl>{terms}</dl></section>\n"
        f"<footer>Made by etl_spark {html.escape(__version__)} of the results in {html.escape(place)}.</footer>"
        f"</main>\n<script>\n{_DRAW}\n{''.join(charts)}</script></body></html>\n"
    )


def _section(section: Section, charts: list[str]) -> str:
    parts = [f"<section><h2>{html.escape(section.title)}</h2>"]
    if section.figures:
        parts.append(f'<div class="figures">{"".join(map(_figure, section.figures))}</div>')
    if section.note:
        parts.append(f'<p class="note">{html.escape(section.note)}</p>')
    for chart in section.charts:
        parts.append(_chart(chart, charts))
    parts.extend(_sheet(sheet) for sheet in section.sheets if sheet.rows)
    parts.append("</section>\n")
    return "".join(parts)


def _figure(figure: Figure) -> str:
    change = f'<span class="change">{html.escape(figure.change)}</span>' if figure.change else ""
    return (
        f'<div class="figure" title="{html.escape(figure.explained)}">'
        f'<span class="name">{html.escape(figure.name)}</span>'
        f'<span class="value">{html.escape(figure.value)}</span>{change}</div>'
    )


def _chart(chart: Chart, charts: list[str]) -> str:
    chart.plot.update_layout(width=_WIDTH, template="plotly_white", paper_bgcolor="white", plot_bgcolor="white")
    name = f"chart{len(charts)}"
    charts.append(f'draw("{name}", {_in_script(chart.plot.to_json())});\n')
    note = f'<p class="note">{html.escape(chart.note)}</p>' if chart.note else ""
    return (
        f'<figure><figcaption>{html.escape(chart.title)}</figcaption><div class="chart" id="{name}" role="img" '
        f'aria-label="{html.escape(chart.alt)}"></div>{note}</figure>'
    )


def _sheet(sheet: Sheet) -> str:
    heads = "".join(f'<th class="{kind}">{html.escape(heading)}</th>' for heading, kind in sheet.columns.values())
    rows = "".join(
        "<tr>"
        + "".join(
            f'<td class="{kind}">{html.escape(written(row[name], kind))}</td>'
            for name, (_, kind) in sheet.columns.items()
        )
        + "</tr>"
        for row in sheet.rows
    )
    note = f'<p class="note">{html.escape(sheet.note)}</p>' if sheet.note else ""
    return (
        f'<h3>{html.escape(sheet.title)}</h3>{note}<div class="sheet"><table><thead><tr>{heads}</tr></thead>'
        f"<tbody>{rows}</tbody></table></div>"
    )


def _in_script(text: str | None) -> str:
    """JSON that can neither end the script it stands in nor begin a comment."""
    return (text or "null").replace("&", "\\u0026").replace("<", "\\u003c").replace(">", "\\u003e")


def _umask() -> int:
    """That of this process, which can only be asked for by setting it."""
    mask = os.umask(0o022)
    os.umask(mask)
    return mask


_DRAW = """\
function draw(name, plot) {
  Plotly.newPlot(name, plot.data, plot.layout, {displayModeBar: false, responsive: false});
}"""

_STYLE = """
:root { color-scheme: light; }
body { margin: 0; background: #f4f5f7; color: #1c2330; font: 15px/1.5 system-ui, "Segoe UI", Roboto, sans-serif; }
main { max-width: 748px; margin: 0 auto; padding: 24px; background: white; }
h1 { font-size: 30px; margin: 0; }
h2 { font-size: 21px; margin: 32px 0 8px; border-bottom: 2px solid #0072B2; padding-bottom: 4px; }
h3 { font-size: 16px; margin: 20px 0 6px; }
.range { font-size: 18px; color: #4a5568; margin: 0 0 12px; }
.note, footer { color: #4a5568; font-size: 13px; }
.covered, .missing { padding: 8px 12px; border-left: 4px solid #009E73; background: #eef7f4; margin: 8px 0; }
.missing { border-color: #D55E00; background: #fdf1e9; }
.figures { display: grid; grid-template-columns: repeat(auto-fill, minmax(160px, 1fr)); gap: 10px; margin: 12px 0; }
.figure { border: 1px solid #d5dae1; border-radius: 6px; padding: 10px 12px; }
.figure span { display: block; }
.name { font-size: 12.5px; color: #4a5568; }
.value { font-size: 22px; font-weight: 600; }
.change { font-size: 13px; color: #4a5568; }
figure { margin: 18px 0; break-inside: avoid; }
figcaption { font-weight: 600; }
.chart { overflow-x: auto; }
.sheet { overflow-x: auto; }
table { border-collapse: collapse; width: 100%; font-size: 13px; }
th, td { text-align: right; padding: 4px 8px; border-bottom: 1px solid #e2e6eb; }
th.text, td.text, th.day, td.day { text-align: left; }
td:not(.text) { white-space: nowrap; }
dt { font-weight: 600; margin-top: 8px; }
dd { margin: 0 0 0 16px; }
@page { size: A4; margin: 12mm; }
@media print {
  body { background: white; font-size: 12px; }
  main { max-width: none; padding: 0; }
  h2, h3, figcaption { break-after: avoid; }
  tr, .figure { break-inside: avoid; }
}
"""
