"""``python -m pilotlight``, for images in which no command is installed."""

from pilotlight.cli import main

main()
