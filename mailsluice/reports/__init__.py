"""What became of campaigns, as numbers and pages, each beside the queries behind it."""
