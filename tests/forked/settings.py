"""Settings of Prefect's server for all tests; the server reads them while it is imported."""

SERVER_SETTINGS = {
    "PREFECT_SERVER_EVENTS_PROACTIVE_GRANULARITY": "PT1S",  # triggers; by default five seconds
    "PREFECT_SERVER_SERVICES_REPOSSESSOR_LOOP_SECONDS": "1",  # leases that have expired
    "PREFECT_SERVER_SERVICES_SCHEDULER_LOOP_SECONDS": "5",  # takes schedules up; else 60
}
