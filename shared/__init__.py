"""What two functions or more need: settings, domain types, stores, queue, event stream, telemetry."""
