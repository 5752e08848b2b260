"""Runs the migrations on the connection that `activation.store.sql.migrate` gives."""

from alembic import context

from activation.store.sql.schema import metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    transactional_ddl=True,
)
context.run_migrations()
