"""`python -m deltaml_core.cli`."""

import sys

from deltaml_core.cli import main

sys.exit(main())
