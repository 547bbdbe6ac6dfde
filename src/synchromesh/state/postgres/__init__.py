"""The store in a schema of a PostgreSQL database: any number of workers, dispatchers and readers, on any hosts."""
