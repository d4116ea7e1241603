"""`python -m tether_vera`."""

import sys

from tether_vera.cli import main

sys.exit(main())
