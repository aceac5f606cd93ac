"""The key-less side: rooms, membership, epochs, the journal of ciphertext and its fan-out."""
