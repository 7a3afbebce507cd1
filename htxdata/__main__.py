"""``python -m htxdata`` is the ``htxdata`` command."""

import sys

from htxdata.cli import main

sys.exit(main())
