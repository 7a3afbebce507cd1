"""What HTX (ex-Huobi) says, as tables: spot, linear, later inverse and dated futures.

``endpoints.py`` the venues; ``spot.py`` and ``linear.py`` which requests bring which dataset; ``parse.py``,
``trades.py``, ``interest.py`` and ``liquidations.py`` from bytes to columns; ``verdicts.py`` how HTX says that
something is wrong; ``symbols.py`` how instruments are listed. Facts cite the project's venue reference ("htx-api" and
its section) with the confidence marks [A], [B], [C] used there.
"""

from htxdata.venues.htx.endpoints import VENUES

__all__ = ["VENUES"]
