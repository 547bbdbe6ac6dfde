"""The HTTP edge: canonical events, payloads of adapters and the end of an input, each acknowledged after it is durable."""
