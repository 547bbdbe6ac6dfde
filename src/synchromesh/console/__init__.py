"""The web page: a client of the same operations as the command line and the API."""
