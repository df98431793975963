"""The list of addresses that get no mail, whatever the campaign."""
