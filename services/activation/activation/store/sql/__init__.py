"""The store on PostgreSQL and SQLite, with one code for both.

`schema` holds the tables, `statements` every statement by name, `store` the transactions made of
them, `migrations` the way of the schema through the versions.
"""
