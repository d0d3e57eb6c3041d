"""Verdicts as files come in: inbox, audit log, pages for the Burst Advocate, notices."""
