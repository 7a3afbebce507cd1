"""The only sockets on our side of the wire: requests, sessions, bulk files, and the budget that they all obey.

What lives here acts and decides nothing: how long to wait, what to retry, what a reply means is asked of `protocol` and
of the venue's own functions. What does not live here: parsing, files of the lake, a word about any single exchange.
"""
