"""The seam to the database: one `Store` over one ClickHouse schema, whatever the DSN."""
