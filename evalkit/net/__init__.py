"""Make HTTP exchanges for systems, judges and embeddings.

This room holds an exchange with its retries, rate limits and waits; vendors, keys, proxies and prices; and the fields
of a request that an endpoint refuses. Replies are interpreted elsewhere.
"""
