"""`python -m castalia` is the command line too, for machines whose scripts folder is not on the path."""

import sys

from castalia.cli import main

sys.exit(main())
