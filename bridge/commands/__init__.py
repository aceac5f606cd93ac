"""The commands of ``rialto``, one module for each noun; ``bridge.cli`` puts them together."""
