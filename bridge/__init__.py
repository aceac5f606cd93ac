"""Who hears it: the daemon, made of a router that holds no key and endpoints that do."""
