"""What people were offered in words, and what answers it; sends in flight.

In: what was delivered, and what people say. Out: the message as the answer that it is.
It touches the ledger's offers, and nothing else.
"""
