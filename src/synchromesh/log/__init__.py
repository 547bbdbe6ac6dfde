"""The log: messages as they came, durable before anyone hears "received". `agreement` is what every log keeps."""
