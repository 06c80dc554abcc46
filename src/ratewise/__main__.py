"""``python -m ratewise``."""

from ratewise.cli.main import main

main()
