"""Pictures of monitors on the client's side: what GetSeries and GetDistributions answer, as a page, SVG or PNG.

    series = client.monitoring.GetSeries(GetSeriesRequest(name="projects/risk/monitors/fraud-eu"))
    Path("report.html").write_bytes(render(report(series), "html"))

The same answers give the same bytes: nothing here asks for the time, the machine or the network.
"""

from modelog.pictures.formats import FORMATS, NoPng, render
from modelog.pictures.report import report

__all__ = ["FORMATS", "NoPng", "render", "report"]
