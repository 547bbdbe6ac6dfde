"""Reconciliation: what systems say of stock, orders and states, compared with the two own ledgers, and why they differ."""
