"""Reports on campaigns: numbers and pages, each beside the queries that it needs."""
