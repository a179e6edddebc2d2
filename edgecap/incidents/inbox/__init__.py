"""The inbox of alerts: a SQLite file that keeps each alert from its arrival until Prefect has its run."""
