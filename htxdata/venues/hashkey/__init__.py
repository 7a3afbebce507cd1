"""What HashKey Global says, as tables: spot and perpetuals, one venue.

``endpoints.py`` which requests bring which dataset; ``parse.py`` and ``funding.py`` from bytes to columns;
``constituents.py`` the formula of an index; ``symbols.py`` how instruments are listed; ``verdicts.py`` how HashKey says
that something is wrong; ``dialects.py`` and ``feeds*.py`` its two WebSockets. Facts cite the project's venue reference
("hashkey-api" and its section) with the marks [wire], [doc], [code], [inferred] and [unknown] used there.
"""

from htxdata.venues.hashkey.endpoints import VENUES

__all__ = ["VENUES"]
