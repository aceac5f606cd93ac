"""How each network says it: one folder a network, all to the contract in ``adapters.contract``."""
