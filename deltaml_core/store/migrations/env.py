"""Run by alembic: applies the versions beside it through the connection that `Store` hands over."""

from alembic import context

from deltaml_core.store.schema import metadata

context.configure(connection=context.config.attributes["connection"], target_metadata=metadata, render_as_batch=True)
with context.begin_transaction():
    context.run_migrations()
