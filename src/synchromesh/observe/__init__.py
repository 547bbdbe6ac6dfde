"""What operators see: every metric and every log line, by name. Imports only the model."""
