"""Simulated plants whose true history is known, the faults between them and the log, and the auditor that compares ERP with the truth."""
