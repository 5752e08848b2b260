"""The way of the schema through the versions, by Alembic.

Old code must run on the new schema: a migration only adds (`pre`), or removes what no running
version uses any more (`post`).
"""
