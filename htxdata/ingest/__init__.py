"""What we do, in plain functions that Prefect, the command line and a Python prompt all call.

``plan`` decides what to ask (pure); ``backfill`` does one job, by way of ``drive``, ``doubt`` and ``revisions``;
``snapshot`` takes what has no history; ``run`` does many jobs side by side, with the hands of a ``session``, after
``heal``. Nothing here knows Prefect or prints.
"""
