"""What `serve` and the runs that it starts call things between them. Imports nothing, for `serve` needs no Prefect."""

RUN = "HTXDATA_RUN"
"""The run's id in its log, and a tag of its Prefect run."""

TAGS = "HTXDATA_TAGS"
"""Tags for the Prefect run, with blanks between them."""

WITH_PARENT = "--leave-with-parent"
"""The run ends when whoever started it does: it holds the other end of the run's stdin."""
