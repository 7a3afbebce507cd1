"""Time buckets as SQL macros, and the lake's views as a ``.sql`` file for DuckDB without us.

==========================  ========================================================================================
``bucket(t, '7min')``       when the slot of that length opens that holds ``t``: number and ``min``, ``hour``,
                            ``day`` or ``week``, as in ``periods.py``; days from midnight UTC, weeks from Monday
``utc_day(t)``              midnight UTC before ``t``; ``utc_week``, ``utc_month`` likewise
``venue_day(t, venue)``     when the venue's day opened (HTX: 16:00 UTC); ``venue_week``, ``venue_month`` likewise
==========================  ========================================================================================

All take and give TIMESTAMP WITH TIME ZONE, and do not depend on the session's time zone. A venue that nobody knows, and
a period that is none, are errors.
"""

from __future__ import annotations

from collections.abc import Iterable

from htxdata.timeline import DAY, HOUR, MINUTE, SECOND

_EPOCH = "TIMESTAMPTZ '1970-01-01 00:00:00+00'"
_MONDAY = "TIMESTAMPTZ '1970-01-05 00:00:00+00'"

PERIOD = "[1-9][0-9]{0,5}(min|hour|day|week)"

# Of hours, not days: DuckDB adds days by the calendar of the session's time zone, and takes ten times as long for it.
BUCKETS = f"""
CREATE OR REPLACE MACRO bucket(t, period) AS CASE
    WHEN NOT regexp_full_match(period, '{PERIOD}')
    THEN error('bucket(t, period): ' || period || ' is no number of min, hour, day or week')
    ELSE time_bucket(to_microseconds(CAST(regexp_extract(period, '[0-9]+') AS BIGINT)
        * CASE regexp_extract(period, '[a-z]+') WHEN 'min' THEN {MINUTE} WHEN 'hour' THEN {HOUR}
        WHEN 'day' THEN {DAY} ELSE {7 * DAY} END), t,
        CASE WHEN ends_with(period, 'week') THEN {_MONDAY} ELSE {_EPOCH} END) END;
CREATE OR REPLACE MACRO utc_day(t) AS time_bucket(INTERVAL '24 hours', t, {_EPOCH});
CREATE OR REPLACE MACRO utc_week(t) AS time_bucket(INTERVAL '168 hours', t, {_MONDAY});
CREATE OR REPLACE MACRO utc_month(t) AS date_trunc('month', t AT TIME ZONE 'UTC') AT TIME ZONE 'UTC';
""".strip()


def venue_days(opens: Iterable[tuple[str, int]]) -> str:
    """The macros of venues' days. ``opens``: venues, and microseconds after midnight UTC when their days open."""
    cases = " ".join(f"WHEN '{name}' THEN INTERVAL '{at // SECOND} seconds'" for name, at in opens)
    return f"""
CREATE OR REPLACE MACRO venue_day_opens(venue) AS CASE venue {cases}
    ELSE error('venue_day(t, venue): when days of ' || coalesce(venue, 'NULL') || ' open is not known') END;
CREATE OR REPLACE MACRO venue_day(t, venue) AS utc_day(t - venue_day_opens(venue)) + venue_day_opens(venue);
CREATE OR REPLACE MACRO venue_week(t, venue) AS utc_week(t - venue_day_opens(venue)) + venue_day_opens(venue);
CREATE OR REPLACE MACRO venue_month(t, venue) AS utc_month(t - venue_day_opens(venue)) + venue_day_opens(venue);
""".strip()
