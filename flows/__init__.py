"""The schedule: Prefect lives here and nowhere else.

A flow names the run, fans out, bounds concurrency and publishes what happened. The work is plain functions of
``htxdata.ingest``; delete this folder and everything still runs from the command line and a Python prompt.

``backfill.py``, ``sync.py``, ``capture.py``, ``snapshot.py``, ``upkeep.py`` and ``freshness.py`` are the flows. What
the first two do: ``fan_out.py`` (plan, give out, account), ``side_by_side.py`` (many tasks), ``engines.py`` (in threads
or on Dask), ``partitions.py`` (the task, one per partition), ``pool.py``, ``share.py`` and ``signs_of_life.py`` (on the
workers of a pool). ``artifacts.py`` and ``tables.py`` are what runs show on their pages; ``by_hand.py`` a run from a
shell.

`htxdata serve`: ``serve.py`` begins what is due, ``children.py`` in processes, ``memory.py`` knows of the serve before,
``leftovers.py`` ends the runs that it left, ``words.py`` is what they call things. Prefect's server: ``kept_server.py``
for serve, ``local_server.py`` for the demo and the tests too, ``environment.py`` what it is told.
"""
