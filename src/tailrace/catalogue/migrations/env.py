"""What Alembic runs around the migrations: they use the connection of their caller."""

from alembic import context

from tailrace.catalogue.tables import metadata, version

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    version_table=version.name,
)
with context.begin_transaction():
    context.run_migrations()
