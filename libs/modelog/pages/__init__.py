"""Documents of texts, tables and charts, for whatever makes pages: model cards, pictures of monitors.

The same document gives the same bytes: nothing here asks for the time, the machine or the network, and no text becomes
markup, a script or a request.
"""
