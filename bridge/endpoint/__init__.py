"""The keyed side: runs one adapter, with its MLS client and its ledger."""
