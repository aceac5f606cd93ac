"""What is said, and its encryption: pure code, with no I/O, no clock and no network's name in it."""
