"""What we store, said once.

``columns.py`` says every column once: name, kind, unit, meaning, traps. ``datasets.py`` says every dataset as a list of
those names and a key; ``terms.py`` is what can be said of one. Arrow schemas, DuckDB views and the data dictionary are
rendered from these; a column name, a type, a unit or a partition rule is written nowhere else. No disk, no DuckDB, no
venue in here.
"""

from htxdata.schema.datasets import DATASETS, dataset
from htxdata.schema.terms import Dataset

__all__ = ["DATASETS", "Dataset", "dataset"]
