"""The only place that knows all parts: it chooses them from the configuration and connects them."""
