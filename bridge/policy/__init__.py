"""Pure decisions over facts: who may be in a room. Nothing here does I/O or looks at a clock."""
