"""The schedule: Prefect lives here and nowhere else.

A flow names the run, fans out, bounds concurrency and publishes what happened. The work is plain functions of
``htxdata.ingest``; delete this folder and everything still runs from the command line and a Python prompt.

``backfill.py``, ``sync.py``, ``capture.py`` and ``snapshot.py`` are the flows; ``fan_out.py`` what the first two do;
``partitions.py`` their task, one per partition; ``artifacts.py`` what a run shows on its page; ``by_hand.py`` a run
from a shell; ``local_server.py`` a Prefect server for the demo and the tests.
"""
