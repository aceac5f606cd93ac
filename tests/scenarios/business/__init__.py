"""A business program talks to customers: real pywa and Kapso clients, and a host that plays the endpoint."""
