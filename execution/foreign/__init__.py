"""Orders and fills that were traded elsewhere, as execution reports: tables, ccxt's trades, FIX execution reports."""
