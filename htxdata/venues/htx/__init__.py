"""What HTX (ex-Huobi) says, as tables: spot, linear, coin-margined swaps and coin-margined dated futures.

``endpoints.py`` the venues; ``spot.py``, ``linear.py``, ``inverse.py`` and ``futures.py`` which requests bring which
dataset, the latter three by ``contracts.py``; ``deliveries.py`` when futures end, and their aliases; ``parse.py``,
``trades.py``, ``interest.py`` and ``liquidations.py`` from bytes to columns; ``verdicts.py`` how HTX says that
something is wrong; ``symbols.py`` how instruments are listed. Facts cite the project's venue reference ("htx-api" and
its section) with the confidence marks [A], [B], [C] used there.
"""

from htxdata.venues.htx.endpoints import VENUES

__all__ = ["VENUES"]
