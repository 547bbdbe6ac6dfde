"""Synchromesh keeps the shop floor and ERP in step. The package root exports nothing, so it can close no import cycle."""
