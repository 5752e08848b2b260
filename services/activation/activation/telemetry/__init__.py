"""How the services make themselves seen: logs, metrics and traces, without secrets."""
