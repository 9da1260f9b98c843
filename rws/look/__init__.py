"""Pictures and pages: heat maps, guidance, checks of the data, the report of a run."""
