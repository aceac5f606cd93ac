"""HTTP for operators: health, metrics, and what the command line asks of a running daemon."""
