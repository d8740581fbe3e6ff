"""Model cards on the client's side: one structured card in, a page or another tool's format out.

    card = client.registry.GetModelCard(GetModelCardRequest(name="projects/risk/models/fraud/versions/3"))
    Path("card.html").write_text(render(card, "html"))

The same card gives the same bytes in every format: nothing here asks for the time, the machine or the network. Whatever
people wrote is text and stays text; no part of it becomes markup, a script or a request.
"""

from modelog.card.formats import FORMATS, render

__all__ = ["FORMATS", "render"]
