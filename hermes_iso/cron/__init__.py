"""Scheduled jobs of agents: each agent's `cron/jobs.json` in Hermes' format, run as turns of that agent."""
