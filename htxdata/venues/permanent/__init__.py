"""What the "Permanent Contract API v1.0" of 2019 says, as tables: one venue that was never seen to answer.

``rest.py`` which requests bring which dataset; ``feeds.py`` what is pushed; ``rows.py`` from rows to columns, the same
for both; ``answers.py`` and ``dialect.py`` how REST and the socket speak; ``instruments.py`` how contracts are listed;
``gateway.proto`` the socket's messages; ``own.py`` and ``feeds_own.py`` one's own history, ``orders.py`` orders, and
``signing.py`` how all that is private is signed. Facts cite the project's venue reference ("permanent-v1" and its
section).
"""

from htxdata.venues.permanent.instruments import VENUE

VENUES = (VENUE,)

__all__ = ["VENUES"]
