"""The network: one HTTP exchange for systems, judges and embeddings, and everything about its address.

An exchange with its retries, rate limits and waits; vendors, keys, proxies and prices; and the fields of a request that
an endpoint refuses. What a reply means is read elsewhere.
"""
