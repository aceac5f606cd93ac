"""The stage that scenarios and the demonstration play on: real servers, Rialto between them, real clients as people."""
