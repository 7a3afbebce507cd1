"""The 2019 "Permanent Contract API v1.0", as tables: a specification without a public host."""
